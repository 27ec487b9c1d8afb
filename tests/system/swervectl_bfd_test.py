#!/usr/bin/env python3
"""BFD, as swervectl shows it."""

import json
import sys
import unittest

from fake_daemon import FakeDaemon, document
from swervectl_case import IDLE, NEIGHBOR, SWERVECTL, Case

BFD = {
    "neighbor": "upstream-a", "state": "up", "since": "2026-11-18T01:18:00Z", "up_s": 274320.5, "cause": None, "diagnostic": None,
    "hint": None, "local_address": "192.0.2.1", "remote_address": "192.0.2.254", "interface": None, "multihop": False, "hops": 1,
    "source_port": 49152, "discriminator": 7, "min_tx_s": 0.05, "min_rx_s": 0.1, "multiplier": 3, "transmit_interval_s": 0.05,
    "detection_time_s": 1.5, "neighbor_detection_time_s": 0.15,
    "neighbor_says": {"state": "up", "diagnostic": None, "discriminator": 8, "min_tx_s": 0.3, "min_rx_s": 0.02, "multiplier": 5,
                      "demand": False},
    "auth": None, "packets_sent": 40, "packets_received": 30, "discarded": {"bad_version": 0, "ttl_too_low": 0}, "downs": 0,
    "trouble": None}
BFD_LOOP = {"discarded": {"bad_version": 0, "ttl_too_low": 0}, "realtime": False, "realtime_wanted": False,
            "lateness": {"count": 0, "sum_s": 0.0, "within_99_percent_s": None, "within_s": None}}


class Bfd(Case):
    def show(self, words, path, answer):
        with FakeDaemon({path: answer}) as daemon:
            return self.ok(*words, daemon=daemon)

    def test_a_neighbor_shows_its_bfd(self):
        said = {"state": "up", "since": "2026-11-18T01:18:00Z", "cause": None, "diagnostic": None, "neighbor_diagnostic": None,
                "detection_time_s": 0.9, "neighbor_detection_time_s": 0.15, "strict": False, "waits": False, "hint": None}
        words = {"up": "Up", "init": "Init", "down": "Down", "admin_down": "AdminDown", "sideways": "sideways"}
        for state, shown in words.items():
            answer = document("neighbors", neighbors=[{**NEIGHBOR, "bfd": {**said, "state": state}}])
            self.assertRegex(self.show(["show", "neighbors"], "/v1/neighbors", answer), rf"\nupstream-a .* {shown} +-\n$")
        up = {**NEIGHBOR, "bfd": said}
        waiting = {**IDLE, "last_error": None, "bfd": {**said, "state": "down", "since": "2026-11-21T05:29:19Z", "strict": True,
                                                       "waits": True, "diagnostic": "Path Down", "hint": "nothing arrives"}}
        answer = document("neighbors", neighbors=[up, waiting])
        text = self.show(["show", "neighbors"], "/v1/neighbors", answer)
        self.assertRegex(text, r"\nb .* Down +waits for BFD \(bfd.strict\); next try in 4s\n$")
        self.assertIn("\033[31mDown\033[0m", self.show(["show", "neighbors", "--color", "always"], "/v1/neighbors", answer))
        text = self.show(["show", "neighbor", "b"], "/v1/neighbors/b", document("neighbors", neighbors=[waiting]))
        for line in ["BFD +Down", "BFD for +41s", "BFD because +nothing arrives", "BFD diagnostic +Path Down, the neighbor's -",
                     "BFD detection +900.0ms, the neighbor's 150.0ms", "waits for BFD +yes: bfd.strict"]:
            self.assertRegex(text, rf"(?m)^  {line}$")
        text = self.show(["show", "neighbor", "upstream-a"], "/v1/neighbors/upstream-a", document("neighbors", neighbors=[up]))
        self.assertRegex(text, r"(?m)^  BFD +Up$")
        self.assertNotIn("waits for BFD", text)

    def test_bfd_sessions_stand_in_columns(self):
        down = {**BFD, "neighbor": "b", "state": "down", "since": "2026-11-21T05:29:19Z", "up_s": None, "neighbor_says": None,
                "hint": "nothing arrives", "detection_time_s": None, "transmit_interval_s": 1.0}
        text = self.show(["show", "bfd"], "/v1/bfd", document("bfd", bfd=[BFD, down], **BFD_LOOP))
        self.assertEqual("NEIGHBOR    STATE  UP/DOWN      TX  DETECTION  MULT  WHY\n"
                         "upstream-a  Up       3d04h  50.0ms      1.50s   3/5  -\n"
                         "b           Down       41s   1.00s          -   3/-  nothing arrives\n"
                         "\n"
                         "  packets of no session                 none\n"
                         "  lateness of the loop                  -\n"
                         "  real-time priority and locked memory  no\n", text)
        none = [{"neighbor": "c", "hint": "an operator keeps that neighbor down"}]
        text = self.show(["show", "bfd"], "/v1/bfd", document("bfd", bfd=[], no_session=none, **BFD_LOOP))
        self.assertRegex(text, r"\nc +none +- +- +- +- +an operator keeps that neighbor down\n\n")
        late = {"discarded": {"bad_version": 0, "ttl_too_low": 4, "too_short": 2}, "realtime": False, "realtime_wanted": True,
                "lateness": {"count": 4711, "sum_s": 1.0, "within_99_percent_s": 0.0001, "within_s": 0.0025}}
        text = self.show(["show", "bfd"], "/v1/bfd", document("bfd", bfd=[{**BFD, "diagnostic": "Path Down"}], **late))
        for line in [r"upstream-a .* Path Down", "  packets of no session +ttl_too_low 4, too_short 2",
                     "  lateness of the loop +99% within 100us, all within 2.5ms, of 4711",
                     "  real-time priority and locked memory +no, though `bfd: {realtime: true}` asks for it"]:
            self.assertRegex(text, rf"(?m)^{line}$")
        late["lateness"]["within_s"] = None
        text = self.show(["show", "bfd"], "/v1/bfd", document("bfd", bfd=[BFD], **{**late, "realtime": True}))
        self.assertRegex(text, "99% within 100us, some more than 1s, of 4711\n  real-time priority and locked memory +yes\n$")

    def test_one_bfd_session_at_length(self):
        one = {**BFD, "multihop": True, "hops": 4, "auth": {"type": "meticulous_keyed_sha1", "key_id": 3}, "downs": 2,
               "discarded": {"authentication_failed": 9, "bad_version": 0}, "cause": "detection_time_expired"}
        text = self.show(["show", "bfd", "upstream-a"], "/v1/bfd/upstream-a", document("bfd", bfd=[one], **BFD_LOOP))
        self.assertTrue(text.startswith("bfd upstream-a\n  "))
        for line in ["state +Up", "for +3d04h", "last cause +detection_time_expired", "local address +192.0.2.1 port 49152",
                     "remote address +192.0.2.254", "hops +multihop, 4 hops at most, UDP port 4784", "discriminator +7",
                     "timing +sends every 50.0ms, takes every 100.0ms, multiplier 3", "auth +meticulous_keyed_sha1, key 3",
                     "neighbor says +Up", "its timing +sends every 300.0ms, takes every 20.0ms, multiplier 5",
                     "its discriminator +8", "its demand mode +no", "sends every +50.0ms", "detection time +1.50s",
                     "neighbor's detection +150.0ms", "packets +sent 40, received 30", "refused +authentication_failed 9", "times down +2: `swervectl show events upstream-a` has when and why"]:
            self.assertRegex(text, rf"(?m)^  {line}$")
        silent = {**BFD, "neighbor_says": None, "interface": "eth0", "trouble": "cannot bind 192.0.2.1"}
        text = self.show(["show", "bfd", "x"], "/v1/bfd/x", document("bfd", bfd=[silent], **BFD_LOOP))
        for line in ["neighbor says +nothing", "remote address +192.0.2.254, interface eth0", "trouble +cannot bind 192.0.2.1",
                     "hops +single hop, UDP port 3784", "auth +none"]:
            self.assertRegex(text, rf"(?m)^  {line}$")
        self.assertEqual([BFD], json.loads(self.show(["show", "bfd", "--json"], "/v1/bfd", document("bfd", bfd=[BFD])))["bfd"])


if __name__ == "__main__":
    if not SWERVECTL:
        print("skipped: SWERVECTL does not name the binary")
        sys.exit(77)
    unittest.main()
