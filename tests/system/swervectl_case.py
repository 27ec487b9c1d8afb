"""What the tests of swervectl share: objects as the daemon sends them, and how a command is run and judged."""

import json
import os
import subprocess
import unittest

from fake_daemon import document

SWERVECTL = os.environ.get("SWERVECTL", "")

NEIGHBOR = {
    "name": "upstream-a", "description": "", "address": "192.0.2.254", "port": 179, "remote_as": 64496, "state": "established",
    "since": "2026-11-18T01:18:00Z", "up_s": 274320.5, "local_address": "192.0.2.1", "passive": False, "hold_time_s": 9,
    "keepalive_s": 3, "families": ["ipv4", "ipv6"], "prefixes_advertised": {"ipv4": 2, "ipv6": 1}, "prefixes_received": 7,
    "pending_withdrawals": 0, "pending_announcements": 0, "unsent_octets": 0, "updates_sent": 3,
    "disabled": False, "out_of_sync": False,
    "messages_sent": {"open": 1, "update": 3, "notification": 0, "keepalive": 90, "route_refresh": 0},
    "messages_received": {"open": 1, "update": 2, "notification": 0, "keepalive": 91, "route_refresh": 0},
    "established_count": 1, "next_retry_s": None, "bfd": None, "last_error": None}
IDLE = {**NEIGHBOR, "name": "b", "address": "198.51.100.250", "state": "idle", "since": "2026-11-21T05:29:19Z", "up_s": None,
        "prefixes_advertised": {"ipv4": 0, "ipv6": 0}, "prefixes_received": 0, "next_retry_s": 4.2,
        "last_error": 'peer sent Cease/Administrative Shutdown "maint\u001b[31m 18:00"'}
SERVICE = {
    "name": "portal", "verdict": "up", "verdict_reason": "web passes", "verdict_since": "2026-11-21T01:25:00Z",
    "intent": "announce", "intent_reason": "verdict is up", "intent_since": "2026-11-21T01:25:00Z", "healthy_when": "web",
    "shown": "announced", "degraded_when": None, "drain_stage": None, "drain_stage_s": None, "withdrawn_in_s": None, "return_s": None,
    "safe_to_stop": False,
    "damping": {"profile": "cisco", "penalty": 0.0, "suppressed_above": 2000.0, "hold_down_s": 0.0, "changes_per_hour": 12,
                "withdrawals_last_hour": 0, "wait_s": None, "cause": None},
    "prefix_count": 1, "prefixes": ["198.51.100.0/24"], "drain": None, "sent_to": 1, "established_neighbors": 1}
CHECK = {
    "name": "web", "type": "http", "target": "http://198.51.100.1/healthz", "state": "up", "reason": "3 passes in a row",
    "since": "2026-11-21T05:17:57Z", "interval_s": 1, "fast_interval_s": 0.2, "timeout_s": 0.8, "rise": 3, "fall": 2,
    "window": None, "detection_bound_s": 2.6, "consecutive_passes": 90, "consecutive_failures": 0, "window_failures": 0,
    "last": {"result": "pass", "reason": "200", "finished": "2026-11-21T05:29:59Z", "duration_s": 0.0012, "age_s": 0.4},
    "scope": "local", "effect": "withdraw", "only_if": None, "alarm": None, "on_unknown": "fail", "unknown_hold_s": 30.0,
    "without_evidence": False, "history": None,
    "held_until_s": None, "results": {"pass": 90, "fail": 0, "unknown": 0}, "caveat": None, "services": ["portal"]}
EVENT = {"schema": "swerve.event/1", "id": 17, "time": "2026-11-21T05:28:14.102000Z", "boottime_ns": 1, "type": "verdict",
         "severity": "critical", "subject": "portal", "text": "service portal: verdict up -> down: web fails", "detail": {}}
FAILOVER = {
    "id": 3, "subject": "portal", "reason": "web: refused", "prefixes": 1, "time": "2026-11-21T05:28:14Z", "complete": True,
    "first_evidence_boottime_ns": 1, "verdict_boottime_ns": 2, "detection_s": 0.25, "written_s": 0.00009,
    "acknowledged_s": 0.0021, "neighbors": [{"name": "upstream-a", "written_boottime_ns": 3, "acknowledged_boottime_ns": 4,
                                             "written_s": 0.00009, "acknowledged_s": 0.0021, "session_lost": False}]}
STATUS = document("status", version="0.1.0", site="fra1", local_as=64500, router_id="192.0.2.1", mode="site", stopping=False,
                  started="2026-11-18T01:18:00Z", uptime_s=274321, neighbors=[NEIGHBOR, IDLE], services=[SERVICE],
                  checks=[CHECK], events=[EVENT])
COLLECTOR = {**STATUS, "mode": "collector", "services": [], "checks": []}


class Case(unittest.TestCase):
    maxDiff = None

    def ctl(self, *words, daemon=None, env=None):
        surroundings = {"PATH": os.environ["PATH"], **(env or {})}
        if daemon:
            surroundings["SWERVE_SOCKET"] = daemon.socket
        return subprocess.run([SWERVECTL, *words], capture_output=True, text=True, env=surroundings, timeout=60, check=False)

    def ok(self, *words, daemon=None, env=None):
        ran = self.ctl(*words, daemon=daemon, env=env)
        self.assertEqual((0, ""), (ran.returncode, ran.stderr), ran.stdout)
        return ran.stdout

    def refused(self, code, *words, daemon=None):
        """The same failure in both languages; returns what a person reads."""
        human = self.ctl(*words, daemon=daemon)
        self.assertEqual((code, ""), (human.returncode, human.stdout), human.stderr)
        self.assertTrue(human.stderr.startswith("swervectl: "), human.stderr)
        self.assertEqual(1, human.stderr.count("\n"), human.stderr)
        machine = self.ctl("--json", *words, daemon=daemon)
        self.assertEqual((code, ""), (machine.returncode, machine.stderr))
        answer = json.loads(machine.stdout)
        self.assertEqual("swerve.error/1", answer["schema"])
        self.assertRegex(answer["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreater(answer["boottime_ns"], 0)
        self.assertEqual({"code", "message", "hint"}, set(answer["error"]))
        return human.stderr
