"""Ends that somebody asked for, at the real daemon: the stages of a drain (RFC 8326), and a planned restart (RFC 4724)."""

import resource
import struct
import unittest

from speaker_case import GOOD, PREFIX, Speaker, next_change  # first: it says where the next ones are

from bgp_peer import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, message, open_message, updates
from swervelab.clock import boottime_ns, wait_until
from swervelab.control import Refused

GRACEFUL_SHUTDOWN = bytes([0xC0, 8, 4, 0xFF, 0xFF, 0x00, 0x00])  # COMMUNITIES, optional transitive, one member
NOTICE_S = 2
#: IPv4 unicast, four-octet AS, and RFC 4724: restart time 120 s, IPv4 unicast, forwarding state kept.
KEEPS = bytes([1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0xFB, 0xF0, 64, 6, 0, 120, 0, 1, 1, 0x80])


def capability(body: bytes, wanted: int) -> "bytes | None":
    """The value of a capability in the body of an OPEN."""
    at, end = 10, 10 + body[9]
    while at < end:
        kind, length = body[at], body[at + 1]
        inner, at = body[at + 2 : at + 2 + length], at + 2 + length
        while kind == 2 and inner:
            code, size = inner[0], inner[1]
            if code == wanted:
                return inner[2 : 2 + size]
            inner = inner[2 + size :]
    return None


def next_update(peer) -> bytes:
    """The body of the next UPDATE that is no End-of-RIB."""
    while not any(updates(body := peer.receive_until(UPDATE))):
        pass
    return body


class Drain(Speaker):
    def test_routes_ask_traffic_to_leave_before_they_go(self):
        self.edit("graceful_shutdown_for: 0s", f"graceful_shutdown_for: {NOTICE_S}s")
        self.daemon.control.post("/v1/reload")
        peer = self.establish_good()
        began_ns = boottime_ns()
        self.daemon.control.post("/v1/drain", service="portal", reason="works")
        body = next_update(peer)
        self.assertEqual(updates(body), ([], [PREFIX]))
        self.assertIn(GRACEFUL_SHUTDOWN, body)
        view = self.portal()
        self.assertEqual((view["intent"], view["drain_stage"]), ("drain", "graceful_shutdown"))
        self.assertTrue(0 < view["drain_stage_s"] <= NOTICE_S, view)
        self.assertEqual(next_change(peer), ([PREFIX], []))
        self.assertGreaterEqual(boottime_ns() - began_ns, NOTICE_S * 1_000_000_000)
        self.assertEqual(self.portal()["drain_stage"], "withdrawn")
        record = wait_until(self.complete_failover, 5.0, "the withdraw was acknowledged")
        self.assertEqual(record["subject"], "portal")
        self.daemon.control.post("/v1/undrain", service="portal")
        body = next_update(peer)
        self.assertEqual(updates(body), ([], [PREFIX]))
        self.assertNotIn(GRACEFUL_SHUTDOWN, body)

    def complete_failover(self):
        return next((f for f in self.daemon.control.get("/v1/failovers")["failovers"] if f["complete"]), None)


class PlannedRestart(Speaker):
    def keep_routes(self):
        self.edit("passive: true, export: {next_hop: {ipv4: 192.0.2.9}}}\n  bad", "passive: true, export: {next_hop: {ipv4: "
                  "192.0.2.9}}, graceful_restart: {restart_time: 60s, with_health_checks: true}}\n  bad")
        self.daemon.control.post("/v1/reload")

    def open_session(self):
        """A session with a neighbor that keeps routes; the peer, and what our OPEN says of RFC 4724."""
        peer = self.dial(GOOD)
        peer.send(open_message(capabilities=KEEPS))
        restart = capability(peer.receive_until(OPEN), 64)
        peer.send(message(KEEPALIVE))
        self.assertIsNotNone(peer.receive_until(KEEPALIVE))
        return peer, struct.unpack_from("!H", restart)[0]

    def test_a_neighbor_that_keeps_the_routes_hears_nothing(self):
        self.keep_routes()
        peer, restart = self.open_session()
        self.assertEqual(restart, 60)  # R and N are not set
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        self.daemon.control.post("/v1/stop", planned_restart=True, reason="upgrade")
        told = []
        while (got := peer.receive()) is not None:
            told.append(got)
        self.assertEqual([kind for kind, body in told if kind == NOTIFICATION or (kind == UPDATE and any(updates(body)))], [])
        self.assertEqual(self.daemon.process.wait(10.0), 0)
        self.daemon.start()
        peer, restart = self.open_session()
        self.assertEqual(restart, 0x8000 | 60)  # R
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        peer.close()
        _, restart = self.open_session()
        self.assertEqual(restart, 60)  # once

    def test_it_is_refused_where_nobody_would_keep_a_route(self):
        with self.assertRaises(Refused) as refused:
            self.daemon.control.post("/v1/stop", planned_restart=True)
        self.assertEqual(refused.exception.code, "not_applied")
        self.keep_routes()
        with self.assertRaises(Refused) as refused:
            self.daemon.control.post("/v1/stop", planned_restart=True)
        self.assertEqual(refused.exception.code, "not_applied")
        peer = self.establish_good()  # without the capability
        with self.assertRaises(Refused):
            self.daemon.control.post("/v1/stop", planned_restart=True)
        self.assert_good_still_served(peer)

    def test_it_is_refused_while_its_promise_cannot_be_saved(self):
        self.keep_routes()
        peer, _ = self.open_session()
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
        with self.assertRaises(Refused) as refused:
            self.daemon.control.post("/v1/stop", planned_restart=True)
        self.assertEqual(refused.exception.code, "not_applied")
        self.assertIn("the state cannot be saved", str(refused.exception))
        self.assert_good_still_served(peer)

    def test_without_it_stop_is_what_sigterm_is(self):
        peer = self.establish_good()
        self.daemon.control.post("/v1/stop", reason="disk")
        self.assertEqual(next_change(peer), ([PREFIX], []))
        words = peer.receive_until(NOTIFICATION)
        self.assertEqual(words[:2], bytes([6, 2]))
        self.assertIn(b"disk", words)
        self.assertEqual(self.daemon.process.wait(10.0), 0)


if __name__ == "__main__":
    unittest.main()
