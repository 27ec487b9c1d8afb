"""Floods an address with BFD packets that are none of its sessions', as a program of its own.

What it sends is made beforehand and handed over many at a time (sendmmsg), so that little of it is Python's work. It takes its
targets as JSON on the first line of its input, says as JSON lines what it does, and ends with its input.
"""

import argparse
import ctypes
import errno
import json
import random
import socket
import struct
import sys
import threading
import time

DOWN, INIT, UP = 1, 2, 3
SINGLE_HOP_PORT = 3784
FLAG_POLL, FLAG_FINAL, FLAG_AUTH, FLAG_MULTIPOINT = 0x20, 0x10, 0x04, 0x01
SIMPLE_PASSWORD, METICULOUS_SHA1 = 1, 5
_IP_TRANSPARENT = 19  # may send from an address that is not its own
_MESSAGES_PER_SOCKET = 512
_MESSAGES_PER_CALL = 64

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):  # struct msghdr
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_IoVec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = [("header", _Header), ("sent", ctypes.c_uint)]


def packet(
    state: int,
    your: int,
    my: "int | None" = None,
    flags: int = 0,
    version: int = 1,
    multiplier: int = 3,
    auth: bytes = b"",
    length: "int | None" = None,
) -> bytes:
    flags |= FLAG_AUTH if auth else 0
    mine = random.randrange(1, 1 << 32) if my is None else my
    size = 24 + len(auth) if length is None else length
    return struct.pack("!BBBBIIIII", version << 5, state << 6 | flags, multiplier, size, mine, your, 50000, 50000, 0) + auth


def digest_of_nothing(key_id: int = 1) -> bytes:
    return struct.pack("!BBBBI", METICULOUS_SHA1, 28, key_id, 0, random.getrandbits(32)) + random.randbytes(20)


def password(text: bytes, key_id: int = 1) -> bytes:
    return struct.pack("!BBB", SIMPLE_PASSWORD, 3 + len(text), key_id) + text


def unknown() -> int:
    return random.randrange(1, 1 << 32)


def malformed(_: dict) -> bytes:
    good = packet(UP, unknown())
    return random.choice(
        (
            packet(UP, unknown(), version=0),
            packet(UP, unknown(), version=7),
            good[: random.randrange(24)],
            packet(UP, unknown(), length=23),
            packet(UP, unknown(), length=255),
            packet(UP, unknown(), multiplier=0),
            packet(UP, unknown(), flags=FLAG_MULTIPOINT),
            packet(UP, unknown(), my=0),
            packet(UP, 0),  # only Down and AdminDown may not know us
            packet(INIT, 0),
            packet(UP, unknown(), flags=FLAG_POLL | FLAG_FINAL),
            packet(UP, unknown(), flags=FLAG_AUTH),  # and no section
            packet(UP, unknown(), auth=b"\x05\xff\x01\x00"),  # a section beyond the packet
            random.randbytes(random.randrange(1, 1400)),
        )
    )


# Each kind: whose address it comes from ("neighbor" or "stranger"), its TTL, and what it says to the session at that address.
# The true discriminator is what somebody knows who has seen a packet; without a signature or from one hop away it would count.
KINDS = {
    "malformed": ("neighbor", 255, malformed),
    "from too far away": ("neighbor", 254, lambda target: packet(DOWN, random.choice((0, target["discriminator"])))),
    "unknown discriminator": ("neighbor", 255, lambda target: packet(random.choice((DOWN, INIT, UP)), unknown())),
    "of no session": ("stranger", 255, lambda target: packet(DOWN, 0)),
    "wrong digest": (
        "signed neighbor",
        255,
        lambda target: packet(
            random.choice((DOWN, UP)),
            target["discriminator"],
            auth=random.choice((b"", digest_of_nothing(), digest_of_nothing(2), password(b"guessed"))),
        ),
    ),
}


class Source:
    """A socket at somebody's address, and its messages."""

    def __init__(self, destination: str, source: str, ttl: int, payloads: list):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self._socket.bind((source, 0))
        self._socket.connect((destination, SINGLE_HOP_PORT))
        self._buffers = [ctypes.create_string_buffer(payload, len(payload)) for payload in payloads]
        self._vectors = (_IoVec * len(payloads))()
        self._messages = (_Message * len(payloads))()
        for vector, message, buffer in zip(self._vectors, self._messages, self._buffers):
            vector.base = ctypes.cast(buffer, ctypes.c_void_p)
            vector.length = len(buffer)
            message.header.vectors = ctypes.pointer(vector)
            message.header.vector_count = 1
        self._next = 0

    def send(self, wanted: int) -> int:
        """At most so many; how many the kernel took."""
        count = min(wanted, _MESSAGES_PER_CALL, len(self._messages) - self._next)
        at = ctypes.byref(self._messages, self._next * ctypes.sizeof(_Message))
        taken = _libc.sendmmsg(self._socket.fileno(), at, count, 0)
        if taken < 0:
            error = ctypes.get_errno()
            if error in (errno.ECONNREFUSED, errno.ENOBUFS, errno.EAGAIN, errno.EINTR):
                return 0
            raise OSError(error, "sendmmsg")
        self._next = (self._next + count) % len(self._messages)
        return taken


def sources(plan: dict) -> list:
    """(kind, source) of every kind in turn, so that a moment of the flood has them all."""
    by_kind = {}
    for kind, (whose, ttl, make) in KINDS.items():
        targets = [target for target in plan["targets"] if whose != "signed neighbor" or target["signed"]]
        if whose == "stranger":
            targets = [{"neighbor": plan["stranger"], "discriminator": 0}]
        by_kind[kind] = []
        for target in targets:
            payloads = [make(target) for _ in range(_MESSAGES_PER_SOCKET)]
            by_kind[kind].append(Source(plan["address"], target["neighbor"], ttl, payloads))
    turns = max(len(each) for each in by_kind.values())
    return [(kind, each[turn % len(each)]) for turn in range(turns) for kind, each in by_kind.items() if each]


def flood(plan: dict, ended: threading.Event) -> dict:
    sent = {kind: 0 for kind in KINDS}
    turns, number = sources(plan), 0
    print(json.dumps({"event": "begun"}), flush=True)
    began = time.monotonic()
    total = 0
    while not ended.is_set():
        due = int((time.monotonic() - began) * plan["per_second"]) - total
        if due <= 0:
            time.sleep(0.0005)
            continue
        kind, source = turns[number % len(turns)]
        number += 1
        taken = source.send(due)
        sent[kind] += taken
        total += taken
        # What it fell behind by more than this is not made up for, or a pause would be a burst.
        if due > plan["per_second"] / 10:
            began += (due - plan["per_second"] / 10) / plan["per_second"]
    return {"event": "ended", "sent": sent, "lasted_s": time.monotonic() - began}


def main():
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    plan = json.loads(sys.stdin.readline())
    ended = threading.Event()

    def await_end():
        while sys.stdin.readline():
            pass
        ended.set()

    threading.Thread(target=await_end, daemon=True).start()
    print(json.dumps(flood(plan, ended)), flush=True)


if __name__ == "__main__":
    main()
