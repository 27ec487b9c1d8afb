"""swervectl wait against a fake daemon (fake_daemon.py)."""

import json
import re
import sys
import time
import unittest

from fake_daemon import FakeDaemon, document, error
from swervectl_case import COLLECTOR, EVENT, NEIGHBOR, SERVICE, STATUS, SWERVECTL, Case


class Wait(Case):
    def services(self, verdict):
        return document("services", services=[{**SERVICE, "verdict": verdict}])

    def test_a_condition_that_holds_ends_at_once(self):
        explain = document("explain", prefix="198.51.100.0/24", announced=True, wanted=True, summary="sent", steps=[])
        answers = {"/v1/status": STATUS, "/v1/services/portal": self.services("up"),
                   "/v1/neighbors/upstream-a": document("neighbors", neighbors=[NEIGHBOR]),
                   "/v1/explain?prefix=198.51.100.0/24": explain,
                   "/v1/explain?prefix=203.0.113.0/24": {**explain, "announced": False}}
        for condition in ["verdict=portal:up", "session=upstream-a", "announced=198.51.100.0/24", "withdrawn=203.0.113.0/24"]:
            with self.subTest(condition), FakeDaemon(answers) as daemon:
                self.assertRegex(self.ok("wait", condition, daemon=daemon), re.escape(condition) + r" after \d")
                answer = json.loads(self.ok("wait", condition, "--json", daemon=daemon))
                self.assertEqual((condition, True), (answer["condition"], answer["met"]))

    def test_it_ends_when_the_condition_comes(self):
        with FakeDaemon({"/v1/services/portal": [self.services("unknown")] * 3 + [self.services("up")]}) as daemon:
            self.ok("wait", "verdict=portal:up", daemon=daemon)
            self.assertEqual(4, sum(path == "/v1/services/portal" for _, path, _ in daemon.requests))

    def test_an_event_is_a_reason_to_look_again(self):
        answers = {"/v1/services/portal": [self.services("unknown")] * 20 + [self.services("up")]}
        with FakeDaemon(answers, live=[EVENT] * 20) as daemon:
            began = time.monotonic()
            self.ok("wait", "verdict=portal:up", daemon=daemon)
            # Twenty looks at the pace of a tenth of a second would take two seconds.
            self.assertLess(time.monotonic() - began, 1.9)

    def test_timeout_ends_with_6_and_says_what_is_the_case(self):
        with FakeDaemon({"/v1/services/portal": self.services("down")}) as daemon:
            said = self.refused(6, "wait", "verdict=portal:up", "--timeout", "150ms", daemon=daemon)
            self.assertEqual("swervectl: verdict=portal:up did not come within 0.15 s: it is down: web passes\n", said)

    def test_degraded_is_a_verdict(self):
        with FakeDaemon({"/v1/services/portal": [self.services("up"), self.services("degraded")]}) as daemon:
            self.ok("wait", "verdict=portal:degraded", daemon=daemon)
            self.refused(6, "wait", "verdict=portal:up", "--timeout", "1ms", daemon=daemon)

    def test_what_does_not_exist_ends_with_5(self):
        missing = (404, error("no_such_object", "no service 'x'", "there are: portal"))
        with FakeDaemon({"/v1/services/x": missing, "/v1/neighbors/x": missing, "/v1/status": STATUS}) as daemon:
            self.refused(5, "wait", "verdict=x:up", daemon=daemon)
            self.refused(5, "wait", "session=x", daemon=daemon)

    def explained(self, announced, **marks):
        steps = [{"stage": stage, "mark": mark, "text": "so"} for stage, mark in marks.items()]
        return document("explain", prefix="203.0.113.0/24", announced=announced, wanted=announced, summary="so", steps=steps)

    def wait_refused(self, code, condition, *explained):
        with FakeDaemon({"/v1/status": STATUS, "/v1/explain?prefix=203.0.113.0/24": list(explained)}) as daemon:
            return self.refused(code, "wait", condition + "=203.0.113.0/24", "--timeout", "1ms", daemon=daemon)

    def wait_done(self, condition, *explained):
        with FakeDaemon({"/v1/status": STATUS, "/v1/explain?prefix=203.0.113.0/24": list(explained)}) as daemon:
            self.ok("wait", condition + "=203.0.113.0/24", daemon=daemon)

    def test_a_prefix_outside_owned_ends_with_5(self):
        for condition in ["announced", "withdrawn"]:
            self.assertEqual("swervectl: 203.0.113.0/24 is outside everything in owned: name a prefix within owned; "
                             "`swervectl show config` has the list\n",
                             self.wait_refused(5, condition, self.explained(False, owned="blocked")))

    def test_nobodys_prefix_is_not_withdrawn(self):
        nobodys = self.explained(False, owned="ok", service="blocked", override="info", sessions="info")
        self.assertEqual("swervectl: 203.0.113.0/24 is of no service and has no override: `swervectl show routes` lists the routes "
                         "of this site\n", self.wait_refused(5, "withdrawn", nobodys))
        # An operator may announce it yet.
        self.wait_refused(6, "announced", nobodys)
        self.wait_done("announced", nobodys, self.explained(True, owned="ok", service="info", override="ok", sessions="ok"))

    def test_the_end_of_a_manual_route_is_a_withdrawal(self):
        manual = self.explained(True, owned="ok", service="info", override="ok", sessions="ok")
        self.wait_done("withdrawn", manual, self.explained(False, owned="ok", service="blocked", override="info", sessions="info"))
        self.wait_done("withdrawn", self.explained(False, owned="ok", service="blocked", override="blocked", sessions="info"))

    def test_a_collector_answers_from_what_it_received(self):
        def routes(*best):
            return document("routes", routes=[], cut=False, received=[
                {"prefix": "198.51.100.0/24", "neighbor": "a", "best": value} for value in best])
        path = "/v1/routes?prefix=198.51.100.0/24"
        with FakeDaemon({"/v1/status": COLLECTOR, path: routes(False, True)}) as daemon:
            self.ok("wait", "announced=198.51.100.0/24", daemon=daemon)
            self.refused(6, "wait", "withdrawn=198.51.100.0/24", "--timeout", "1ms", daemon=daemon)
        with FakeDaemon({"/v1/status": COLLECTOR, path: routes()}) as daemon:
            self.ok("wait", "withdrawn=198.51.100.0/24", daemon=daemon)
            self.refused(6, "wait", "announced=198.51.100.0/24", "--timeout", "1ms", daemon=daemon)

    def test_a_collectors_neighbor_may_still_come(self):
        missing = (404, error("no_such_object", "no neighbor 'x'"))
        here = document("neighbors", neighbors=[{**NEIGHBOR, "name": "x"}])
        with FakeDaemon({"/v1/status": COLLECTOR, "/v1/neighbors/x": [missing, here]}) as daemon:
            self.ok("wait", "session=x", daemon=daemon)


if __name__ == "__main__":
    if not SWERVECTL:
        print("skipped: SWERVECTL does not name the binary")
        sys.exit(77)
    unittest.main()
