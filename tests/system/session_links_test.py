"""Sessions over real links, in network namespaces, with BIRD as the neighbor: TCP-MD5, GTSM with a router in between,
two link-local neighbors with the same address. Needs root; exit code 77 means skipped.
"""

import contextlib
import pathlib
import shutil
import socket
import struct
import sys
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "lab")]

from swervelab import netns  # noqa: E402
from swervelab.clock import wait_until  # noqa: E402
from swervelab.netns import Namespaces  # noqa: E402
from swervelab.routers import Bird, Peering  # noqa: E402
from swervelab.world import World  # noqa: E402

PREFIX4, PREFIX6 = "203.0.113.0/24", "2001:db8:53::/48"
SPEAKER4, ROUTER4 = "192.0.2.1", "192.0.2.2"
SPEAKER6, ROUTER6 = "2001:db8::1", "2001:db8::2"
FAR4, FAR6 = "198.51.100.2", "2001:db8:f::2"

YAML = """\
site: test
local_as: 64500
router_id: 192.0.2.1
state_dir: {directory}/state
control: {{socket: {directory}/swerved.sock}}
bgp: {{listen: ["0.0.0.0:179", "[::]:179"]}}
owned: [{prefixes}]
neighbors:
{neighbors}
services:
  portal: {{prefixes: [{prefixes}], healthy_when: always}}
"""

NEIGHBOR = """\
  {name}: {{address: "{address}", remote_as: 64496, families: [{family}], connect_retry: 1s, passive: {passive}{more}}}
"""

BIRD_PEERING = """\
protocol bgp {name} {{
  local {local} as {asn};
  neighbor {remote} as {remote_as};
  hold time 90;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  {options}
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""


class OpenBird(Bird):
    """BIRD with options of a session as its configuration has them."""

    def __init__(self, *arguments, options: dict, **named):
        self.options = options
        super().__init__(*arguments, **named)

    def write_configuration(self):
        text = f"log stderr all;\nrouter id {self.router_id};\nprotocol device {{ scan time 1; }}\n"
        for peering in self.peerings.values():
            text += BIRD_PEERING.format(asn=self.asn, options=self.options[peering.name], **vars(peering))
        self._config = self.write(f"bird-{self.netns}.conf", text)
        self._socket = self.path(f"{self.netns}.ctl")

    def reconfigure(self):
        self.write_configuration()
        self._birdc("configure")


class Capture:
    """(SYN-ACK?, TTL, type of service) of the TCP segments that one address sends over an interface."""

    def __init__(self, namespaces: Namespaces, where: str, interface: str, sender: str):
        self.seen = set()
        self._sender = socket.inet_pton(socket.AF_INET6 if ":" in sender else socket.AF_INET, sender)
        self._ready, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(namespaces, where, interface))
        self._thread.start()
        self._ready.wait(5.0)

    def _run(self, namespaces: Namespaces, where: str, interface: str):
        namespaces.enter(where)
        ethertype = 0x86DD if len(self._sender) == 16 else 0x0800
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ethertype)) as raw:
            raw.bind((interface, ethertype))
            raw.settimeout(0.05)
            self._ready.set()
            while not self._end.is_set():
                with contextlib.suppress(TimeoutError, OSError):  # OSError: the link goes down at the end
                    self._note(raw.recv(65536))

    def _note(self, packet: bytes):
        if len(self._sender) == 4:
            source, protocol, ttl, tos, at = packet[12:16], packet[9], packet[8], packet[1], (packet[0] & 15) * 4
        else:
            first = struct.unpack_from("!I", packet)[0]
            source, protocol, ttl, tos, at = packet[8:24], packet[6], packet[7], (first >> 20) & 255, 40
        flags = packet[at + 13]
        # A reset is the kernel's own answer to what belongs to no socket (any more).
        if source == self._sender and protocol == socket.IPPROTO_TCP and not flags & 0x04:
            self.seen.add((flags & 0x12 == 0x12, ttl, tos))

    def close(self) -> set:
        self._end.set()
        self._thread.join()
        return self.seen


class Links(unittest.TestCase):
    """A speaker (s), beside it a router (r), and one behind that (f)."""

    def setUp(self):
        self.namespaces = Namespaces()
        self.addCleanup(self.namespaces.close)
        self.world = World("links")
        self.addCleanup(self.world.close)
        for name in "srf":
            self.namespaces.add(name)
        self.namespaces.link("s", [f"{SPEAKER4}/24", f"{SPEAKER6}/64"], "r", [f"{ROUTER4}/24", f"{ROUTER6}/64"])
        self.namespaces.link("r", ["198.51.100.1/24", "2001:db8:f::1/64"], "f", [f"{FAR4}/24", f"{FAR6}/64"])
        self.namespaces.forward("r")
        self.namespaces.ip("s", "route", "add", "198.51.100.0/24", "via", ROUTER4)
        self.namespaces.ip("s", "-6", "route", "add", "2001:db8:f::/64", "via", ROUTER6)
        self.namespaces.ip("f", "route", "add", "192.0.2.0/24", "via", "198.51.100.1")
        self.namespaces.ip("f", "-6", "route", "add", "2001:db8::/64", "via", "2001:db8:f::1")

    def start(self, neighbors: str, *prefixes: str):
        quoted = ", ".join(f'"{prefix}"' for prefix in prefixes or (PREFIX4, PREFIX6))
        yaml = YAML.format(directory=self.world.directory, neighbors=neighbors, prefixes=quoted)
        self.daemon = self.world.daemon("swerved", yaml, self.namespaces["s"])
        self.daemon.start()

    def tearDown(self):
        log = self.daemon.process.log_text()
        self.assertNotIn("Sanitizer", log)
        self.assertNotIn("runtime error", log)

    def neighbors(self, address4: str, address6: str, passive: bool, more: str = "") -> str:
        return "".join(
            NEIGHBOR.format(
                name=family, address=address, family=family, passive=str(passive).lower(), more=more and ", " + more
            )
            for family, address in (("ipv4", address4), ("ipv6", address6))
        )

    def bird(self, where: str, local4: str, local6: str, options: str) -> OpenBird:
        peerings = [Peering("over4", local4, SPEAKER4, 64500), Peering("over6", local6, SPEAKER6, 64500)]
        router = OpenBird(
            self.world,
            self.namespaces,
            where,
            64496,
            "192.0.2.2",
            peerings,
            options={peering.name: options for peering in peerings},
        )
        router.start()
        return router

    def await_sessions(self, *names: str):
        for name in names or ("ipv4", "ipv6"):
            wait_until(lambda one=name: self.daemon.control.session_is_up(one), 20.0, f"{name} is up", poll_s=0.05)

    def assert_no_session(self, refused_in: str, counter: str):
        """Until the kernel of a namespace has dropped segments of both families for this reason."""
        wait_until(lambda: self.netstat(refused_in, counter) >= 4, 20.0, f"{counter} in {refused_in}", poll_s=0.05)
        for name in ("ipv4", "ipv6"):
            self.assertFalse(self.daemon.control.session_is_up(name), name)

    def netstat(self, where: str, counter: str) -> int:
        text = netns.run("ip", "netns", "exec", self.namespaces[where], "cat", "/proc/net/netstat")
        names, values = (line.split() for line in text.splitlines() if line.startswith("TcpExt:"))
        return int(values[names.index(counter)])

    def neighbor(self, name: str) -> dict:
        return self.daemon.control.get("/v1/neighbors/" + name)["neighbors"][0]


class TcpMd5(Links):
    """RFC 2385 with BIRD, both families, dialled and accepted."""

    def key_file(self, text: str) -> str:
        path = pathlib.Path(self.world.directory) / "neighbor.key"
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)
        return str(path)

    def test_dialled(self):
        self.start(self.neighbors(ROUTER4, ROUTER6, False, f"password_file: {self.key_file('secret')}"))
        router = self.bird("r", ROUTER4, ROUTER6, 'passive yes; password "secret";')
        self.await_sessions()
        self.change_key(router)

    def test_accepted(self):
        self.start(self.neighbors(ROUTER4, ROUTER6, True, f"password_file: {self.key_file('secret')}"))
        router = self.bird("r", ROUTER4, ROUTER6, 'password "secret";')
        self.await_sessions()
        self.change_key(router)

    def change_key(self, router: OpenBird):
        """Swerve keeps the sessions; BIRD restarts its own for another key, and both come back under it."""
        before = [self.neighbor(name)["established_count"] for name in ("ipv4", "ipv6")]
        self.key_file("another")
        self.assertEqual(self.daemon.ctl("reload").returncode, 0)
        self.assertEqual([self.neighbor(name)["established_count"] for name in ("ipv4", "ipv6")], before)
        router.options = {name: text.replace("secret", "another") for name, text in router.options.items()}
        router.reconfigure()
        for name in ("over4", "over6"):
            wait_until(lambda one=name: router.session_is_up(one), 30.0, f"{name} is up", poll_s=0.1)
        self.await_sessions()

    def test_wrong_key(self):
        self.start(self.neighbors(ROUTER4, ROUTER6, True, f"password_file: {self.key_file('secret')}"))
        self.bird("r", ROUTER4, ROUTER6, 'password "other";')
        self.assert_no_session("s", "TCPMD5Failure")

    def test_no_key(self):
        self.start(self.neighbors(ROUTER4, ROUTER6, True, f"password_file: {self.key_file('secret')}"))
        self.bird("r", ROUTER4, ROUTER6, "")
        self.assert_no_session("s", "TCPMD5NotFound")


class Gtsm(Links):
    """RFC 5082: what a neighbor sends has come no further than it may."""

    def test_beside_us_dialled_and_accepted(self):
        for passive in (False, True):
            with self.subTest(passive=passive):
                self.start(self.neighbors(ROUTER4, ROUTER6, passive, "ttl_security: 1"))
                captures = [
                    Capture(self.namespaces, "r", "to-s", address) for address in (SPEAKER4, SPEAKER6)
                ]
                router = self.bird("r", ROUTER4, ROUTER6, "ttl security yes;" + ("" if passive else " passive yes;"))
                self.await_sessions()
                for capture in captures:
                    seen = capture.close()
                    self.assertEqual({(ttl, tos) for _, ttl, tos in seen}, {(255, 0xC0)})
                    self.assertEqual(any(syn_ack for syn_ack, _, _ in seen), passive)
                router.stop()
                self.daemon.process.end()
                shutil.rmtree(self.world.directory + "/state")

    def test_behind_a_router(self):
        self.start(self.neighbors(FAR4, FAR6, True, "ttl_security: 2"))
        self.bird("f", FAR4, FAR6, "multihop 2; ttl security yes;")
        self.await_sessions()

    def test_further_than_allowed_dialled(self):
        self.start(self.neighbors(FAR4, FAR6, False, "ttl_security: 1"))
        self.bird("f", FAR4, FAR6, "multihop 2; ttl security yes; passive yes;")
        self.assert_no_session("s", "TCPMinTTLDrop")

    def test_further_than_allowed_accepted(self):
        self.start(self.neighbors(FAR4, FAR6, True, "ttl_security: 1"))
        self.bird("f", FAR4, FAR6, "multihop 2; ttl security yes;")
        self.assert_no_session("s", "TCPMinTTLDrop")

    def test_without_it_a_direct_neighbor_is_told_nothing_beyond_one_hop(self):
        self.start(self.neighbors(ROUTER4, ROUTER6, True))
        captures = [Capture(self.namespaces, "r", "to-s", address) for address in (SPEAKER4, SPEAKER6)]
        self.bird("r", ROUTER4, ROUTER6, "")
        self.await_sessions()
        for capture in captures:
            seen = capture.close()
            self.assertEqual({ttl for syn_ack, ttl, _ in seen if syn_ack}, {255})
            self.assertIn(1, {ttl for syn_ack, ttl, _ in seen if not syn_ack})
            self.assertEqual({tos for _, _, tos in seen}, {0xC0})


class LinkLocal(Links):
    """fe80::1 stands behind two interfaces and is two neighbors."""

    def setUp(self):
        super().setUp()
        self.namespaces.add("q")
        self.namespaces.link("s", [], "q", [])
        for router in "rq":
            self.namespaces.ip(router, "address", "add", "fe80::1/64", "dev", "to-s", "nodad")
            self.namespaces.ip("s", "address", "add", "fe80::5/64", "dev", f"to-{router}", "nodad")

    def meet(self, passive: bool):
        self.start(
            "".join(
                NEIGHBOR.format(
                    name=f"behind-{router}",
                    address="fe80::1",
                    family="ipv6",
                    passive=str(passive).lower(),
                    more=f", interface: to-{router}",
                )
                for router in "rq"
            ),
            PREFIX6,
        )
        routers = []
        for where, router_id in (("r", "192.0.2.2"), ("q", "192.0.2.3")):
            peering = Peering(f"from_{where}", "fe80::1", "fe80::5%'to-s'", 64500)
            options = {peering.name: "" if passive else "passive yes;"}
            router = OpenBird(
                self.world, self.namespaces, where, 64496, router_id, [peering], options=options
            )
            router.start()
            routers.append(router)
        self.await_sessions("behind-r", "behind-q")
        for name in ("behind-r", "behind-q"):
            self.assertEqual(self.neighbor(name)["local_address"], "fe80::5")
        # Which is which: one router goes, and only its own neighbor with it.
        routers[0].stop()
        wait_until(lambda: not self.daemon.control.session_is_up("behind-r"), 10.0, "behind-r ends", poll_s=0.05)
        self.assertTrue(self.daemon.control.session_is_up("behind-q"))

    def test_dialled(self):
        self.meet(False)

    def test_accepted(self):
        self.meet(True)

    def test_an_interface_that_is_not_there_is_a_sentence_and_is_tried_again(self):
        self.start(
            NEIGHBOR.format(
                name="later", address="fe80::9", family="ipv6", passive="false", more=", interface: to-later"
            ),
            PREFIX6,
        )
        wait_until(
            lambda: self.neighbor("later")["last_error"] == "there is no interface to-later",
            10.0,
            "the interface is missed",
            poll_s=0.05,
        )
        self.namespaces.add("later")
        self.namespaces.link("s", ["fe80::5/64"], "later", ["fe80::9/64"])
        peering = Peering("speaker", "fe80::9", "fe80::5%'to-s'", 64500)
        router = OpenBird(
            self.world,
            self.namespaces,
            "later",
            64496,
            "192.0.2.4",
            [peering],
            options={"speaker": "passive yes;"},
        )
        router.start()
        self.await_sessions("later")


if __name__ == "__main__":
    missing = netns.unavailable() or Bird.unavailable()
    if missing is not None:
        print(f"skipped: {missing}")
        sys.exit(77)
    unittest.main(verbosity=2)
