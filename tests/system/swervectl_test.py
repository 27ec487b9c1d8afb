"""swervectl against a fake daemon (fake_daemon.py): words, tables, exit codes, and JSON whatever happens."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

from fake_daemon import FakeDaemon, document, error
from swervectl_case import CHECK, COLLECTOR, EVENT, FAILOVER, IDLE, NEIGHBOR, SERVICE, STATUS, SWERVECTL, Case


class Words(Case):
    def test_usage_errors_end_with_2(self):
        for words in [[], ["shwo"], ["show"], ["show", "nothing"], ["explain"], ["status", "x"], ["status", "--frobnicate"],
                      ["events", "--since", "x"], ["config"], ["config", "check"], ["wait", "x"], ["wait", "verdict=portal"],
                      ["wait", "verdict=portal:sideways"], ["wait", "announced=10.0.0.0"], ["--color", "blue", "status"],
                      ["wait", "session=a", "--timeout", "30"], ["drain", "portal", "--for", "10"], ["undrain"],
                      ["undrain", "portal", "--for", "10m"],
                      ["drain", "portal", "--for", "1500ms"], ["drain", "portal", "--for", "-1s"],
                      ["drain", "portal", "--for", "99999999999d"], ["show", "config", "x"], ["explain", "198.51.100.0"],
                      ["show", "routes", "here"], ["show", "routes", "--limit", "x"], ["show", "neighbors", "--limit", "1"],
                      ["show", "bfd", "--limit", "1"],
                      ["show", "neighbors", "a", "b"], ["show", "adj-out", "a", "198.51.100.7/24"], ["show", "adj-out", "10.0.0.7/8"],
                      ["probe"], ["probe", "run"], ["drain", "portal", "--timeout", "5s"], ["drain", "portal", "--wait", "--timeout", "5"],
                      ["undrain", "portal", "--wait"], ["neighbor"], ["neighbor", "a"], ["neighbor", "a", "sideways"], ["config", "diff"], ["reload", "x"]]:
            with self.subTest(words):
                self.refused(2, *words)

    def test_host_bits_get_the_prefix_that_was_meant(self):
        self.assertIn("did you mean 198.51.100.0/24?", self.refused(2, "withdraw", "198.51.100.7/24"))

    def test_ambiguity_names_the_commands(self):
        self.assertIn("short for more than one of: status, show", self.refused(2, "s"))

    def test_a_duration_needs_its_unit(self):
        self.assertIn("write a number and its unit: 500ms, 30s, 10m, 2h, 1d", self.refused(2, "drain", "portal", "--for", "10"))

    def test_help_and_version(self):
        text = self.ok("--help")
        for command in ["status", "show", "explain", "announce", "withdraw", "drain", "undrain", "auto", "neighbor", "probe", "wait",
                        "events", "reload", "config", "version"]:
            self.assertRegex(text, rf"(?m)^  {command} ")
        self.assertIn("Exit codes: 0 done", text)
        self.assertIn("--timeout", self.ok("wait", "--help"))
        self.assertEqual("swerve.help/1", json.loads(self.ok("--help", "--json"))["schema"])
        self.assertRegex(self.ok("version"), r"^swervectl \d+\.\d+\.\d+\n$")
        self.assertRegex(json.loads(self.ok("version", "--json"))["version"], r"^\d+\.\d+\.\d+$")

    def test_the_version_is_an_option_too(self):
        self.assertEqual(self.ok("version"), self.ok("--version"))
        self.assertEqual(json.loads(self.ok("version", "--json"))["version"], json.loads(self.ok("--json", "--version"))["version"])

    def test_commands_of_later_versions_say_so(self):
        for words in ["top", "check", "config show"]:
            with self.subTest(words):
                self.assertEqual(f"swervectl: '{words}' is not in this version: see swervectl --help\n",
                                 self.refused(2, *words.split()))
        self.refused(2, "--color", "never", "conf", "show", "x")

    def test_json_may_stand_anywhere(self):
        with FakeDaemon({"/v1/neighbors": document("neighbors", neighbors=[NEIGHBOR])}) as daemon:
            answers = [self.ok(*words, daemon=daemon) for words in
                       (["--json", "show", "neighbors"], ["show", "--json", "neighbors"], ["show", "neighbors", "--json"])]
        self.assertEqual(1, len(set(answers)))
        self.assertEqual([NEIGHBOR], json.loads(answers[0])["neighbors"])

    def test_abbreviations_and_the_singular(self):
        with FakeDaemon({"/v1/neighbors": document("neighbors", neighbors=[NEIGHBOR])}) as daemon:
            full = self.ok("show", "neighbors", daemon=daemon)
            for words in (["sh", "nei"], ["show", "neighbor"], ["--color", "never", "sh", "n"]):
                self.assertEqual(full, self.ok(*words, daemon=daemon))

    def test_the_option_names_the_socket_over_the_environment(self):
        with FakeDaemon({"/v1/status": STATUS}) as daemon:
            self.ok("--socket", daemon.socket, "status", env={"SWERVE_SOCKET": "/nowhere"})
            self.ok("status", "--socket", daemon.socket)


class Unreachable(Case):
    def test_no_daemon_says_what_to_do(self):
        with tempfile.TemporaryDirectory() as directory:
            path = directory + "/control.sock"
            said = self.refused(3, "--socket", path, "status")
            self.assertEqual(f"swervectl: no daemon listens on {path}: start it with `swerved FILE`, or name its socket with "
                             "--socket or SWERVE_SOCKET\n", said)
            # A socket that a dead daemon left behind.
            left = socket.socket(socket.AF_UNIX)
            left.bind(path)
            left.close()
            self.assertIn(f"no daemon listens on {path}", self.refused(3, "--socket", path, "status"))
            for words in (["wait", "session=a"], ["events", "--follow"], ["drain", "portal"], ["reload"], ["reload", "--dry-run"],
                          ["neighbor", "upstream-a", "reset"], ["show", "adj-out"], ["config", "diff", os.devnull]):
                self.refused(3, "--socket", path, *words)

    def test_permission_denied_says_so(self):
        if os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"):
            self.skipTest("root may connect to everything and there is no setpriv")
        with FakeDaemon({"/v1/status": STATUS}) as daemon:
            os.chmod(os.path.dirname(daemon.socket), 0o755)
            os.chmod(daemon.socket, 0o600 if os.geteuid() == 0 else 0)
            lower = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
            reachable = subprocess.run([*lower, "test", "-x", SWERVECTL], check=False).returncode == 0
            if not reachable:
                self.skipTest("the binary lies where an unprivileged user cannot run it")
            ran = subprocess.run([*lower, SWERVECTL, "--socket", daemon.socket, "status"], capture_output=True, text=True,
                                 timeout=60, check=False)
        self.assertEqual((3, ""), (ran.returncode, ran.stdout))
        self.assertIn(f"permission denied on {daemon.socket}: run as root or as a member of the socket's group", ran.stderr)

    def test_a_path_that_is_none(self):
        self.refused(2, "--socket", "/" + "x" * 200, "status")

    def test_what_is_no_answer(self):
        for body in [b"", b"not json", b"[1]", b'{"error": 1}']:
            with self.subTest(body), FakeDaemon({"/v1/status": (500, body)}) as daemon:
                self.refused(1, "status", daemon=daemon)

    def test_a_connection_that_closes_early(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
            path = directory + "/control.sock"
            listener.bind(path)
            listener.listen()
            running = subprocess.Popen([SWERVECTL, "--socket", path, "status"], stderr=subprocess.PIPE, text=True)
            connection, _ = listener.accept()
            connection.recv(10)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.close()
            self.assertIn("closed the connection before its answer was complete", running.communicate(timeout=60)[1])
            self.assertEqual(1, running.returncode)


class Errors(Case):
    def test_each_code_of_the_api_has_its_exit_code(self):
        # docs/api.md, the table of errors.
        for code, status, expected in [("bad_request", 400, 2), ("not_found", 404, 2), ("no_such_object", 404, 5),
                                       ("method_not_allowed", 405, 2), ("refused", 409, 7), ("too_large", 413, 2),
                                       ("invalid_configuration", 422, 4), ("not_applied", 409, 1), ("of_a_later_version", 418, 1),
                                       ("busy", 503, 1), ("main_silent", 504, 1)]:
            with self.subTest(code), FakeDaemon({"/v1/drain": (status, error(code, "it is so", "do this"))}) as daemon:
                self.assertEqual("swervectl: it is so: do this\n", self.refused(expected, "drain", "portal", daemon=daemon))

    def test_hints_name_commands_instead_of_api_calls(self):
        for hint, shown in [("GET /v1/services lists them", "`swervectl show services` lists them"),
                            ("the last 64 are kept; GET /v1/failovers lists them",
                             "the last 64 are kept; `swervectl show failovers` lists them"),
                            ("GET /v1/status shows the whole", "`swervectl status` shows the whole"),
                            ("GET /v1/config", "`swervectl show config`"),
                            ("GET /v1/bfd lists them", "`swervectl show bfd` lists them"),
                            ("GET /v1/adj-out shows it", "`swervectl show adj-out` shows it"),
                            ("GET /v1/explain?prefix=198.51.100.0/24", "GET /v1/explain?prefix=198.51.100.0/24"),
                            ("GET /v1/", "GET /v1/")]:
            with self.subTest(hint), FakeDaemon({"/v1/drain": (404, error("no_such_object", "it is so", hint))}) as daemon:
                self.assertEqual(f"swervectl: it is so: {shown}\n", self.refused(5, "drain", "portal", daemon=daemon))

    def test_text_of_the_daemon_is_safe_for_the_terminal(self):
        with FakeDaemon({"/v1/drain": (409, error("refused", "a\u001b[2Jb"))}) as daemon:
            self.assertIn("a\\x1b[2Jb", self.refused(7, "drain", "portal", daemon=daemon))


class Tables(Case):
    def show(self, words, path, answer, **options):
        with FakeDaemon({path: answer}) as daemon:
            return self.ok(*words, daemon=daemon, **options)

    def test_neighbors_stand_in_columns(self):
        text = self.show(["show", "neighbors"], "/v1/neighbors", document("neighbors", neighbors=[NEIGHBOR, IDLE]))
        self.assertEqual(
            "NAME        ADDRESS         REMOTE AS  STATE        UP/DOWN  SENT  RCVD  BFD  LAST ERROR\n"
            "upstream-a  192.0.2.254         64496  established    3d04h     3     7  -    -\n"
            "b           198.51.100.250      64496  idle             41s     0     0  -    "
            'peer sent Cease/Administrative Shutdown "maint\\x1b[31m 18:00"; next try in 4s\n', text)

    def test_one_neighbor_at_length(self):
        text = self.show(["show", "neighbor", "upstream-a"], "/v1/neighbors/upstream-a",
                         document("neighbors", neighbors=[NEIGHBOR]))
        self.assertTrue(text.startswith("neighbor upstream-a\n  "))
        for line in ["address             192.0.2.254 port 179", "hold time           9.00s",
                     "messages sent       open 1, update 3, notification 0, keepalive 90, route refresh 0"]:
            self.assertIn(f"  {line}\n", text)

    def test_services_and_checks(self):
        services = self.show(["show", "services"], "/v1/services", document("services", services=[SERVICE]))
        self.assertEqual("NAME    VERDICT  INTENT    SHOWN        FOR  PREFIXES  SENT TO  WHY\n"
                         "portal  up       announce  announced  4h05m         1      1/1  verdict is up\n", services)
        checks = self.show(["show", "checks"], "/v1/checks", document("checks", checks=[CHECK]))
        self.assertRegex(checks, r"\nweb +http +http://198.51.100.1/healthz +withdraw +up +12m03s +pass +400.0ms +1.2ms +3 passes in a row\n$")
        detail = self.show(["show", "check", "web"], "/v1/checks/web",
                           document("checks", checks=[{**CHECK, "window": {"failures": 5, "of": 10}, "window_failures": 2}]))
        self.assertIn("2 failures of the last 10 (flips at 5)", detail)
        self.assertIn("every 1.00s, after a failure every 200.0ms, timeout 800.0ms", detail)

    def test_routes_own_and_received(self):
        answer = document("routes", cut=True, routes=[
            {"prefix": "198.51.100.0/24", "service": "portal", "intent": "announce", "reason": "verdict is up",
             "override": None, "sent_to": 1},
            {"prefix": "203.0.113.0/24", "service": None, "intent": "announce", "reason": "by an operator",
             "override": {"kind": "announce", "who": "root", "reason": "", "expires_s": None}, "sent_to": 1}],
            received=[{"prefix": "198.51.100.0/24", "neighbor": "a", "best": True, "next_hop": "192.0.2.9",
                       "as_path": "64501", "origin": "igp", "med": None, "local_pref": None, "communities": ["64500:1"],
                       "large_communities": [], "own_as_in_path": False, "age_s": 61}])
        text = self.show(["show", "routes"], "/v1/routes", answer)
        self.assertRegex(text, r"198.51.100.0/24 +portal +announce +- +1 +verdict is up\n")
        self.assertRegex(text, r"203.0.113.0/24 +\(manual\) +announce +announce +1 +by an operator\n")
        self.assertRegex(text, r"\n\* +198.51.100.0/24 +a +192.0.2.9 +64501 +- +1m01s +64500:1\n")
        self.assertIn("\nnot all routes are shown; name a prefix, or give --limit\n", text)
        self.show(["show", "routes", "198.51.100.0/24"], "/v1/routes?prefix=198.51.100.0/24", answer)
        self.show(["show", "routes", "--limit", "7"], "/v1/routes?limit=7", answer)

    def test_a_neighbor_that_an_operator_or_its_silence_stops(self):
        for fields, state in [({"disabled": True}, "disabled"), ({"out_of_sync": True}, "out of sync"), ({}, "established")]:
            answer = document("neighbors", neighbors=[{**NEIGHBOR, **fields}])
            self.assertIn(f" 64496  {state} ", self.show(["show", "neighbors"], "/v1/neighbors", answer))
        text = self.show(["show", "neighbor", "upstream-a"], "/v1/neighbors/upstream-a",
                         document("neighbors", neighbors=[{**NEIGHBOR, "disabled": True, "out_of_sync": True}]))
        self.assertIn("  disabled            yes, by an operator\n", text)
        self.assertIn("  out of sync         yes: it does not take what it is to hold\n", text)

    def test_a_neighbor_that_the_configuration_or_its_limit_stops(self):
        for fields, state in [({"admin_down": True}, "admin down"), ({"over_limit": True}, "over its limit")]:
            answer = document("neighbors", neighbors=[{**NEIGHBOR, **fields}])
            self.assertIn(f" 64496  {state} ", self.show(["show", "neighbors"], "/v1/neighbors", answer))
        more = {"admin_down": True, "group": "transit", "local_as": 64500, "prefixes_heard": 900, "end_of_rib": ["ipv4"],
                "prefix_limit": {"kept": 100, "received": None, "idle_s": 900.0}, "offered": {"role": "customer"},
                "negotiated": {"four_octet_as": True, "route_refresh": True, "add_path_receive": ["ipv4"],
                               "remote_role": "provider", "remote_restart": {"restart_time_s": 120.0}},
                "last_notification": {"direction": "received", "code": 6, "subcode": 2, "age_s": 61.0, "shutdown_communication": "x",
                                      "text": 'Cease/Administrative Shutdown "x"'}}
        text = self.show(["show", "neighbor", "upstream-a"], "/v1/neighbors/upstream-a",
                         document("neighbors", neighbors=[{**NEIGHBOR, **more}]))
        for line in ["disabled            yes, by admin_down", "group               transit", "local AS            64500",
                     "prefixes received   7 kept of 900 announced", "prefix limit        kept 100, received -, pause 15m00s",
                     "role                customer, its own provider", "all told (EoR)      ipv4",
                     "capabilities        four-octet AS, route refresh, add-path in (ipv4), it keeps routes for a restart",
                     'last notification   Cease/Administrative Shutdown "x", received 1m01s ago']:
            self.assertIn(f"  {line}\n", text)

    def test_observed_routes(self):
        route = {"prefix": "198.51.100.0/24", "neighbor": "a", "site": 2, "as_path": "64496 64500", "age_s": 61, "may_be_ours": False}
        longer = {**route, "prefix": "198.51.100.128/25", "site": None}
        answer = document("observed", site_community="64500:1:1", cut=True, observed=[
            {"prefix": "198.51.100.0/24", "visibility": "seen", "routes": [route, {**route, "may_be_ours": True}],
             "covering": [], "inside": [longer]},
            {"prefix": "203.0.113.0/24", "visibility": "not_observable", "routes": [], "covering": [], "inside": []}])
        text = self.show(["show", "routes", "--observed"], "/v1/observed", answer)
        self.assertRegex(text, r"\n198.51.100.0/24 +seen +a +2 +64496 64500 +1m01s *\n")
        self.assertRegex(text, r"\n +a +2 +64496 64500 +1m01s +may be ours\n")
        self.assertRegex(text, r"\n +a +- +64496 64500 +1m01s +198.51.100.128/25\n")
        self.assertRegex(text, r"\n203.0.113.0/24 +not_observable +- +- +- +- *\n")
        self.assertIn("\nnot all prefixes are shown; name a prefix, or give --limit\n", text)
        self.show(["show", "routes", "--observed", "198.51.100.0/24", "--limit", "5"],
                  "/v1/observed?prefix=198.51.100.0/24&limit=5", answer)
        self.refused(2, "show", "services", "--observed")

    def test_a_drain_tells_its_stage(self):
        for fields, line in [({"drain_stage": "degraded", "drain_stage_s": 12.0, "withdrawn_in_s": 22.0},
                              "announced with degraded for 12s, withdrawn in 22s"),
                             ({"drain_stage": "withdrawn"}, "withdrawn"), ({"return_s": 7.0}, "returning: degraded, in full in 7s"),
                             ({}, "-")]:
            text = self.show(["show", "service", "portal"], "/v1/services/portal",
                             document("services", services=[{**SERVICE, **fields}]))
            self.assertRegex(text, rf"(?m)^  stage +{line}$")

    def test_a_service_that_waits_says_why(self):
        damping = {**SERVICE["damping"], "penalty": 1500.4, "wait_s": 250.0, "cause": "penalty", "withdrawals_last_hour": 2}
        answer = document("services", services=[{**SERVICE, "shown": "nothing", "damping": damping, "safe_to_stop": True}])
        text = self.show(["show", "services"], "/v1/services", answer)
        self.assertIn("verdict is up; damping holds it back for 4m10s (penalty)\n", text)
        text = self.show(["show", "service", "portal"], "/v1/services/portal", answer)
        self.assertRegex(text, r"(?m)^  safe to stop +yes$")
        self.assertIn("profile cisco, penalty 1500 of 2000, 2 withdrawals in the last hour of 12; damping holds it back for 4m10s", text)

    def test_a_check_shows_what_it_may_do_and_what_it_found(self):
        past = [{"finished": "2026-11-21T05:29:59Z", "age_s": 60.0 - i, "duration_s": 0.0012, "result": result, "by_event": i == 2,
                 "reason": f"so {i}"} for i, result in enumerate(["pass"] * 40 + ["fail", "unknown"])]
        answer = document("checks", checks=[{**CHECK, "scope": "shared", "effect": "gate", "only_if": "db", "history": past,
                                             "on_unknown": "hold", "without_evidence": True, "alarm": "db fails"}])
        text = self.show(["show", "check", "web"], "/v1/checks/web", answer)
        for line in ["effect +gate .scope shared.", "only if +db", "alarm +db fails", "evidence +none: its state stands all the same",
                     "without evidence +held for 30.00s, then: hold"]:
            self.assertRegex(text, rf"(?m)^  {line}$")
        self.assertIn("last 42 (. pass, x fail, ? unknown), oldest first:\n  " + "." * 40 + "x?\n", text)
        rows = text.splitlines()[-11:]
        self.assertRegex(rows[0], "AGO +TOOK +RESULT +BY +REASON")
        self.assertRegex(rows[1], "^  19.00s +1.2ms +unknown +interval +so 41$")
        self.assertRegex(rows[10], "so 32$")
        self.assertIn("; alarm: db fails\n", self.show(["show", "checks"], "/v1/checks", answer))

    def test_adj_out_says_what_is_sent_and_what_is_to_be(self):
        short = {"origin": "igp", "prepend": 0, "med": None, "local_pref": None, "communities": [], "large_communities": []}
        long = {"origin": "egp", "prepend": 2, "med": 5, "local_pref": 100, "communities": ["64500:1", "64500:2"],
                "large_communities": ["64500:1:2"]}
        said = "egp, prepend 2, med 5, local_pref 100, 64500:1, 64500:2, 64500:1:2"
        routes = [{"prefix": f"198.51.{i}.0/24", "neighbor": "a", "state": state, "sent": sent, "desired": desired}
                  for i, (state, sent, desired) in enumerate([("sent", long, long), ("to_announce", None, short),
                                                              ("to_change", short, long), ("to_withdraw", short, None)])]
        answer = document("adj_out", adj_out=routes, cut=True)
        text = self.show(["show", "adj-out"], "/v1/adj-out", answer)
        rows = [re.split("  +", line) for line in text.splitlines()]
        self.assertEqual([["PREFIX", "NEIGHBOR", "STATE", "SENT", "TO BE SENT"],
                          ["198.51.0.0/24", "a", "sent", said],
                          ["198.51.1.0/24", "a", "to be announced", "-", "igp"],
                          ["198.51.2.0/24", "a", "to be changed", "igp", said],
                          ["198.51.3.0/24", "a", "to be withdrawn", "igp", "-"],
                          ["not all routes are shown; name a neighbor and a prefix, or give --limit"]], rows)
        for words, target in [(["a"], "?neighbor=a"), (["198.51.0.0/24"], "?prefix=198.51.0.0/24"),
                              (["a", "2001:db8::/32"], "?neighbor=a&prefix=2001:db8::/32"),
                              (["a", "--limit", "5"], "?neighbor=a&limit=5"), (["--limit", "5"], "?limit=5")]:
            with self.subTest(words):
                self.assertEqual(text, self.show(["show", "adj-out", *words], "/v1/adj-out" + target, answer))
        self.assertEqual(answer, json.loads(self.show(["show", "adj-out", "--json"], "/v1/adj-out", answer)))

    def test_failovers_and_events(self):
        text = self.show(["show", "failovers"], "/v1/failovers", document("failovers", failovers=[FAILOVER]))
        self.assertRegex(text, r"\n 3 +2026-11-21T05:28:14Z +portal +1 +250.0ms +90us +2.1ms +web: refused\n$")
        text = self.show(["show", "failover", "3"], "/v1/failovers/3", document("failovers", failovers=[FAILOVER]))
        self.assertRegex(text, r"\n  upstream-a +90us +2.1ms +kept\n$")
        for words in (["show", "events"], ["events"], ["show", "events", "portal"]):
            text = self.show(words, "/v1/events", document("events", events=[EVENT]))
            self.assertRegex(text, r"\n17 +2026-11-21T05:28:14.102000Z +verdict +portal +service portal: verdict up -> down: web fails\n$")
        self.assertEqual("no event is kept\n",
                         self.show(["show", "events", "other"], "/v1/events", document("events", events=[EVENT])))
        self.show(["events", "--since", "16"], "/v1/events?since=16", document("events", events=[EVENT]))

    def test_nothing_is_a_sentence(self):
        for word, sentence in [("neighbors", "no neighbor is configured or connected"),
                               ("bfd", "no BFD session: `bfd: {}` under a neighbor that has its local_address switches it on"),
                               ("services", "no service is configured"),
                               ("checks", "no check is configured"), ("routes", "no route here and none received"),
                               ("failovers", "no failover since the daemon started"), ("events", "no event is kept"),
                               ("adj-out", "nothing is sent to a neighbor, and nothing is to be")]:
            fields = {"routes": [], "received": []} if word == "routes" else {word: []}
            self.assertEqual(sentence + "\n", self.show(["show", word], f"/v1/{word}", document(word, **fields)))

    def test_missing_fields_are_dashes(self):
        for word in ["neighbors", "bfd", "services", "checks", "failovers", "events", "routes"]:
            self.assertIn("-", self.show(["show", word], f"/v1/{word}", {word: [{}], "received": [{}]}))
        for word in ["neighbors", "bfd", "services", "checks", "failovers"]:
            self.assertIn("-", self.show(["show", word, "x"], f"/v1/{word}/x", {word: [{}]}))
        self.show(["status"], "/v1/status", {})

    def test_names_are_encoded(self):
        with FakeDaemon({"/v1/services/a b/c?d": document("services", services=[SERVICE])}) as daemon:
            self.ok("show", "service", "a b/c?d", daemon=daemon)
            self.assertEqual("/v1/services/a%20b%2Fc%3Fd", daemon.requests[0][1])

    def test_config_is_printed_as_it_is(self):
        answer = document("config", file="/etc/swerve/swerve.yaml", yaml="site: fra1\n")
        self.assertEqual("# /etc/swerve/swerve.yaml\nsite: fra1\n", self.show(["show", "config"], "/v1/config", answer))

    def test_status_is_one_screen(self):
        text = self.show(["status"], "/v1/status", STATUS)
        self.assertTrue(text.startswith("fra1  site  AS64500  router id 192.0.2.1  up 3d04h  swerved 0.1.0\n\n"), text)
        for part in ["upstream-a", "portal", "http://198.51.100.1/healthz", "verdict up -> down"]:
            self.assertIn(part, text)
        self.assertNotIn("VERDICT", self.show(["status"], "/v1/status", COLLECTOR))
        self.assertIn("STOPPING", self.show(["status"], "/v1/status", {**STATUS, "stopping": True}))

    def test_explain_is_a_chain(self):
        answer = document("explain", prefix="198.51.100.0/24", announced=False, wanted=False, summary="web fails", steps=[
            {"stage": "owned", "mark": "ok", "text": "inside 198.51.100.0/24"},
            {"stage": "checks", "mark": "blocked", "text": "web: refused"},
            {"stage": "sessions", "mark": "info", "text": "1 established"}])
        self.assertEqual("198.51.100.0/24  NOT ANNOUNCED  web fails\n"
                         "  owned     ok       inside 198.51.100.0/24\n"
                         "  checks    blocked  web: refused\n"
                         "  sessions  info     1 established\n",
                         self.show(["explain", "198.51.100.0/24"], "/v1/explain?prefix=198.51.100.0/24", answer))

    def test_colors_follow_the_option_the_environment_and_the_terminal(self):
        answer = document("services", services=[SERVICE])
        green = "\033[32mup"
        self.assertNotIn("\033", self.show(["show", "services"], "/v1/services", answer))
        self.assertIn(green, self.show(["show", "services", "--color", "always"], "/v1/services", answer))
        for words, surroundings, colored in [([], {}, True), ([], {"NO_COLOR": "1"}, False), ([], {"NO_COLOR": ""}, True),
                                             (["--color", "never"], {}, False), (["--color=always"], {"NO_COLOR": "1"}, True)]:
            with self.subTest((words, surroundings)), FakeDaemon({"/v1/services": answer}) as daemon:
                ours, theirs = os.openpty()
                subprocess.run([SWERVECTL, "--socket", daemon.socket, *words, "show", "services"], stdout=theirs,
                               env=surroundings, timeout=60, check=True)
                os.close(theirs)
                self.assertEqual(colored, green in os.read(ours, 4096).decode())
                os.close(ours)


class Commands(Case):
    def test_overrides_send_what_was_said(self):
        done = document("done", done=True, text="portal is drained", saved=True, note=None)
        for words, path, body in [
                (["drain", "portal"], "/v1/drain", {"service": "portal"}),
                (["undrain", "portal"], "/v1/undrain", {"service": "portal"}),
                (["drain", "portal", "--for", "10m", "--reason", "kernel \"6.1\" ä"], "/v1/drain",
                 {"service": "portal", "for_s": 600, "reason": "kernel \"6.1\" ä"}),
                (["announce", "198.51.100.0/24", "--for", "2h"], "/v1/announce", {"prefix": "198.51.100.0/24", "for_s": 7200}),
                (["withdraw", "2001:db8::/48"], "/v1/withdraw", {"prefix": "2001:db8::/48"}),
                (["auto", "portal"], "/v1/auto", {"subject": "portal"}),
                (["auto", "198.51.100.0/24"], "/v1/auto", {"subject": "198.51.100.0/24"}),
                (["stop"], "/v1/stop", {"planned_restart": False}),
                (["stop", "--planned-restart", "--reason", "upgrade"], "/v1/stop", {"planned_restart": True, "reason": "upgrade"}),
                (["neighbor", "upstream-a", "disable"], "/v1/neighbor", {"neighbor": "upstream-a", "command": "disable"}),
                (["neighbor", "upstream-a", "reset", "--reason", "new key"], "/v1/neighbor",
                 {"neighbor": "upstream-a", "command": "reset", "reason": "new key"})]:
            with self.subTest(words), FakeDaemon({"POST " + path: done}) as daemon:
                self.assertEqual("portal is drained\n", self.ok(*words, daemon=daemon))
                self.assertEqual([("POST", path, body)], daemon.requests)
                self.assertEqual(done, json.loads(self.ok(*words, "--json", daemon=daemon)))

    def test_what_is_in_force_but_not_saved_is_a_failure(self):
        done = document("done", done=True, text="portal is drained", saved=False, note="in force, but not saved: disk full")
        with FakeDaemon({"POST /v1/drain": done}) as daemon:
            ran = self.ctl("drain", "portal", daemon=daemon)
            self.assertEqual((1, "portal is drained\n", "swervectl: in force, but not saved: disk full\n"),
                             (ran.returncode, ran.stdout, ran.stderr))
            ran = self.ctl("drain", "portal", "--json", daemon=daemon)
            self.assertEqual((1, done, ""), (ran.returncode, json.loads(ran.stdout), ran.stderr))

    def test_events_follow_until_the_daemon_ends(self):
        second = {**EVENT, "id": 18, "text": "second"}
        for words, expected in [(["events", "--follow"], None), (["events", "-f", "--json", "--since", "16"], [EVENT, second])]:
            with self.subTest(words), FakeDaemon(live=[EVENT, second]) as daemon:
                running = subprocess.Popen([SWERVECTL, "--socket", daemon.socket, *words], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True)
                lines = [running.stdout.readline() for _ in range(2)]
                daemon.ends.set()
                rest, said = running.communicate(timeout=60)
                self.assertEqual(1, running.returncode)
                if expected:
                    self.assertEqual(expected, [json.loads(line) for line in lines])
                    self.assertEqual("stream_ended", json.loads(rest)["error"]["code"])
                    self.assertIn("since=16", daemon.requests[0][1])
                else:
                    self.assertEqual("2026-11-21T05:28:14.102000Z  verdict        service portal: verdict up -> down: web fails\n",
                                     lines[0])
                    self.assertIn("the daemon ended the event stream", said)


if __name__ == "__main__":
    if not SWERVECTL:
        print("skipped: SWERVECTL does not name the binary")
        sys.exit(77)
    unittest.main()
