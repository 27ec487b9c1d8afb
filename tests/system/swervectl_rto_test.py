#!/usr/bin/env python3
"""What services promise, as swervectl shows it."""

import json
import sys
import unittest

from fake_daemon import FakeDaemon, document
from swervectl_case import SWERVECTL, Case

PORTAL = {
    "name": "portal", "rto_s": 5.0,
    "cases": [{"failure": "fails_fast", "bound_s": 1.4, "because": "check web: 1s + 2 x 200ms", "key": "checks.web.interval", "kept": True},
              {"failure": "host_dies", "bound_s": None, "because": "neighbor a: no hold time", "key": "neighbors.a.hold_time", "kept": False},
              {"failure": "daemon_dies", "bound_s": 0.0, "because": "the kernel closes the sessions", "key": None, "kept": True}],
    "failovers": [{"id": 3, "time": "2026-11-21T05:28:14Z", "took_s": 0.25, "kept": True, "reason": "web: refused"}]}
MAIL = {"name": "mail", "rto_s": None, "cases": [PORTAL["cases"][0]], "failovers": []}


class Promises(Case):
    def test_the_table_beside_what_was_measured(self):
        with FakeDaemon({"/v1/rto": document("rto", services=[PORTAL, MAIL])}) as daemon:
            ran = self.ctl("rto", daemon=daemon)
        self.assertEqual((0, ""), (ran.returncode, ran.stderr))
        lines = [" ".join(line.split()) for line in ran.stdout.splitlines()]
        self.assertIn("portal promises 5.00s", lines)
        self.assertIn("fails_fast 1.40s kept check web: 1s + 2 x 200ms checks.web.interval", lines)
        self.assertIn("host_dies no bound not kept neighbor a: no hold time neighbors.a.hold_time", lines)
        self.assertIn("daemon_dies 0s kept the kernel closes the sessions -", lines)
        self.assertIn("3 250.0ms kept 2026-11-21T05:28:14Z web: refused", lines)
        self.assertIn("mail promises nothing", lines)
        self.assertIn("fails_fast 1.40s - check web: 1s + 2 x 200ms checks.web.interval", lines)

    def test_one_service_and_json(self):
        with FakeDaemon({"/v1/rto/portal": document("rto", services=[PORTAL])}) as daemon:
            answer = json.loads(self.ctl("rto", "portal", "--json", daemon=daemon).stdout)
            self.assertEqual([("GET", "/v1/rto/portal", None)], daemon.requests)
        self.assertEqual([PORTAL], answer["services"])

    def test_no_service(self):
        with FakeDaemon({"/v1/rto": document("rto", services=[])}) as daemon:
            self.assertEqual("no service is configured\n", self.ctl("rto", daemon=daemon).stdout)


if __name__ == "__main__":
    if not SWERVECTL:
        print("skipped: SWERVECTL does not name the binary")
        sys.exit(77)
    unittest.main()
