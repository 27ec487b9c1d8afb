"""swervectl drain --wait and probe run against a fake daemon (fake_daemon.py)."""

import json
import os
import re
import signal
import subprocess
import sys
import unittest

from fake_daemon import FakeDaemon, document, error
from swervectl_case import CHECK, SERVICE, SWERVECTL, Case

DONE = document("done", done=True, text="drain of portal is in force until it is cleared", saved=True, note=None)
WORD = {"kind": "drain", "who": "root", "reason": None, "expires_s": None}


def stage(name, left=None, **fields):
    return document("services", services=[{**SERVICE, "drain": WORD, "drain_stage": name, "drain_stage_s": left, **fields}])


BEFORE = document("services", services=[{**SERVICE, "drain_takes_s": 15.0}])
STAGES = [stage("degraded", 10.0), stage("graceful_shutdown", 5.0), stage("withdrawn"), stage("withdrawn", safe_to_stop=True)]


class Drain(Case):
    def test_every_stage_is_shown_once_until_it_is_safe_to_stop(self):
        with FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": [BEFORE, STAGES[0], *STAGES]}) as daemon:
            text = self.ok("drain", "portal", "--wait", "--for", "10m", "--timeout", "60s", daemon=daemon)
            self.assertEqual({"service": "portal", "for_s": 600}, daemon.requests[1][2])
        self.assertEqual(["drain of portal is in force until it is cleared",
                          "announced with its degraded attributes, for another 10s", "announced with GRACEFUL_SHUTDOWN, for another 5s",
                          "withdrawn; the neighbors have yet to acknowledge it", "safe to stop"], text.splitlines())

    def test_json_says_when_each_stage_began(self):
        with FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": list(STAGES)}) as daemon:
            answer = json.loads(self.ok("--json", "drain", "portal", "--wait", daemon=daemon))
        self.assertEqual(("swerve.drain/1", "portal", True, True),
                         (answer["schema"], answer["service"], answer["safe_to_stop"], answer["saved"]))
        self.assertEqual(["degraded", "graceful_shutdown", "withdrawn", "safe_to_stop"], [each["stage"] for each in answer["stages"]])
        self.assertEqual(sorted(each["at_s"] for each in answer["stages"]), [each["at_s"] for each in answer["stages"]])
        self.assertGreaterEqual(answer["waited_s"], answer["stages"][-1]["at_s"])

    def test_what_takes_too_long_ends_with_6(self):
        with FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": STAGES[2]}) as daemon:
            ran = self.ctl("drain", "portal", "--wait", "--timeout", "50ms", daemon=daemon)
        self.assertEqual(6, ran.returncode)
        self.assertIn("safe_to_stop=portal did not come within 0.05 s: withdrawn; the neighbors have yet to acknowledge it", ran.stderr)

    def test_a_drain_that_somebody_ended_is_a_failure(self):
        with FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": document("services", services=[SERVICE])}) as daemon:
            ran = self.ctl("drain", "portal", "--wait", daemon=daemon)
        self.assertEqual(1, ran.returncode)
        self.assertIn("the drain of portal was ended meanwhile", ran.stderr)

    def test_a_drain_that_ends_before_its_stages_is_refused(self):
        with FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": BEFORE}) as daemon:
            said = self.refused(2, "drain", "portal", "--wait", "--for", "15s", daemon=daemon)
            self.assertIn("--for: 15s is over before the stages of the drain are, which take 15s", said)
            self.assertEqual({"GET"}, {request[0] for request in daemon.requests})

    def test_a_drain_that_expired_says_so(self):
        ended = document("services", services=[SERVICE])
        with FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": [STAGES[0], STAGES[2], ended]}) as daemon:
            ran = self.ctl("drain", "portal", "--wait", "--for", "1s", daemon=daemon)
        self.assertEqual(1, ran.returncode)
        self.assertIn("the drain of portal expired after 1s, before it was safe to stop", ran.stderr)

    def test_a_refusal_is_what_it_is_without_waiting(self):
        with FakeDaemon({"POST /v1/drain": (409, error("refused", "the daemon is stopping"))}) as daemon:
            self.refused(7, "drain", "portal", "--wait", daemon=daemon)

    def test_a_drain_that_is_not_saved_is_waited_for_and_a_failure(self):
        done = {**DONE, "saved": False, "note": "in force, but not saved: disk full"}
        with FakeDaemon({"POST /v1/drain": done, "/v1/services/portal": STAGES[3]}) as daemon:
            ran = self.ctl("drain", "portal", "--wait", daemon=daemon)
        self.assertEqual((1, "swervectl: in force, but not saved: disk full\n"), (ran.returncode, ran.stderr))
        self.assertTrue(ran.stdout.endswith("safe to stop\n"))

    def test_interrupted_it_says_that_the_drain_stays(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number), FakeDaemon({"POST /v1/drain": DONE, "/v1/services/portal": STAGES[0]}) as daemon:
                running = subprocess.Popen([SWERVECTL, "--socket", daemon.socket, "drain", "portal", "--wait"], text=True,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                while "announced" not in running.stdout.readline():
                    self.assertIsNone(running.poll())
                running.send_signal(number)
                _, said = running.communicate(timeout=60)
                self.assertEqual(-number, running.returncode)
                self.assertIn("interrupted: the drain of portal stays in force; `swervectl undrain portal` ends it\n", said)

    def test_on_a_terminal_the_line_counts_down(self):
        answers = {"POST /v1/drain": DONE, "/v1/services/portal": [stage("degraded", 2.0), stage("degraded", 1.0), STAGES[3]]}
        with FakeDaemon(answers) as daemon:
            ours, theirs = os.openpty()
            subprocess.run([SWERVECTL, "--socket", daemon.socket, "drain", "portal", "--wait"], stdout=theirs, check=True, timeout=60)
            os.close(theirs)
            text = b""
            while b"safe to stop\r\n" not in text:
                text += os.read(ours, 4096)
            os.close(ours)
        shown = re.findall(r"\r\x1b\[K([^\r]*)", text.decode())
        self.assertEqual(["announced with its degraded attributes, for another 2s", "announced with its degraded attributes, for another 1s",
                          "safe to stop"], shown)


class Probe(Case):
    def answers(self, result):
        steps = [{"at_s": 0.00002, "text": "connecting to 198.51.100.1:80"}, {"at_s": 0.0012, "text": "connected\u001b[2J"}]
        return {"/v1/checks/web": document("checks", checks=[CHECK]),
                "POST /v1/checks/web/probe": document("probe", check="web", type="http", target="x", timeout_s=0.8, result=result,
                                                      reason="HTTP 200", duration_s=0.0034, steps=steps)}

    def test_every_step_has_its_time(self):
        with FakeDaemon(self.answers("pass")) as daemon:
            text = self.ok("probe", "run", "web", daemon=daemon)
            self.assertEqual(("POST", "/v1/checks/web/probe", {}), daemon.requests[1])
        self.assertEqual("check web: pass after 3.4ms: HTTP 200\n   20us  connecting to 198.51.100.1:80\n  1.2ms  connected\\x1b[2J\n", text)

    def test_what_does_not_pass_ends_with_1(self):
        for result in ["fail", "unknown"]:
            with self.subTest(result), FakeDaemon(self.answers(result)) as daemon:
                ran = self.ctl("probe", "run", "web", daemon=daemon)
                self.assertEqual((1, ""), (ran.returncode, ran.stderr))
                self.assertTrue(ran.stdout.startswith(f"check web: {result} after"))
                ran = self.ctl("probe", "run", "web", "--json", daemon=daemon)
                self.assertEqual((1, result), (ran.returncode, json.loads(ran.stdout)["result"]))

    def test_no_such_check_ends_with_5_and_too_many_with_1(self):
        with FakeDaemon({"/v1/checks/x": (404, error("no_such_object", "there is no check 'x'"))}) as daemon:
            self.refused(5, "probe", "run", "x", daemon=daemon)
        answers = {**self.answers("pass"), "POST /v1/checks/web/probe": (503, error("busy", "4 attempts by hand are under way"))}
        with FakeDaemon(answers) as daemon:
            self.assertIn("4 attempts by hand", self.refused(1, "probe", "run", "web", daemon=daemon))


if __name__ == "__main__":
    if not SWERVECTL:
        print("skipped: SWERVECTL does not name the binary")
        sys.exit(77)
    unittest.main()
