"""What goes over a link: BFD control packets and BGP messages, decoded, in their order."""

import contextlib
import dataclasses
import ipaddress
import socket
import struct
import threading

from .clock import boottime_ns, wait_until
from .netns import Namespaces

ALL_PROTOCOLS = 0x0003
BFD_PORTS = (3784, 4784)
BGP_PORT = 179
STATES = ("admin_down", "down", "init", "up")
MESSAGES = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "refresh"}


@dataclasses.dataclass(frozen=True)
class BfdPacket:
    at_ns: int
    source: str
    ttl: int
    source_port: int
    port: int
    state: str
    diagnostic: int
    poll: bool
    final: bool
    authenticated: bool
    multiplier: int
    my_discriminator: int
    your_discriminator: int
    min_tx_us: int
    min_rx_us: int


@dataclasses.dataclass(frozen=True)
class BgpMessage:
    at_ns: int
    source: str
    kind: str
    withdraws: bool = False
    code: tuple = ()  # of a NOTIFICATION


class Wire:
    """Everything that passes an interface, in both directions, from its making to its end; a context manager."""

    def __init__(self, namespaces: Namespaces, where: str, interface: str):
        self._seen = []
        self._lock = threading.Lock()
        self._ready, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(namespaces, where, interface), daemon=True)
        self._thread.start()
        if not self._ready.wait(10.0):
            raise RuntimeError(f"cannot listen to {interface}")

    def bfd(self, **wanted) -> list:
        """The BFD packets so far whose fields have these values."""
        return self._matching(BfdPacket, wanted)

    def bgp(self, **wanted) -> list:
        return self._matching(BgpMessage, wanted)

    def await_bfd(self, timeout_s: float, since_ns: int = 0, **wanted) -> BfdPacket:
        """The first such packet from a time on."""

        def find():
            return next((packet for packet in self.bfd(**wanted) if packet.at_ns >= since_ns), None)

        return wait_until(find, timeout_s, f"a BFD packet with {wanted}", poll_s=0.02)

    def close(self):
        self._end.set()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _matching(self, kind: type, wanted: dict) -> list:
        with self._lock:
            seen = list(self._seen)
        return [
            one
            for one in seen
            if isinstance(one, kind) and all(getattr(one, name) == value for name, value in wanted.items())
        ]

    def _run(self, namespaces: Namespaces, where: str, interface: str):
        namespaces.enter(where)
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS)) as raw:
            raw.bind((interface, ALL_PROTOCOLS))
            raw.settimeout(0.1)
            self._ready.set()
            while not self._end.is_set():
                with contextlib.suppress(TimeoutError, OSError):  # OSError: the link is down
                    found = _decode(raw.recv(65536))
                    with self._lock:
                        self._seen.extend(found)


def _decode(packet: bytes) -> list:
    """What a packet of IP without extension headers carries."""
    if len(packet) < 40 or packet[0] >> 4 not in (4, 6):
        return []
    if packet[0] >> 4 == 4:
        protocol, ttl, source, at = packet[9], packet[8], packet[12:16], (packet[0] & 15) * 4
        end = struct.unpack_from("!H", packet, 2)[0]
    else:
        protocol, ttl, source, at = packet[6], packet[7], packet[8:24], 40
        end = 40 + struct.unpack_from("!H", packet, 4)[0]
    segment, sender = packet[at:end], str(ipaddress.ip_address(source))
    if protocol == socket.IPPROTO_UDP:
        return _bfd(segment, sender, ttl)
    if protocol == socket.IPPROTO_TCP and BGP_PORT in struct.unpack_from("!HH", segment):
        return list(_bgp(segment[(segment[12] >> 4) * 4 :], sender))
    return []


def _bfd(datagram: bytes, source: str, ttl: int) -> list:
    source_port, port = struct.unpack_from("!HH", datagram)
    if port not in BFD_PORTS or len(datagram) < 32:
        return []
    first, flags, multiplier, _, mine, yours, min_tx, min_rx = struct.unpack_from("!BBBBIIII", datagram, 8)
    return [
        BfdPacket(
            at_ns=boottime_ns(),
            source=source,
            ttl=ttl,
            source_port=source_port,
            port=port,
            state=STATES[flags >> 6],
            diagnostic=first & 31,
            poll=bool(flags & 0x20),
            final=bool(flags & 0x10),
            authenticated=bool(flags & 0x04),
            multiplier=multiplier,
            my_discriminator=mine,
            your_discriminator=yours,
            min_tx_us=min_tx,
            min_rx_us=min_rx,
        )
    ]


def _bgp(octets: bytes, source: str):
    """The messages that begin in a segment; the sessions of a test are too quiet to fill one."""
    marker = b"\xff" * 16
    at = octets.find(marker)
    while at >= 0 and len(octets) >= at + 19:
        length, kind = struct.unpack_from("!HB", octets, at + 16)
        body = octets[at + 19 : at + length]
        yield BgpMessage(
            at_ns=boottime_ns(),
            source=source,
            kind=MESSAGES.get(kind, str(kind)),
            withdraws=kind == 2 and len(body) >= 2 and body[:2] != b"\0\0",
            code=tuple(body[:2]) if kind == 3 else (),
        )
        at = octets.find(marker, at + max(length, 19))
