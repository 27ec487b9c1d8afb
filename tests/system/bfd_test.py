"""Twenty BFD sessions between two real daemons: none goes down while all that one of them announces comes and goes, and each is
counted when one of them stands still."""

import pathlib
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "lab"), str(ROOT / "tools" / "bench")]

from bfd_parties import Pairing, SwerveEnd, await_up, swerve_neighbors  # noqa: E402
from swervelab.clock import wait_until  # noqa: E402
from swervelab.world import World, free_port  # noqa: E402

SESSIONS, INTERVAL_MS, PREFIXES = 20, 50, 2000
LASTS_S = 10.0
PATIENCE_S = 30.0
NEXT_HOP = "export: {next_hop: {ipv4: 192.0.2.1}}\n    "

CONFIG = """\
site: {name}
local_as: {local_as}
router_id: {router_id}
state_dir: {directory}/state-{name}
control: {{socket: {directory}/{name}.sock}}
{listen}owned: [{owned}]
damping: {{profile: none, changes_per_hour: 0}}
neighbors:
{neighbors}services:
  portal: {{prefixes_file: {prefixes}, healthy_when: always, drain: {{graceful_shutdown_for: 0s}}}}
"""


class TwentySessions(unittest.TestCase):
    def setUp(self):
        self.world = World("bfd")
        self.addCleanup(self.world.close)
        # Every session has two addresses of its own, which nothing else on this host uses.
        pairings = [Pairing(n, f"127.66.0.{n}", f"127.66.1.{n}", INTERVAL_MS) for n in range(1, SESSIONS + 1)]
        port = free_port("0.0.0.0")
        self.site = self.end("site", pairings, f"port: {port}\n    {NEXT_HOP}", "")
        self.other = self.end("other", pairings, f"passive: true\n    {NEXT_HOP}", f'bgp: {{listen: ["0.0.0.0:{port}"]}}\n')

    def tearDown(self):
        for end in (self.site, self.other):
            log = end.daemon.process.log_text()
            self.assertNotIn("Sanitizer", log)
            self.assertNotIn("runtime error", log)

    def end(self, name: str, pairings: list, options: str, listen: str) -> SwerveEnd:
        of_site = name == "site"
        prefixes = pathlib.Path(self.world.directory, f"{name}.prefixes")
        announced = [f"10.{n // 256}.{n % 256}.0/24" for n in range(PREFIXES)] if of_site else ["203.0.113.0/24"]
        prefixes.write_text("".join(prefix + "\n" for prefix in announced), encoding="ascii")
        config = CONFIG.format(
            name=name,
            local_as=64500 if of_site else 64496,
            router_id=f"127.66.{0 if of_site else 1}.1",
            directory=self.world.directory,
            listen=listen,
            owned="10.0.0.0/8" if of_site else "203.0.113.0/24",
            neighbors=swerve_neighbors(self.world, pairings, of_site, options),
            prefixes=prefixes,
        )
        return SwerveEnd(self.world.daemon(name, config), SESSIONS)

    def is_told_everywhere(self, count: int) -> bool:
        neighbors = self.site.daemon.control.get("/v1/neighbors")["neighbors"]
        told = [each["prefixes_advertised"]["ipv4"] for each in neighbors if each["unsent_octets"] == 0]
        return told == [count] * SESSIONS

    def start(self):
        for end in (self.other, self.site):
            end.start()
        await_up([self.site, self.other])

    def test_they_stay_up_while_prefixes_come_and_go(self):
        self.start()
        before = [(end.downs(), end.packets_received()) for end in (self.site, self.other)]
        control, flaps = self.site.daemon.control, 0
        until = time.monotonic() + LASTS_S
        while time.monotonic() < until:
            wait_until(lambda: self.is_told_everywhere(PREFIXES), PATIENCE_S, "all prefixes are announced")
            control.post("/v1/drain", service="portal")
            wait_until(lambda: self.is_told_everywhere(0), PATIENCE_S, "all prefixes are withdrawn")
            control.post("/v1/undrain", service="portal")
            flaps += 1
        print(f"{flaps} flaps of {PREFIXES} prefixes to {SESSIONS} neighbors", file=sys.stderr)
        for end, (downs, received) in zip((self.site, self.other), before):
            self.assertEqual(end.downs(), downs, end.daemon.name)
            self.assertTrue(end.are_up(), end.daemon.name)
            self.assertGreater(end.packets_received() - received, SESSIONS * 10, end.daemon.name)
            neighbors = end.daemon.control.get("/v1/neighbors")["neighbors"]
            self.assertEqual({each["established_count"] for each in neighbors}, {1}, end.daemon.name)

    def test_each_is_counted_when_the_other_end_stands_still(self):
        """So that a count that stays what it was says something."""
        self.start()
        before = [end.downs() for end in (self.site, self.other)]
        self.other.daemon.process.freeze()
        wait_until(lambda: self.site.downs() >= before[0] + SESSIONS, PATIENCE_S, "every session went down")
        self.other.daemon.process.thaw()
        wait_until(lambda: self.other.downs() >= before[1] + SESSIONS, PATIENCE_S, "the other end has heard of it")
        await_up([self.site, self.other])


if __name__ == "__main__":
    unittest.main(verbosity=2)
