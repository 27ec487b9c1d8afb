"""What the hostile neighbor says, ready for its socket. Written for it alone and without Swerve's own library."""

import ipaddress
import struct

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
HOLD_TIME_S = 90

_FULL_TABLE_BEGINS = int(ipaddress.IPv4Address("16.0.0.0"))  # the /24s from here on are none of ours
_PREFIXES_PER_UPDATE = 6  # about what a full table has


def message(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def open_message(asn: int, router_id: str) -> bytes:
    def capability(code: int, value: bytes = b"") -> bytes:
        return bytes([code, len(value)]) + value

    capabilities = capability(1, b"\0\1\0\1") + capability(2) + capability(65, struct.pack("!I", asn)) + capability(70)
    parameters = bytes([2, len(capabilities)]) + capabilities
    fixed = struct.pack("!BHH", 4, asn, HOLD_TIME_S) + ipaddress.IPv4Address(router_id).packed
    return message(OPEN, fixed + bytes([len(parameters)]) + parameters)


def keepalive() -> bytes:
    return message(KEEPALIVE)


def route_refresh() -> bytes:
    return message(ROUTE_REFRESH, b"\0\1\0\1")


def update(attributes: bytes, announced: bytes, withdrawn: bytes = b"") -> bytes:
    lengths = struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attributes))
    return message(UPDATE, lengths + attributes + announced)


def attribute(flags: int, code: int, value: bytes) -> bytes:
    return bytes([flags, code, len(value)]) + value


def path(*asns: int) -> bytes:
    return attribute(0x40, 2, bytes([2, len(asns)]) + struct.pack(f"!{len(asns)}I", *asns))


def packed(prefix: str) -> bytes:
    network = ipaddress.IPv4Network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


ORIGIN = attribute(0x40, 1, b"\0")
NEXT_HOP = attribute(0x40, 3, b"\xc0\0\2\2")


def full_table(asn: int, count: int) -> bytes:
    """So many foreign /24, a path of its own for every few of them."""
    out = bytearray()
    for first in range(0, count, _PREFIXES_PER_UPDATE):
        numbers = range(first, min(first + _PREFIXES_PER_UPDATE, count))
        prefixes = b"".join(b"\x18" + struct.pack("!I", _FULL_TABLE_BEGINS + (n << 8))[:3] for n in numbers)
        communities = attribute(0xC0, 8, struct.pack("!HHHH", asn, 100, asn, first & 0xFFFF))
        out += update(ORIGIN + path(asn, 64700, 70000 + first % 50000, 70001) + NEXT_HOP + communities, prefixes)
    return bytes(out)


def claims(asn: int, own: str, count: int) -> bytes:
    """Routes inside `own`, which is kept of what neighbors tell: announced, told with another path, and withdrawn."""
    network = ipaddress.IPv4Network(own)
    out = bytearray()
    prefixes = [bytes([32]) + struct.pack("!I", int(network.network_address) + n) for n in range(count)]
    for other in (64701, 64702):
        for prefix in prefixes:
            out += update(ORIGIN + path(asn, other) + NEXT_HOP, prefix)
    for prefix in prefixes:
        out += update(b"", b"", prefix)
    return bytes(out)


def malformed(asn: int, own: str) -> bytes:
    """UPDATEs that RFC 7606 has treated as a withdraw, each of another kind, and requests for all routes between them."""
    good_path = path(asn)
    attributes = [
        attribute(0x40, 1, b"\3") + good_path + NEXT_HOP,  # ORIGIN of no meaning
        attribute(0x40, 1, b"\0\0") + good_path + NEXT_HOP,  # its length
        attribute(0xC0, 1, b"\0") + good_path + NEXT_HOP,  # its flags
        ORIGIN + attribute(0x40, 2, b"\5\1\0\0\xfb\xf0") + NEXT_HOP,  # a segment of no type
        ORIGIN + attribute(0x40, 2, b"\2\xff" + bytes(4)) + NEXT_HOP,  # a segment beyond its attribute
        ORIGIN + path(0) + NEXT_HOP,  # AS 0 (RFC 7607)
        ORIGIN + attribute(0x40, 2, b"\1\1\0\0\xfb\xf0") + NEXT_HOP,  # AS_SET (RFC 9774)
        ORIGIN + good_path + attribute(0x40, 3, b"\xc0\0\2"),  # the length of NEXT_HOP
        ORIGIN + good_path + NEXT_HOP + attribute(0x80, 4, b"\0\0\1"),  # that of MED
        ORIGIN + good_path + NEXT_HOP + attribute(0xC0, 8, b"\0\1\2"),  # that of COMMUNITIES
        ORIGIN + good_path + NEXT_HOP + attribute(0xC0, 32, bytes(13)),  # that of LARGE_COMMUNITIES
        ORIGIN + good_path + NEXT_HOP + b"\xc0\x08\xff",  # an attribute beyond all of them
        good_path + NEXT_HOP,  # no ORIGIN
        ORIGIN + NEXT_HOP,  # no AS_PATH
        b"",  # nothing that is mandatory
    ]
    return b"".join(update(given, packed(own)) + route_refresh() for given in attributes)
