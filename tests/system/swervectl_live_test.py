"""swervectl at the real daemon: a drain that is waited for, a probe by hand, and the history of a check."""

import json
import signal
import subprocess
import unittest

from speaker_case import PREFIX, Speaker, next_change  # first: it says where the next ones are

from bgp_peer import UPDATE, updates
from swervelab.clock import wait_until
from swervelab.world import binary

GRACEFUL_SHUTDOWN = bytes([0xFF, 0xFF, 0x00, 0x00])


class Live(Speaker):
    def ctl(self, *words: str) -> subprocess.CompletedProcess:
        return self.daemon.ctl(*words)

    def stages(self, degrade: str, notice: str):
        self.edit("drain: {graceful_shutdown_for: 0s}", f"drain: {{degrade_for: {degrade}, graceful_shutdown_for: {notice}}}")
        self.daemon.control.post("/v1/reload")


class DrainAndWait(Live):
    def test_it_ends_when_the_neighbor_has_acknowledged_the_withdraw(self):
        self.stages("300ms", "300ms")
        peer = self.establish_good()
        done = self.ctl("drain", "portal", "--wait", "--timeout", "20s", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertTrue(answer["safe_to_stop"])
        stages = [each["stage"] for each in answer["stages"]]
        self.assertEqual(stages[-1], "safe_to_stop")
        self.assertEqual(stages[:2], ["degraded", "graceful_shutdown"])
        self.assertEqual(next_change(peer), ([], [PREFIX]))  # degraded
        body = peer.receive_until(UPDATE)
        self.assertEqual(updates(body), ([], [PREFIX]))
        self.assertIn(GRACEFUL_SHUTDOWN, body)
        self.assertEqual(next_change(peer), ([PREFIX], []))
        view = self.portal()
        self.assertEqual((view["shown"], view["safe_to_stop"]), ("nothing", True))
        self.daemon.control.post("/v1/undrain", service="portal")
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        self.assertFalse(self.portal()["safe_to_stop"])

    def test_too_short_a_timeout_leaves_the_drain_in_force(self):
        self.stages("0s", "30s")
        self.establish_good()
        done = self.ctl("drain", "portal", "--wait", "--timeout", "200ms")
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("announced with GRACEFUL_SHUTDOWN", done.stderr)
        self.assertEqual(self.portal()["drain_stage"], "graceful_shutdown")

    def test_an_interrupt_leaves_the_drain_in_force(self):
        self.stages("0s", "30s")
        self.establish_good()
        command = [binary("swervectl"), "--socket", self.daemon.control.path, "drain", "portal", "--wait"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            while "GRACEFUL_SHUTDOWN" not in running.stdout.readline():
                self.assertIsNone(running.poll())
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=20)[1]
        self.assertIn("the drain of portal stays in force", said)
        self.assertEqual(self.portal()["drain_stage"], "graceful_shutdown")


class Checks(Live):
    def test_a_probe_by_hand_shows_its_steps_and_moves_no_counter(self):
        self.edit("interval: 100ms, fast_interval: 50ms, timeout: 80ms, rise: 1}", "interval: 60s, timeout: 800ms, rise: 1}")
        self.daemon.control.post("/v1/reload")
        wait_until(lambda: self.check()["results"]["pass"] > 0, 10.0, "the first attempt")
        before = self.check()
        done = self.ctl("probe", "run", "app")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("check app: pass after "), done.stdout)
        self.service.signal(signal.SIGSTOP)  # still there
        self.assertEqual(self.ctl("probe", "run", "app", "--json").returncode, 0)
        after = self.check()
        # The attempt that was due before the reload may be among them, two by hand would not fit.
        self.assertLess(after["results"]["pass"] - before["results"]["pass"], 2)
        self.assertEqual(after["since"], before["since"])
        self.assertEqual(self.ctl("probe", "run", "nothing").returncode, 5)

    def test_what_is_gone_fails_by_hand_too(self):
        self.service.signal(signal.SIGKILL)
        self.service.wait(5.0)
        done = self.ctl("probe", "run", "app", "--json")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(json.loads(done.stdout)["result"], "fail")

    def test_the_history_ends_with_the_last_result(self):
        wait_until(lambda: self.check()["results"]["pass"] >= 3, 10.0, "three attempts")
        history = self.check()["history"]
        self.assertGreaterEqual(len(history), 3)
        self.assertEqual({each["result"] for each in history}, {"pass"})
        self.service.signal(signal.SIGKILL)
        wait_until(lambda: self.check()["history"][-1]["result"] == "fail", 10.0, "the failure is in it")
        text = self.ctl("show", "check", "app").stdout
        self.assertIn("oldest first:", text)
        self.assertIn("fail", text)
        wait_until(lambda: len(self.check()["history"]) == 60, 20.0, "sixty are kept")
        self.assertIsNone(self.daemon.control.get("/v1/checks")["checks"][0]["history"])

    def check(self) -> dict:
        return self.daemon.control.get("/v1/checks/app")["checks"][0]


if __name__ == "__main__":
    unittest.main()
