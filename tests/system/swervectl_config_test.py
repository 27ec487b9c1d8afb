"""swervectl's work on configurations against a fake daemon (fake_daemon.py): check, diff, reload."""

import json
import re
import sys
import tempfile
import unittest

from fake_daemon import FakeDaemon, document
from swervectl_case import SWERVECTL, Case

CHANGE = {
    "keys": [{"path": "neighbors.a.hold_time", "before": "9s", "after": "30s"},
             {"path": "checks.web.window", "before": None, "after": "{failures: 1, of: 2}"},
             {"path": "services.old.healthy_when", "before": "web", "after": None}],
    "resets": [{"neighbor": "a", "reason": "hold_time changes from 9s to 30s", "removed": False, "established": True},
               {"neighbor": "b", "reason": "is removed", "removed": True, "established": False}],
    "routes": [{"service": "portal", "added": 1, "removed": 2, "kept": 3, "attributes": ["a", "b"], "announced": True},
               {"service": "old", "added": 0, "removed": 4, "kept": 0, "attributes": [], "announced": False}],
    "enabled": [{"neighbor": "c", "was": "b"}]}
CHANGED_KEYS = ("changed keys\n"
                "  neighbors.a.hold_time      9s      ->  30s\n"
                "  checks.web.window          (none)  ->  {failures: 1, of: 2}\n"
                "  services.old.healthy_when  web     ->  (none)\n")


class Reload(Case):
    def answer(self, applied, change):
        return document("reload", applied=applied, file="/etc/swerve.yaml", text="it is so", change=change)

    def test_what_a_reload_changes_or_would(self):
        for words, applied, said, tense in [(["reload"], True, "in force", "was"),
                                            (["reload", "--dry-run"], False, "not applied, this would change", "is")]:
            answer = self.answer(applied, CHANGE)
            with self.subTest(words), FakeDaemon({"POST /v1/reload": answer}) as daemon:
                self.assertEqual(
                    f"/etc/swerve.yaml: {said}\n{CHANGED_KEYS}\n"
                    "reset sessions\n"
                    f"  a  hold_time changes from 9s to 30s  {tense} established\n"
                    f"  b  is removed                        {tense} not established\n\n"
                    "enabled neighbors\n"
                    "  c  was disabled as b\n\n"
                    "changed routes\n"
                    f"  portal  1 added, 2 removed, 3 kept  changed for a, b  {tense} announced\n"
                    f"  old     0 added, 4 removed, 0 kept                    {tense} not announced\n", self.ok(*words, daemon=daemon))
                self.assertEqual([("POST", "/v1/reload", {"dry_run": not applied})], daemon.requests)
                self.assertEqual(answer, json.loads(self.ok(*words, "--json", daemon=daemon)))
                self.assertIn("\033[31mwas established" if applied else "\033[31mis established",
                              self.ok(*words, "--color", "always", daemon=daemon))

    def test_nothing_changes(self):
        with FakeDaemon({"POST /v1/reload": self.answer(True, {"keys": [], "resets": [], "routes": []})}) as daemon:
            self.assertEqual("/etc/swerve.yaml: nothing changes\n", self.ok("reload", daemon=daemon))

    def test_every_fault_of_the_file_is_told(self):
        with tempfile.TemporaryDirectory() as directory:
            path = directory + "/swerve.yaml"
            with open(path, "w", encoding="utf-8") as file:
                file.write("site: fra1\nlocal_as: x\n")
            faults = [{"file": path, "line": 2, "column": 11, "path": "local_as", "message": "'x' is no AS\u001b[2J", "hint": "", "count": 1, "severity": "error"},
                      {"file": "/gone.txt", "line": 7, "column": 1, "path": "", "message": "is no prefix", "hint": "write one", "count": 1,
                       "severity": "error"}]
            answer = document("error", error={"code": "invalid_configuration", "message": "the first", "hint": "so",
                                              "diagnostics": faults})
            with FakeDaemon({"/v1/reload": (422, answer)}) as daemon:
                ran = self.ctl("reload", daemon=daemon)
                self.assertEqual((4, ""), (ran.returncode, ran.stdout))
                self.assertEqual(f"{path}:2:11: local_as: 'x' is no AS\\x1b[2J\n"
                                 "    local_as: x\n"
                                 "              ^\n"
                                 "/gone.txt:7:1: is no prefix (hint: write one)\n"
                                 "swervectl: 2 errors; the configuration in force is what it was\n", ran.stderr)
                ran = self.ctl("reload", "--json", daemon=daemon)
                self.assertEqual((4, ""), (ran.returncode, ran.stderr))
                self.assertEqual(answer["error"], json.loads(ran.stdout)["error"])
            faults.append({"file": path, "line": 0, "column": 0, "path": "", "message": "and 7 more", "hint": "", "count": 7})
            with FakeDaemon({"/v1/reload": (422, answer)}) as daemon:
                self.assertIn("and 7 more\nswervectl: 9 errors; ", self.ctl("reload", daemon=daemon).stderr)


VALID = """site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/24]
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496}
checks:
  web: {http: {url: "http://198.51.100.1/healthz"}}
services:
  portal: {prefixes: [198.51.100.0/24], healthy_when: web}
"""


class Configuration(Case):
    def check(self, text, *words):
        with tempfile.TemporaryDirectory() as directory:
            path = directory + "/swerve.yaml"
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return path, self.ctl("config", "check", path, *words)

    def test_a_valid_file_needs_no_daemon(self):
        path, ran = self.check(VALID)
        self.assertEqual((0, ""), (ran.returncode, ran.stderr))
        self.assertEqual(f"{path}: ok: site fra1, AS64500, 1 neighbor, 1 check, 1 service, 1 prefix\n", ran.stdout)
        _, ran = self.check(VALID, "--json")
        answer = json.loads(ran.stdout)
        self.assertEqual(("swerve.config_check/1", True, []), (answer["schema"], answer["valid"], answer["diagnostics"]))

    def test_a_promise_that_does_not_hold_for_every_failure_is_a_warning(self):
        text = VALID.replace("healthy_when: web}", "healthy_when: web, rto: 5s}")
        path, ran = self.check(text)
        self.assertEqual((0, ""), (ran.returncode, ran.stderr))
        self.assertIn(f"{path}:10:65: warning: services.portal.rto: '5s' cannot be kept when the host dies: 9s ", ran.stdout)
        self.assertTrue(ran.stdout.endswith(f"\n{path}: ok: site fra1, AS64500, 1 neighbor, 1 check, 1 service, 1 prefix, 1 warning\n"))
        answer = json.loads(self.check(text, "--json")[1].stdout)
        self.assertEqual((True, ["warning"]), (answer["valid"], [each["severity"] for each in answer["diagnostics"]]))
        path, ran = self.check(text.replace("rto: 5s", "rto: 3s"))
        self.assertEqual(4, ran.returncode)
        self.assertIn("(hint: change checks.web.timeout, or promise less)\n", ran.stdout)

    def test_every_fault_shows_its_place(self):
        bad = VALID.replace("64496", "70000x").replace("local_as", "local_ass")
        path, ran = self.check(bad)
        self.assertEqual((4, ""), (ran.returncode, ran.stderr))
        self.assertIn(f"{path}:2:1: ", ran.stdout)
        self.assertIn("    local_ass: 64500\n    ^\n", ran.stdout)
        line = "    " + bad.splitlines()[5]
        self.assertIn(f"{line}\n{' ' * line.index('70000x')}^\n", ran.stdout)
        self.assertRegex(ran.stdout, rf"\n{re.escape(path)}: \d+ errors\n$")
        path, ran = self.check(bad, "--json")
        self.assertEqual((4, ""), (ran.returncode, ran.stderr))
        answer = json.loads(ran.stdout)
        self.assertFalse(answer["valid"])
        self.assertIn((path, 2, 1), [(fault["file"], fault["line"], fault["column"]) for fault in answer["diagnostics"]])

    def test_the_sum_counts_faults_that_are_not_listed(self):
        path, ran = self.check(VALID + "".join(f"nonsense{i}: 1\n" for i in range(130)))
        self.assertIn(": and 30 more\n", ran.stdout)
        self.assertTrue(ran.stdout.endswith(f"\n{path}: 130 errors\n"), ran.stdout[-200:])

    def diff(self, running, text, *words):
        with tempfile.TemporaryDirectory() as directory:
            path = directory + "/new.yaml"
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            answer = document("config", file=directory + "/swerve.yaml", yaml=running)
            with FakeDaemon({"/v1/config": answer}) as daemon:
                ran = self.ctl("config", "diff", path, *words, daemon=daemon)
                self.assertEqual([("GET", "/v1/config", None)], daemon.requests)
            return path, ran

    def test_a_file_beside_what_is_in_force(self):
        path, ran = self.diff(VALID, VALID)
        self.assertEqual((0, f"{path}: nothing changes\n", ""), (ran.returncode, ran.stdout, ran.stderr))
        new = VALID.replace("remote_as: 64496", "remote_as: 64499")
        _, ran = self.diff(VALID, new)
        self.assertEqual((0, ""), (ran.returncode, ran.stderr))
        self.assertEqual("changed keys\n"
                         "  neighbors.upstream-a.remote_as  64496  ->  64499\n\n"
                         "reset sessions\n"
                         "  upstream-a  remote_as changes from 64496 to 64499\n", ran.stdout)
        path, ran = self.diff(VALID, new, "--json")
        answer = json.loads(ran.stdout)
        self.assertEqual(("swerve.config_diff/1", path, True, []),
                         (answer["schema"], answer["file"], answer["valid"], answer["diagnostics"]))
        self.assertEqual([{"path": "neighbors.upstream-a.remote_as", "before": "64496", "after": "64499"}], answer["change"]["keys"])

    def test_a_file_that_cannot_be_applied(self):
        for text, fault in [(VALID.replace("64496", "x"), ":6:49: neighbors.upstream-a.remote_as"),
                            (VALID + "state_dir: /tmp/elsewhere\n", ": state_dir: cannot change")]:
            path, ran = self.diff(VALID, text)
            self.assertEqual((4, ""), (ran.returncode, ran.stderr))
            self.assertIn(path + fault, ran.stdout)
            self.assertRegex(ran.stdout, r": 1 error\n$")
            _, ran = self.diff(VALID, text, "--json")
            answer = json.loads(ran.stdout)
            self.assertEqual((4, False, None, 1), (ran.returncode, answer["valid"], answer["change"], len(answer["diagnostics"])))

    def test_what_is_in_force_but_cannot_be_read_here(self):
        running = VALID.replace("prefixes: [198.51.100.0/24]", "prefixes_file: gone.txt")
        _, ran = self.diff(running, VALID)
        self.assertEqual((1, ""), (ran.returncode, ran.stdout))
        self.assertIn("what the daemon has in force cannot be read here", ran.stderr)
        self.assertIn("swervectl reload --dry-run", ran.stderr)

    def test_a_file_that_is_not_there(self):
        ran = self.ctl("config", "check", "/nonexistent.yaml")
        self.assertEqual(4, ran.returncode)
        self.assertIn("/nonexistent.yaml", ran.stdout)
        self.assertEqual(4, self.ctl("config", "check", "/nonexistent.yaml", "--json").returncode)


if __name__ == "__main__":
    if not SWERVECTL:
        print("skipped: SWERVECTL does not name the binary")
        sys.exit(77)
    unittest.main()
