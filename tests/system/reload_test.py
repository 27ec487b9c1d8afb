"""A running swerved gets another configuration: what its neighbors notice, and what they do not."""

import concurrent.futures
import pathlib
import signal
import struct
import time
import unittest
import urllib.request

from speaker_case import BAD, GOOD, PREFIX, Speaker, next_change  # first: it says where the next ones are

from bgp_peer import KEEPALIVE, NOTIFICATION, UPDATE, Peer, message
from swervelab.clock import wait_until
from swervelab.control import Control, Refused
from swervelab.world import World, free_port

SECOND = "203.0.113.128/25"
ONE, BOTH = f"prefixes: [{PREFIX}]", f"prefixes: [{PREFIX}, {SECOND}]"

COLLECTOR = """\
site: test
local_as: 64500
router_id: 192.0.2.9
state_dir: {directory}/state
control: {{socket: {directory}/swerved.sock}}
bgp: {{listen: ["127.0.0.9:{port}"]}}
collector: {{accept: ["127.0.0.0/8"]}}
"""


class Reload(Speaker):
    def reload(self, **fields) -> dict:
        return self.daemon.control.post("/v1/reload", **fields)

    def in_force(self) -> str:
        return self.daemon.control.get("/v1/config")["yaml"]

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10) as answer:
            return answer.read().decode()


class Edits(Reload):
    def test_a_prefix_comes_and_goes_within_the_session(self):
        good = self.establish_good()
        began = self.neighbor("good")["since"]
        self.edit(ONE, BOTH)
        answer = self.reload()
        self.assertTrue(answer["applied"])
        self.assertEqual(answer["change"]["resets"], [])
        self.assertEqual(next_change(good), ([], [SECOND]))
        self.edit(BOTH, ONE)
        self.reload()
        self.assertEqual(next_change(good), ([SECOND], []))
        self.assertEqual(self.neighbor("good")["since"], began)
        self.assert_good_still_served(good)

    def test_only_the_session_that_must_is_reset(self):
        good, bad = self.establish_good(), self.dial(BAD)
        bad.establish(my_as=64497)
        self.edit("remote_as: 64497,", "remote_as: 64497, hold_time: 30s,")
        resets = self.reload()["change"]["resets"]
        self.assertEqual([reset["neighbor"] for reset in resets], ["bad"])
        self.assertEqual(bad.receive_until(NOTIFICATION), b"\x06\x06")
        again = self.dial(BAD)
        again.establish(my_as=64497)
        self.assertEqual(next_change(again), ([], [PREFIX]))
        self.assert_good_still_served(good)

    def test_a_dry_run_names_what_would_change_and_changes_nothing(self):
        good = self.establish_good()
        before = self.in_force()
        self.edit(ONE, BOTH)
        self.edit("remote_as: 64496,", "remote_as: 64496, hold_time: 30s,")
        answer = self.reload(dry_run=True)
        self.assertFalse(answer["applied"])
        change = answer["change"]
        reset = {"neighbor": "good", "reason": "hold_time changes from 9s to 30s", "removed": False, "established": True}
        self.assertEqual(change["resets"], [reset])
        route = {"service": "portal", "added": 1, "removed": 0, "kept": 1, "attributes": [], "announced": True}
        self.assertEqual(change["routes"], [route])
        self.assertEqual(self.in_force(), before)
        self.assert_good_still_served(good)

    def test_a_disabled_neighbor_that_is_renamed_does_not_come_up_silently(self):
        good, bad = self.establish_good(), self.dial(BAD)
        bad.establish(my_as=64497)
        self.daemon.control.post("/v1/neighbor", neighbor="bad", command="disable")
        self.edit("  bad: {", "  worse: {")
        enabled = [{"neighbor": "worse", "was": "bad"}]
        self.assertEqual(self.reload(dry_run=True)["change"]["enabled"], enabled)
        self.assertEqual(self.event_texts("worse is enabled"), [])
        self.assertEqual(self.reload()["change"]["enabled"], enabled)
        wait_until(lambda: self.event_texts("worse is enabled: its address was disabled under the name of bad"), 10.0, "the event")
        again = self.dial(BAD)
        again.establish(my_as=64497)
        self.assertEqual(next_change(again), ([], [PREFIX]))
        self.assertEqual(self.reload()["change"]["enabled"], [])
        self.assert_good_still_served(good)

    def test_sighup_applies_a_change_and_keeps_the_session(self):
        good = self.establish_good()
        self.edit("site: test", "site: renamed")
        self.daemon.process.signal(signal.SIGHUP)
        wait_until(lambda: self.event_texts("1 key changed, 0 sessions reset"), 20.0, "the reload")
        self.assert_good_still_served(good)


class BadFiles(Reload):
    def test_it_changes_nothing_and_says_where_the_fault_is(self):
        good = self.establish_good()
        before = self.in_force()
        self.edit("site: test", "nonsense: 1\nsite: test")
        self.edit(ONE, BOTH)
        with self.assertRaisesRegex(Refused, rf"invalid_configuration: {self.daemon.config}:1:1: .*nonsense"):
            self.reload()
        self.assertEqual(self.in_force(), before)
        self.assertIn("swerve_config_last_reload_successful 0", self.metrics())
        self.edit("nonsense: 1\n", "")
        self.reload()
        self.assertIn("swerve_config_last_reload_successful 1", self.metrics())
        self.assertEqual(next_change(good), ([], [SECOND]))
        self.assert_good_still_served(good, [PREFIX, SECOND])

    def test_what_only_a_restart_can_change_says_so(self):
        good = self.establish_good()
        self.edit("/state\n", "/elsewhere\n")
        for dry_run in (True, False):
            with self.assertRaisesRegex(Refused, "invalid_configuration: .*state_dir.*restart the daemon"):
                self.reload(dry_run=dry_run)
        self.assert_good_still_served(good)

    def test_sighup_with_a_bad_file_is_an_alarm(self):
        good = self.establish_good()
        self.edit("site: test", "nonsense: 1\nsite: test")
        self.daemon.process.signal(signal.SIGHUP)
        wait_until(lambda: self.event_texts("reload failed"), 20.0, "an alarm")
        self.assert_good_still_served(good)


class AtOnce(Reload):
    def test_whoever_asks_at_once_gets_what_the_file_says(self):
        good = self.establish_good()
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            for old, new, change in [(ONE, BOTH, ([], [SECOND])), (BOTH, ONE, ([SECOND], []))] * 2:
                self.edit(old, new)
                answers = list(clients.map(lambda _: self.reload(), range(4)))
                self.assertTrue(all(answer["applied"] for answer in answers))
                # The first finds the difference, whoever comes later finds none left.
                found = [answer for answer in answers if answer["change"]["routes"]]
                self.assertGreaterEqual(len(found), 1)
                self.assertEqual(SECOND in self.in_force(), new == BOTH)
                self.assertEqual(next_change(good), change)
        self.assert_good_still_served(good)

    def test_a_file_that_is_being_written_is_never_taken_by_half(self):
        good = self.establish_good()
        # What every configuration needs stands last, so that no beginning of the file is a valid one.
        text = self.yaml.replace("site: test\n", "").replace(ONE, BOTH) + 'site: "test"\n'
        before = self.in_force()
        with concurrent.futures.ThreadPoolExecutor(1) as clients:
            with open(self.daemon.config, "w", encoding="utf-8") as file:
                answer = clients.submit(self.reload)
                for at in range(0, len(text), 40):
                    file.write(text[at : at + 40])
                    file.flush()
                    time.sleep(0.02)  # a slow editor; whatever the moment, the result must be whole
            try:
                self.assertTrue(answer.result()["applied"])
            except Refused as refused:
                self.assertEqual(refused.code, "invalid_configuration")
                self.assertEqual(self.in_force(), before)
                self.reload()
        self.assertEqual(next_change(good), ([], [SECOND]))
        self.assert_good_still_served(good, [PREFIX, SECOND])


class Collector(unittest.TestCase):
    def test_its_neighbors_notice_nothing(self):
        with World("system") as world:
            port = free_port("127.0.0.9")
            daemon = world.daemon("swerved", COLLECTOR.format(directory=world.directory, port=port))
            daemon.start()
            peer = Peer.dial(GOOD, ("127.0.0.9", port))
            self.addCleanup(peer.close)
            peer.establish()
            peer.send(route(PREFIX))
            wait_until(lambda: daemon.control.best_neighbor(PREFIX) == GOOD, 10.0, "the route")
            path = pathlib.Path(daemon.config)
            path.write_text(path.read_text(encoding="utf-8").replace("site: test", "site: renamed"), encoding="utf-8")
            self.assertEqual(daemon.control.post("/v1/reload")["change"]["resets"], [])
            self.assertEqual(daemon.control.best_neighbor(PREFIX), GOOD)
            peer.send(route(SECOND))
            wait_until(lambda: daemon.control.best_neighbor(SECOND) == GOOD, 10.0, "a route after the reload")


def route(prefix: str) -> bytes:
    """An UPDATE that announces a prefix."""
    address, length = prefix.split("/")
    octets = bytes([int(length)]) + bytes(int(part) for part in address.split("."))[: (int(length) + 7) // 8]
    attributes = b"\x40\x01\x01\x00" + b"\x40\x02\x06\x02\x01" + struct.pack("!I", 64496) + b"\x40\x03\x04\xc0\x00\x02\x01"
    return message(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + octets)


if __name__ == "__main__":
    unittest.main(verbosity=2)
