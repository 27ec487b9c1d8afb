"""What a swerved that is killed and started again still knows (DESIGN.md §4.7)."""

import pathlib
import resource
import signal
import time
import unittest

from speaker_case import GOOD, PREFIX, Speaker, next_change  # first: it says where the next ones are

from bgp_peer import NOTIFICATION, UPDATE, Peer, updates
from swervelab.clock import boottime_ns, wait_until


class Restarted(Speaker):
    def setUp(self):
        self.began_ns = time.time_ns()
        super().setUp()
        self.files = [pathlib.Path(self.world.directory, "state", name) for name in ("state.a", "state.b")]

    def has_saved(self) -> bool:
        return any(file.exists() and file.stat().st_mtime_ns > self.began_ns for file in self.files)

    def start(self):
        self.began_ns = time.time_ns()
        self.daemon.start()

    def kill(self):
        wait_until(self.has_saved, 10.0, "this run is known to the next")
        self.daemon.process.signal(signal.SIGKILL)
        self.assertEqual(self.daemon.process.wait(10.0), -signal.SIGKILL)

    def restart(self):
        self.kill()
        self.start()

    def establish(self) -> Peer:
        peer = self.dial(GOOD)
        peer.establish()
        return peer

    def wait_for(self, verdict: str, intent: str) -> dict:
        """Until the service has them both; its view."""
        return wait_until(
            lambda: (found := self.portal()) and (found["verdict"], found["intent"]) == (verdict, intent) and found,
            20.0,
            f"verdict {verdict}, intent {intent}",
        )

    def told_until_the_end(self, peer: Peer) -> list:
        """Stops the daemon; everything that this neighbor has been told of routes."""
        self.daemon.process.signal(signal.SIGTERM)
        told = []
        while (got := peer.receive()) is not None:
            if got[0] == UPDATE and any(updates(got[1])):
                told.append(updates(got[1]))
        self.assertEqual(self.daemon.process.wait(10.0), 0)
        return told


class Words(Restarted):
    """What operators have said."""

    def test_a_drained_site_stays_drained_through_any_end(self):
        good = self.establish_good()
        self.assertTrue(self.daemon.control.post("/v1/drain", service="portal", reason="works")["saved"])
        self.assertEqual(next_change(good), ([PREFIX], []))
        self.restart()
        again = self.establish()
        view = self.wait_for("up", "drain")
        self.assertEqual(view["drain"]["reason"], "works")
        self.assertEqual(self.told_until_the_end(again), [])
        self.start()
        last = self.establish()
        self.wait_for("up", "drain")
        self.daemon.control.post("/v1/undrain", service="portal")
        self.assertEqual(next_change(last), ([], [PREFIX]))

    def test_a_word_with_an_end_ends_when_it_was_to_end(self):
        good = self.establish_good()
        asked = boottime_ns()
        self.daemon.control.post("/v1/drain", service="portal", for_s=6)
        answered = boottime_ns()
        self.assertEqual(next_change(good), ([PREFIX], []))
        self.restart()
        again = self.establish()
        looked = boottime_ns()
        left_ns = self.portal()["drain"]["expires_s"] * 1e9
        self.assertLessEqual(left_ns, answered + 6e9 - looked)
        self.assertGreaterEqual(left_ns, asked + 6e9 - boottime_ns())
        self.assertEqual(next_change(again), ([], [PREFIX]))
        self.assertGreaterEqual(boottime_ns(), asked + 6e9)

    def test_a_disabled_neighbor_stays_disabled(self):
        good = self.establish_good()
        self.daemon.control.post("/v1/neighbor", neighbor="good", command="disable")
        self.assertEqual(good.receive_until(NOTIFICATION)[:2], b"\x06\x02")
        self.restart()
        self.assertTrue(self.neighbor("good")["disabled"])
        self.assertEqual(self.dial(GOOD).receive(), (NOTIFICATION, b"\x06\x05"), "rejected")
        self.daemon.control.post("/v1/neighbor", neighbor="good", command="enable")
        self.establish_good()


class Disk(Restarted):
    def limit_files(self, octets: int):
        """To the daemon, a full disk, and one with room again."""
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))

    def test_a_full_disk_is_told_with_the_answer_and_got_over(self):
        good = self.establish_good()
        self.limit_files(16)
        answer = self.daemon.control.post("/v1/drain", service="portal")
        self.assertEqual(next_change(good), ([PREFIX], []), "in force all the same")
        self.assertEqual((answer["done"], answer["saved"]), (True, False))
        self.assertRegex(answer["note"], r"a restart will forget it: writing .*/state\.tmp: File too large")
        wait_until(lambda: self.event_texts("not saved"), 10.0, "an alarm")
        self.limit_files(resource.RLIM_INFINITY)
        answer = self.daemon.control.post("/v1/undrain", service="portal")
        self.assertEqual((answer["saved"], answer["note"]), (True, None))
        self.assertEqual(next_change(good), ([], [PREFIX]))

    def test_with_both_generations_damaged_it_starts_drained(self):
        good = self.establish_good()
        self.daemon.control.post("/v1/drain", service="portal")
        self.assertEqual(next_change(good), ([PREFIX], []))
        self.daemon.control.post("/v1/undrain", service="portal")
        self.assertEqual(next_change(good), ([], [PREFIX]))
        self.kill()
        for file in self.files:
            file.write_bytes(file.read_bytes()[:-2])
        self.start()
        again = self.establish()
        view = self.wait_for("up", "drain")
        self.assertIn("damaged", view["drain"]["reason"])
        self.assertEqual(len(self.event_texts("state.")), 2, "an alarm for each generation")
        self.daemon.control.post("/v1/undrain", service="portal")
        self.assertEqual(next_change(again), ([], [PREFIX]))


class CrashLoop(Restarted):
    RISE = 15

    def start_with_full_disk(self):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # which the daemon inherits
        try:
            self.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def test_on_a_full_disk_which_counts_no_crashes_every_start_needs_its_full_rise(self):
        self.edit("rise: 1}", f"rise: {self.RISE}}}")
        self.daemon.control.post("/v1/reload")
        self.establish_good()
        self.kill()
        for _ in range(2):
            self.start_with_full_disk()
            again = self.establish()
            self.assertEqual(next_change(again), ([], [PREFIX]))
            results = self.daemon.control.get("/v1/checks/app")["checks"][0]["results"]
            self.assertGreaterEqual(results["pass"], self.RISE)
            self.assertTrue(self.event_texts("File too large; this start is not counted"))
            self.daemon.process.signal(signal.SIGKILL)
            self.daemon.process.wait(10.0)

    def test_after_three_crashes_no_verdict_announces_for_a_while(self):
        for _ in range(3):
            self.restart()
        good = self.establish()
        view = self.wait_for("up", "withdraw")
        self.assertTrue(self.event_texts("ended unexpectedly 3 times in a row"))
        self.assertIn("ended unexpectedly", view["intent_reason"])
        self.daemon.control.post("/v1/announce", prefix=PREFIX)  # an operator's word does
        self.assertEqual(next_change(good), ([], [PREFIX]))

    def test_after_two_it_goes_on_as_before(self):
        for _ in range(2):
            self.restart()
        self.establish_good()


if __name__ == "__main__":
    unittest.main(verbosity=2)
