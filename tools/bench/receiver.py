"""The neutral receiver: speaks just enough BGP to be a neighbor, and stamps what it hears."""

import socket
import struct
import threading

from swervelab.clock import boottime_ns

_MARKER = b"\xff" * 16
_OPEN, _UPDATE, _NOTIFICATION, _KEEPALIVE = 1, 2, 3, 4


def _message(kind: int, body: bytes = b"") -> bytes:
    return _MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def _open(local_as: int) -> bytes:
    capabilities = bytes([1, 4, 0, 1, 0, 1]) + bytes([65, 4]) + struct.pack("!I", local_as)
    parameter = bytes([2, len(capabilities)]) + capabilities
    return _message(_OPEN, struct.pack("!BHHIB", 4, local_as, 90, 0xC0000201, len(parameter)) + parameter)


class Receiver:
    """Listens on `address` for one neighbor. Only whether anything IPv4 is announced or withdrawn counts: the benches
    use one prefix."""

    def __init__(self, address: str, port: int, local_as: int):
        self._listener = socket.create_server((address, port))
        self._local_as = local_as
        self._changed = threading.Condition()
        self._events = []  # (ns, "announce" | "withdraw")
        self._connection = None
        threading.Thread(target=self._serve, daemon=True).start()

    def wait(self, kind: str, since_ns: int, timeout_s: float) -> int:
        """When the first event of this kind came after `since_ns`."""

        def found():
            return next((at for at, what in self._events if what == kind and at >= since_ns), None)

        with self._changed:
            if not self._changed.wait_for(found, timeout_s):
                raise TimeoutError(f"no {kind} within {timeout_s:g} s")
            return found()

    def announced(self) -> bool:
        with self._changed:
            return bool(self._events) and self._events[-1][1] == "announce"

    def close(self):
        self._listener.close()
        if self._connection is not None:
            self._connection.close()

    def _serve(self):
        while True:
            try:
                self._connection, _ = self._listener.accept()
            except OSError:
                return
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.sendall(_open(self._local_as))
            try:
                self._read(self._connection)
            except OSError:
                pass

    def _read(self, connection):
        pending = b""
        while True:
            data = connection.recv(65536)
            now = boottime_ns()
            if not data:
                return
            pending += data
            while len(pending) >= 19:
                length, kind = struct.unpack_from("!HB", pending, 16)
                if len(pending) < length:
                    break
                self._handle(connection, kind, pending[19:length], now)
                pending = pending[length:]

    def _handle(self, connection, kind: int, body: bytes, now: int):
        if kind in (_OPEN, _KEEPALIVE):
            connection.sendall(_message(_KEEPALIVE))
        if kind != _UPDATE:
            return
        withdrawn = struct.unpack_from("!H", body)[0]
        attributes = struct.unpack_from("!H", body, 2 + withdrawn)[0]
        has_nlri = len(body) > 4 + withdrawn + attributes
        if not withdrawn and not has_nlri:
            return  # End-of-RIB
        with self._changed:
            self._events.append((now, "withdraw" if withdrawn else "announce"))
            self._changed.notify_all()
