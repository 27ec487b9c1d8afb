"""A scripted BGP neighbor: raw octets in and out, for what no well-behaved router would send."""

import socket
import struct

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5


def message(kind: int, body: bytes = b"", marker: bytes = MARKER, length: "int | None" = None) -> bytes:
    return marker + struct.pack("!HB", 19 + len(body) if length is None else length, kind) + body


def open_message(
    my_as: int = 64496,
    hold_s: int = 90,
    router_id: int = 0xC0000201,
    version: int = 4,
    capabilities: "bytes | None" = None,
) -> bytes:
    if capabilities is None:
        capabilities = bytes([1, 4, 0, 1, 0, 1, 65, 4]) + struct.pack("!I", my_as)
    parameters = bytes([2, len(capabilities)]) + capabilities if capabilities else b""
    field = my_as if my_as <= 0xFFFF else 23456
    return message(OPEN, struct.pack("!BHHIB", version, field, hold_s, router_id, len(parameters)) + parameters)


class Peer:
    """One TCP connection to a speaker, read message by message."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self._pending = b""

    @classmethod
    def dial(
        cls, local: str, remote: "tuple[str, int]", timeout_s: float = 10.0, md5_key: "bytes | None" = None
    ) -> "Peer":
        connection = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_s)
            connection.bind((local, 0))
            if md5_key is not None:
                set_md5_key(connection, remote[0], md5_key)
            connection.connect(remote)
        except OSError:
            connection.close()
            raise
        return cls(connection)

    def change_md5_key(self, key: bytes):
        """On the connection that lives, as a router does whose operator changed it."""
        set_md5_key(self.connection, self.connection.getpeername()[0], key)

    def send(self, octets: bytes):
        self.connection.sendall(octets)

    def receive(self) -> "tuple[int, bytes] | None":
        """The next message as (type, body); None at the end of the connection."""
        while True:
            if len(self._pending) >= 19:
                length, kind = struct.unpack_from("!HB", self._pending, 16)
                if len(self._pending) >= length:
                    body, self._pending = self._pending[19:length], self._pending[length:]
                    return kind, body
            try:
                data = self.connection.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._pending += data

    def receive_until(self, kind: int) -> "bytes | None":
        """Skips to the next message of a kind; its body, None if the connection ends first."""
        while (got := self.receive()) is not None:
            if got[0] == kind:
                return got[1]
        return None

    def establish(self, **open_fields):
        self.send(open_message(**open_fields))
        if self.receive_until(OPEN) is None:
            raise AssertionError("the connection ended before an OPEN came")
        self.send(message(KEEPALIVE))
        if self.receive_until(KEEPALIVE) is None:
            raise AssertionError("the connection ended before it was established")

    def close(self):
        self.connection.close()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def set_md5_key(connection: socket.socket, remote: str, key: bytes):
    """TCP-MD5 (RFC 2385) towards one address, by struct tcp_md5sig of Linux."""
    octets = socket.inet_pton(connection.family, remote)
    if connection.family == socket.AF_INET:
        address = struct.pack("=HH4s", connection.family, 0, octets)
    else:
        address = struct.pack("=HHI16sI", connection.family, 0, 0, octets, 0)
    tcp_md5sig = 14
    connection.setsockopt(
        socket.IPPROTO_TCP,
        tcp_md5sig,
        address.ljust(128, b"\0") + struct.pack("=BBHi80s", 0, 0, len(key), 0, key),
    )


def updates(body: bytes) -> "tuple[list, list]":
    """(withdrawn, announced) IPv4 prefixes of an UPDATE, as text."""
    withdrawn_length = struct.unpack_from("!H", body)[0]
    attributes_length = struct.unpack_from("!H", body, 2 + withdrawn_length)[0]
    return _prefixes(body[2 : 2 + withdrawn_length]), _prefixes(body[4 + withdrawn_length + attributes_length :])


def _prefixes(octets: bytes) -> list:
    found, at = [], 0
    while at < len(octets):
        length = octets[at]
        size = (length + 7) // 8
        address = octets[at + 1 : at + 1 + size] + bytes(4 - size)
        found.append(f"{socket.inet_ntoa(address)}/{length}")
        at += 1 + size
    return found
