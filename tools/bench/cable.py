"""Cables that can be cut so that neither end's carrier notices, and the moment a route leaves a kernel.

Netlink is spoken here, not through ip(8): a program that has to be started first would cost more than what is measured.
"""

import contextlib
import ctypes
import os
import select
import socket
import struct
import time

from swervelab.clock import boottime_ns

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_NETLINK_ROUTE = 0
_RTMGRP_IPV4_ROUTE = 0x40
_RTM_NEWLINK, _RTM_DELROUTE, _NLMSG_ERROR = 16, 25, 2
_REQUEST_WITH_ACK = 0x1 | 0x4
_IFF_UP = 0x1
_RTA_DST = 1
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_ROUTE_SIZE = 12  # of struct rtmsg


@contextlib.contextmanager
def inside(namespaces, short: str):
    """The calling thread is in the namespace; what it opens there stays there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        namespaces.enter(short)
        try:
            yield
        finally:
            if _libc.setns(own, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(own)


class Cable:
    """Between two namespaces, through two switches in a third:

        a ---- switch ==== cable ==== switch ---- b

    Pulled, the switches stay up and with them the carrier of both ends, as when a site dies behind its provider's.
    """

    _number = 0

    def __init__(self, namespaces, wire: str, a: str, a_address: str, b: str, b_address: str):
        Cable._number += 1
        number = Cable._number
        self._namespaces = namespaces
        self._ends = ((a, f"to-{b}"), (b, f"to-{a}"))
        self._pulled_end = f"c{number}a"
        namespaces.ip(wire, "link", "add", f"c{number}a", "type", "veth", "peer", "name", f"c{number}b")
        for end, side, address in ((0, "a", a_address), (1, "b", b_address)):
            here, link = self._ends[end]
            switch = f"s{number}{side}"
            namespaces.ip(wire, "link", "add", switch, "type", "bridge")
            namespaces.ip(here, "link", "add", link, "type", "veth", "peer", "name", f"p{number}{side}", "netns", namespaces[wire])
            for port in (f"p{number}{side}", f"c{number}{side}"):
                namespaces.ip(wire, "link", "set", port, "master", switch, "up")
            namespaces.ip(wire, "link", "set", switch, "up")
            namespaces.ip(here, "address", "add", address, "dev", link)
            namespaces.ip(here, "link", "set", link, "up")
        with inside(namespaces, wire):
            self._index = socket.if_nametoindex(self._pulled_end)
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)

    def cut(self) -> "tuple[int, int]":
        """When the kernel was asked, and when it had done so."""
        began = boottime_ns()
        self._set_up(False)
        return began, boottime_ns()

    def mend(self):
        self._set_up(True)

    def ends_have_carrier(self) -> bool:
        return all("LOWER_UP" in self._namespaces.ip(short, "link", "show", "dev", link) for short, link in self._ends)

    def _set_up(self, up: bool):
        body = _LINK.pack(socket.AF_UNSPEC, 0, self._index, _IFF_UP if up else 0, _IFF_UP)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), _RTM_NEWLINK, _REQUEST_WITH_ACK, 1, 0) + body)
        answer = self._socket.recv(4096)
        error = struct.unpack_from("=i", answer, _HEADER.size)[0]
        if _HEADER.unpack_from(answer)[1] != _NLMSG_ERROR or error != 0:
            raise OSError(-error, f"{self._pulled_end}: {os.strerror(-error)}")

    def close(self):
        self._socket.close()


class KernelRoute:
    """One IPv4 prefix in the main table of a namespace, as the kernel reports its changes."""

    def __init__(self, namespaces, short: str, prefix: str):
        address, length = prefix.split("/")
        self._wanted = (int(length), socket.inet_aton(address))
        self._prefix = prefix
        self._short = short
        self._namespaces = namespaces
        with inside(namespaces, short):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_IPV4_ROUTE))

    def is_there(self) -> bool:
        return self._prefix in self._namespaces.ip(self._short, "route", "show", self._prefix)

    def forget_changes(self):
        """What was reported so far is of no interest."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(65536)

    def gone_ns(self, timeout_s: float) -> int:
        """When it left, as soon as this thread was told."""
        deadline = time.monotonic() + timeout_s
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            at_ns = boottime_ns()
            if self._is_gone_in(self._socket.recv(65536)):
                return at_ns
        raise TimeoutError(f"{self._short} kept {self._prefix} for {timeout_s:g} s")

    def _is_gone_in(self, octets: bytes) -> bool:
        while len(octets) >= _HEADER.size:
            length, kind = _HEADER.unpack_from(octets)[:2]
            if kind == _RTM_DELROUTE and self._is_wanted(octets[_HEADER.size : length]):
                return True
            octets = octets[(length + 3) & ~3 :]
        return False

    def _is_wanted(self, route: bytes) -> bool:
        attributes = route[_ROUTE_SIZE:]
        while len(attributes) >= 4:
            length, kind = struct.unpack_from("=HH", attributes)
            if kind == _RTA_DST:
                return (route[1], attributes[4:length]) == self._wanted
            attributes = attributes[(length + 3) & ~3 :]
        return False

    def close(self):
        self._socket.close()
