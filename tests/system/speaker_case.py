"""A real swerved with one service and two neighbors that dial it, looked at from outside."""

import os
import pathlib
import signal
import sys
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "lab"), str(ROOT / "tests" / "support")]

from bgp_peer import UPDATE, Peer, updates  # noqa: E402
from swervelab.world import World, free_port  # noqa: E402

PREFIX = "203.0.113.0/24"
GOOD, BAD = "127.0.0.21", "127.0.0.22"  # two neighbors, both dial us

YAML = """\
site: test
local_as: 64500
router_id: 192.0.2.9
state_dir: {directory}/state
control: {{socket: {directory}/swerved.sock}}
http: {{listen: "127.0.0.1:{http_port}"}}
bgp: {{listen: ["127.0.0.9:{bgp_port}"]}}
owned: [{prefix}]
damping: {{profile: none, changes_per_hour: 0}}
neighbors:
  good: {{address: {good}, remote_as: 64496, passive: true, export: {{next_hop: {{ipv4: 192.0.2.9}}}}}}
  bad: {{address: {bad}, remote_as: 64497, passive: true, export: {{next_hop: {{ipv4: 192.0.2.9}}}}}}
checks:
  app: {{process: {{pid_file: {directory}/service-app.pid}}, on_event: trust, interval: 100ms, fast_interval: 50ms, timeout: 80ms, rise: 1}}
services:
  portal: {{prefixes: [{prefix}], healthy_when: app, drain: {{graceful_shutdown_for: 0s}}}}
"""


class Speaker(unittest.TestCase):
    """A fresh daemon for each test, with one service that is up."""

    def setUp(self):
        self.world = World("system")
        self.addCleanup(self.world.close)
        self.bgp = ("127.0.0.9", free_port("127.0.0.9"))
        self.http_port = free_port("127.0.0.1")
        self.yaml = YAML.format(
            directory=self.world.directory,
            http_port=self.http_port,
            bgp_port=self.bgp[1],
            prefix=PREFIX,
            good=GOOD,
            bad=BAD,
        )
        self.service = self.world.service("app", "127.0.1.21", free_port("127.0.1.21"))
        self.daemon = self.world.daemon("swerved", self.yaml)
        self.daemon.start()

    def tearDown(self):
        """Whatever a test did, the daemon must have lived through it, and its sanitizers must be silent."""
        log = self.daemon.process.log_text()
        self.assertNotIn("Sanitizer", log)
        self.assertNotIn("runtime error", log)

    def dial(self, local: str) -> Peer:
        peer = Peer.dial(local, self.bgp)
        self.addCleanup(peer.close)
        return peer

    def establish_good(self) -> Peer:
        """The neighbor that behaves, with the prefix announced to it."""
        peer = self.dial(GOOD)
        peer.establish()
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        return peer

    def assert_good_still_served(self, peer: Peer, prefixes=(PREFIX,)):
        """The session lives, and a failure now reaches this neighbor as a withdraw, before anything else does."""
        self.service.signal(signal.SIGKILL)
        self.assertEqual(next_change(peer), (list(prefixes), []))

    def edit(self, old: str, new: str):
        """Changes the configuration file as a careful operator does: another file, renamed over it."""
        text = pathlib.Path(self.daemon.config).read_text(encoding="utf-8")
        self.assertEqual(text.count(old), 1, f"{old!r} in\n{text}")
        self.write_config(text.replace(old, new))

    def write_config(self, text: str):
        unfinished = self.daemon.config + ".new"
        pathlib.Path(unfinished).write_text(text, encoding="utf-8")
        os.rename(unfinished, self.daemon.config)

    def portal(self) -> dict:
        return self.daemon.control.get("/v1/services/portal")["services"][0]

    def neighbor(self, name: str) -> dict:
        return self.daemon.control.get("/v1/neighbors/" + name)["neighbors"][0]

    def descriptors(self) -> int:
        """How many it has open, as it says itself: its /proc/PID/fd is for root alone."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return int(float(next(line for line in lines if line.startswith("process_open_fds ")).split()[1]))

    def event_texts(self, word: str) -> list:
        return [e["text"] for e in self.daemon.control.get("/v1/events")["events"] if word in e["text"]]


def next_change(peer: Peer) -> "tuple[list, list] | None":
    """(withdrawn, announced) of the next UPDATE that is no End-of-RIB; None if the session ends first."""
    while (body := peer.receive_until(UPDATE)) is not None:
        if any(change := updates(body)):
            return change
    return None
