"""BFD with a real router: a site (s) and a router (r), two switches (x, y) between them, so that the cable that is cut
is none that either end would notice.

    site (s) 192.0.2.1  ----  switch (x)  ----  switch (y)  ----  192.0.2.2 router (r)

Hold times are 90 s and nobody waits for as long: what goes sooner goes by BFD.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lab"))

from swervelab import netns  # noqa: E402
from swervelab.clock import wait_until  # noqa: E402
from swervelab.netns import Namespaces  # noqa: E402
from swervelab.routers import MAKES, Bfd, Peering  # noqa: E402
from swervelab.wire import Wire  # noqa: E402
from swervelab.world import World  # noqa: E402

PATIENCE_S = 40.0  # less than the hold time, more than a loaded machine needs
SITE_ASN, ROUTER_ASN = 64500, 64496
PREFIXES = {"ipv4": "203.0.113.0/24", "ipv6": "2001:db8:53::/48"}
SITE = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
ROUTER = {"ipv4": "192.0.2.2", "ipv6": "2001:db8::2"}
LINK_LOCAL_SITE, LINK_LOCAL_ROUTER = "fe80::5", "fe80::1"
FAR_ROUTER = {"ipv4": "198.51.100.2", "ipv6": "2001:db8:1::2"}

YAML = """\
site: test
local_as: {asn}
router_id: {router_id}
state_dir: {directory}/state-{name}
control: {{socket: {directory}/{name}.sock}}
{listen}
owned: ["{prefix}"]
neighbors:
  router:
    address: "{remote}"
    remote_as: {router_asn}
    local_address: "{local}"
    families: [{family}]
    hold_time: 90s
    connect_retry: 1s
{bfd}
services:
  portal: {{prefixes: ["{prefix}"], healthy_when: always}}
"""


class Case(unittest.TestCase):
    """One site and one router, made anew for each test."""

    make = ""  # of the router

    def setUp(self):
        self.net = Namespaces()
        self.addCleanup(self.net.close)
        self.world = World(f"bfd-{self.make}")
        self.addCleanup(self.world.close)  # the processes end before the namespaces go
        self.daemon = self.router = self.wire = None

    def tearDown(self):
        for process in [self.daemon.process] if self.daemon and self.daemon.process else []:
            self.assertNotIn("Sanitizer", process.log_text())
            self.assertNotIn("runtime error", process.log_text())

    # What stands where.

    def join_by_switches(self):
        for name in "sxyr":
            self.net.add(name)
        self.net.link("s", [f"{SITE['ipv4']}/24", f"{SITE['ipv6']}/64"], "x", [])
        self.net.link("x", [], "y", [])
        self.net.link("y", [], "r", [f"{ROUTER['ipv4']}/24", f"{ROUTER['ipv6']}/64"])
        self.net.switch("x")
        self.net.switch("y")
        self.listen("to-x")

    def join_by_router(self):
        """The neighbor stands behind another router (x)."""
        for name in "sxr":
            self.net.add(name)
        self.net.link("s", [f"{SITE['ipv4']}/24", f"{SITE['ipv6']}/64"], "x", ["192.0.2.254/24", "2001:db8::254/64"])
        far = [f"{FAR_ROUTER['ipv4']}/24", f"{FAR_ROUTER['ipv6']}/64"]
        self.net.link("x", ["198.51.100.1/24", "2001:db8:1::1/64"], "r", far)
        self.net.forward("x")
        self.net.ip("s", "route", "add", "198.51.100.0/24", "via", "192.0.2.254")
        self.net.ip("s", "route", "add", "2001:db8:1::/64", "via", "2001:db8::254")
        self.net.ip("r", "route", "add", "192.0.2.0/24", "via", "198.51.100.1")
        self.net.ip("r", "route", "add", "2001:db8::/64", "via", "2001:db8:1::1")
        self.listen("to-x")

    def listen(self, interface: str):
        self.wire = Wire(self.net, "s", interface)
        self.addCleanup(self.wire.close)

    def yaml(self, bfd: "str | None", family: str = "ipv4", name: str = "swerved", **fields) -> str:
        values = {
            "name": name,
            "asn": SITE_ASN,
            "router_asn": ROUTER_ASN,
            "router_id": SITE["ipv4"],
            "directory": self.world.directory,
            "listen": "",
            "prefix": PREFIXES[family],
            "local": SITE[family],
            "remote": ROUTER[family],
            "family": family,
            "bfd": "" if bfd is None else f"    bfd: {bfd}",
        }
        return YAML.format(**(values | fields))

    def start_site(self, bfd: str, family: str = "ipv4", **fields):
        self.daemon = self.world.daemon("swerved", self.yaml(bfd, family, **fields), self.net["s"])
        self.daemon.start(patience_s=PATIENCE_S)

    def start_router(self, bfd: "Bfd | None", family: str = "ipv4", **fields):
        ends = fields.pop("local", ROUTER[family]), fields.pop("remote", SITE[family])
        peering = Peering("site", *ends, SITE_ASN, bfd=bfd, **fields)
        self.router = MAKES[self.make](self.world, self.net, "r", ROUTER_ASN, "192.0.2.2", [peering])
        self.router.start()

    def begin(self, ours: str, theirs: Bfd, family: str = "ipv4"):
        """Everything is up and the prefix announced."""
        self.join_by_switches()
        self.start_router(theirs, family)
        self.start_site(ours, family)
        self.await_all(family)

    def reload(self, bfd: "str | None", family: str = "ipv4", **fields):
        pathlib.Path(self.daemon.config).write_text(self.yaml(bfd, family, **fields), encoding="utf-8")
        done = self.daemon.ctl("reload")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # How it is.

    def await_that(self, condition, what: str):
        return wait_until(condition, PATIENCE_S, what, poll_s=0.05)

    def await_all(self, family: str = "ipv4"):
        self.await_that(lambda: self.router_bfd_state() == "up", "BFD is up at the router")
        self.await_that(lambda: self.ours()["state"] == "up", "BFD is up at the site")
        self.await_that(lambda: self.has_route(family), "the prefix is at the router")
        self.await_that(lambda: self.daemon.control.session_is_up("router"), "BGP is up at the site")
        # FRR begins its BFD session anew when BGP is up for the first time.
        self.await_that(lambda: self.stays_up(family), "everything stays up")

    def stays_up(self, family: str) -> bool:
        before = self.daemon.control.last_event_id()
        is_up = self.router_bfd_state() == "up" and self.ours()["state"] == "up" and self.has_route(family)
        return is_up and self.daemon.control.last_event_id() == before

    def has_route(self, family: str = "ipv4") -> bool:
        return self.router.route(PREFIXES[family], "site") is not None

    def await_no_route(self, family: str = "ipv4"):
        self.await_that(lambda: not self.has_route(family) and self.router.answers(), "the route is gone by BFD")

    def router_bfd_state(self) -> "str | None":
        session = self.router.bfd_session("site")
        return session and session.state

    def ours(self) -> dict:
        """The BFD session as the site shows it."""
        return self.daemon.control.get("/v1/bfd")["bfd"][0]

    def neighbor(self) -> dict:
        return self.daemon.control.neighbor("router")

    def established_count(self) -> int:
        return self.neighbor()["established_count"]

    def events(self, kind: str, since: int = 0) -> list:
        events = self.daemon.control.get("/v1/events", since=since)["events"]
        return [event for event in events if event["type"] == kind]

    def await_event(self, kind: str, text: str, since: int) -> dict:
        """The first such event after another whose reason has this text."""

        def find():
            return next((e for e in self.events(kind, since) if text in (e["detail"]["reason"] or "")), None)

        return self.await_that(find, f"an event {kind} with {text!r}")

    def assert_ended_by_bfd(self, since: int, reason: str):
        """The site took its session down for BFD and said so to the neighbor."""
        self.await_event("bfd_down", reason, since)
        self.await_event("session_down", "BFD", since)
        last = self.neighbor()["last_notification"]
        self.assertEqual((last["direction"], last["code"], last["subcode"]), ("sent", 6, 10))

    def assert_ended_with_bfd(self, since: int, reason: str):
        """The same where the neighbor hears that we do not hear it: it may be the first to end the session."""
        self.await_event("bfd_down", reason, since)
        self.await_event("session_down", "", since)
        self.assertEqual(self.neighbor()["last_notification"]["code"], 6)


def main(module: str, make: str):
    """Runs the tests named on the command line, or each in a process of its own, some of them at a time."""
    missing = netns.unavailable() or MAKES[make].unavailable() or _no_nft()
    if missing is not None:
        print(f"skipped: {missing}")
        sys.exit(77)
    if len(sys.argv) > 1:
        unittest.main(module=module, verbosity=2)
    loaded = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[module])
    names = [".".join(test.id().split(".")[-2:]) for suite in loaded for test in suite]
    with concurrent.futures.ThreadPoolExecutor(max_workers=6) as pool:
        results = list(pool.map(_run_alone, names))
    failed = [name for name, done in zip(names, results) if done.returncode != 0]
    for name, done in zip(names, results):
        print(done.stdout if done.returncode else f"{name} ... ok", flush=True)
    print(f"{len(names)} tests, {len(failed)} failed" + "".join(f"\n  {name}" for name in failed))
    sys.exit(1 if failed or not names else 0)


def _run_alone(name: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, sys.argv[0], name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ,
    )


def _no_nft() -> "str | None":
    return None if shutil.which("nft") else "nft is missing (Debian package nftables)"
