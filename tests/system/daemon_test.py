"""The real swerved, from outside: wire faults, hostile neighbors, stop, control socket, listeners."""

import contextlib
import json
import pathlib
import signal
import socket
import unittest
import urllib.error
import urllib.request

from speaker_case import BAD, GOOD, PREFIX, Speaker, next_change  # first: it says where the next ones are

import bgp_peer
from bgp_peer import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Peer, message, open_message, updates
from swervelab.clock import wait_until
from swervelab.world import World, binary


class WireFaults(Speaker):
    """BGP.md §2.2 and §2.3: the exact NOTIFICATION for each fault, and the other session goes on."""

    AFTER_NOTHING = [
        ("marker", message(KEEPALIVE, marker=b"\xff" * 15 + b"\xfe"), (1, 1, b"")),
        ("length 18", message(KEEPALIVE, length=18), (1, 2, b"\x00\x12")),
        ("length 4097", message(UPDATE, length=4097), (1, 2, b"\x10\x01")),
        ("KEEPALIVE of 20", message(KEEPALIVE, b"\x00"), (1, 2, b"\x00\x14")),
        ("OPEN of 28", message(OPEN, bytes(9)), (1, 2, b"\x00\x1c")),
        ("type 6", message(6), (1, 3, b"\x06")),
        ("version 3", open_message(my_as=64497, version=3), (2, 1, b"\x00\x04")),
        ("wrong AS", open_message(my_as=64498), (2, 2, b"\xfb\xf2")),
        ("identifier 0", open_message(my_as=64497, router_id=0), (2, 3, b"")),
        ("hold time 2", open_message(my_as=64497, hold_s=2), (2, 6, b"\x00\x02")),
        ("KEEPALIVE before OPEN", message(KEEPALIVE), (5, 1, b"\x04")),  # RFC 6608 §4: the type
    ]

    def test_each_fault_gets_its_notification(self):
        good = self.establish_good()
        for name, octets, (code, subcode, data) in self.AFTER_NOTHING:
            with self.subTest(name):
                peer = self.dial(BAD)
                self.assertEqual(peer.receive()[0], OPEN)
                peer.send(octets)
                body = peer.receive_until(NOTIFICATION)
                self.assertIsNotNone(body, "no NOTIFICATION")
                self.assertEqual((body[0], body[1], body[2:]), (code, subcode, data))
                self.assertIsNone(peer.receive(), "the connection must end behind the NOTIFICATION")
                peer.close()
        self.assert_good_still_served(good)

    def test_messages_split_at_every_offset_and_coalesced(self):
        stream = open_message(my_as=64497) + message(KEEPALIVE) + message(KEEPALIVE)
        for cut in range(1, len(stream)):
            peer = self.dial(BAD)
            peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.send(stream[:cut])
            peer.send(stream[cut:])
            self.assertIsNotNone(peer.receive_until(UPDATE), f"cut at {cut}")
            peer.send(message(NOTIFICATION, b"\x06\x02"))  # an orderly end, so that the next dial is admitted
            self.assertIsNone(peer.receive_until(NOTIFICATION))
            peer.close()


class HostileNeighbors(Speaker):
    def test_one_that_never_speaks_harms_nobody(self):
        good = self.establish_good()
        self.dial(BAD)
        self.assert_good_still_served(good)

    def test_one_that_resets_at_any_byte_harms_nobody(self):
        good = self.establish_good()
        stream = open_message(my_as=64497) + message(KEEPALIVE) + message(UPDATE, bytes(4))
        for cut in range(len(stream)):
            peer = Peer.dial(BAD, self.bgp)
            peer.send(stream[:cut])
            peer.reset()
        self.assert_good_still_served(good)

    def test_one_that_never_reads_harms_nobody(self):
        good = self.establish_good()
        stuck = self.dial(BAD)
        stuck.establish(my_as=64497)
        stuck.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Refresh after refresh: answers pile up at a neighbor that takes none of them.
        stuck.connection.setblocking(False)
        refreshes = message(bgp_peer.ROUTE_REFRESH, b"\x00\x01\x00\x01") * 1000
        try:
            for _ in range(200):
                stuck.connection.send(refreshes)
        except BlockingIOError:
            pass
        self.assert_good_still_served(good)

    def test_one_that_redials_at_once_is_admitted(self):
        for _ in range(20):
            peer = self.dial(BAD)
            peer.establish(my_as=64497)
            peer.reset()

    def test_one_that_storms_gets_few_of_our_descriptors(self):
        good = self.establish_good()
        before = self.descriptors()
        storm = []
        for _ in range(100):
            with contextlib.suppress(ConnectionResetError):  # whoever is not wanted may hear so at once
                storm.append(self.dial(GOOD))
        for peer in storm[4:]:
            peer.receive()  # refused, or cut off at once
        self.assertLess(self.descriptors(), before + 10)
        self.assert_good_still_served(good)

    def test_a_stranger_gets_nothing(self):
        stranger = self.dial("127.0.0.66")
        self.assertIsNone(stranger.receive())

    def test_a_second_connection_does_not_replace_an_established_one(self):
        good = self.establish_good()
        second = self.dial(GOOD)
        body = second.receive_until(NOTIFICATION)
        self.assertEqual(body[:2], b"\x06\x07")
        self.assert_good_still_served(good)


class Stop(Speaker):
    def test_sigterm_withdraws_then_ceases_with_a_message(self):
        good = self.establish_good()
        self.daemon.process.signal(signal.SIGTERM)
        seen = []
        while (got := good.receive()) is not None:
            kind, body = got
            if kind == UPDATE and any(updates(body)):
                seen.append(("withdraw", updates(body)[0]))
            elif kind == NOTIFICATION:
                seen.append(("notification", body))
        self.assertEqual([name for name, _ in seen], ["withdraw", "notification"])
        self.assertEqual(seen[0][1], [PREFIX])
        body = seen[1][1]
        self.assertEqual(body[:2], b"\x06\x02")
        self.assertEqual(body[2], len(body) - 3)
        self.assertEqual(body[3:].decode(), "test: stopped by SIGTERM")
        self.assertEqual(self.daemon.process.wait(10.0), 0)
        self.assertFalse(pathlib.Path(self.daemon.control.path).exists())

    def test_sigterm_without_any_session_ends_at_once(self):
        self.daemon.process.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(10.0), 0)

    def test_a_neighbor_that_has_left_delays_nothing(self):
        self.establish_good().close()
        wait_until(lambda: self.neighbor("good")["state"] != "established", 10.0, "it has left")
        self.daemon.process.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(3.0), 0, "it would be admitted again after 4 to 5 s")

    def test_sigkill_takes_the_routes_with_it(self):
        good = self.establish_good()
        self.daemon.process.signal(signal.SIGKILL)
        while (got := good.receive()) is not None:
            self.assertTrue(got[0] == KEEPALIVE or not any(updates(got[1])), got)


class Identity(Speaker):
    def test_a_second_daemon_on_the_same_state_dir_is_refused_by_name(self):
        second = self.world.daemon("second", self.yaml.replace("swerved.sock", "second.sock"))
        with self.assertRaisesRegex(RuntimeError, rf"in use by swerved, pid {self.daemon.process.pid}, site test"):
            second.start()
        self.assertEqual(second.process.wait(5.0), 1)
        self.assertTrue(self.daemon.control.answers())

    def test_a_port_in_use_is_a_clear_error(self):
        second = self.world.daemon(
            "second", self.yaml.replace("swerved.sock", "second.sock").replace("/state", "/state-2")
        )
        with self.assertRaisesRegex(RuntimeError, rf"cannot listen for BGP on 127.0.0.9:{self.bgp[1]}"):
            second.start()


class Start(Speaker):
    def test_ignored_signals_of_whoever_starts_it_do_no_harm(self):
        """Nobody learns how a program ended whose end is ignored."""
        text = self.yaml.replace("checks:\n", "checks:\n  runs: {exec: {argv: ['true']}, scope: local, interval: 100ms, rise: 1}\n")
        second = self.world.daemon("second", text.replace("swerved.sock", "second.sock"))
        self.daemon.process.end()
        command = ["env", "--ignore-signal=CHLD", binary("swerved"), second.config]
        second.process = self.world.processes.start("second", command)
        wait_until(second.control.answers, 10.0, "the daemon")
        check = wait_until(lambda: has_ended(second), 10.0, "an outcome")
        self.assertEqual(check["state"], "pass", check["reason"])


def has_ended(daemon) -> "dict | None":
    check = daemon.control.get("/v1/checks/runs")["checks"][0]
    return check if check["last"] else None


class Operations(Speaker):
    def http(self, path: str, method: str = "GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_health_readiness_and_metrics(self):
        self.assertEqual(self.http("/healthz")[0], 200)
        self.assertEqual(self.http("/readyz")[0], 503)
        good = self.establish_good()
        wait_until(lambda: self.http("/readyz")[0] == 200, 5.0, "ready")
        status, text = self.http("/metrics")
        self.assertEqual(status, 200)
        self.assertIn('swerve_bgp_session_up{neighbor="good"} 1', text)
        self.assertIn('swerve_bgp_session_up{neighbor="bad"} 0', text)
        self.assert_good_still_served(good)

    def test_the_tcp_listener_only_reads(self):
        self.assertEqual(self.http("/v1/drain", "POST")[0], 405)

    def test_hostile_control_clients_are_cut_off_while_bgp_goes_on(self):
        good = self.establish_good()
        clients = []
        for garbage in (b"\x00" * 100, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"POST /v1/drain HTTP/1.1\r\n"):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(15)
            client.connect(self.daemon.control.path)
            try:
                client.sendall(garbage)
            except OSError:
                pass  # already cut off
            clients.append(client)
        self.assert_good_still_served(good)
        for client in clients:
            with client:
                try:
                    while client.recv(65536):
                        pass
                except ConnectionResetError:
                    pass  # cut off, too; a timeout would fail the test
        self.assertTrue(self.daemon.control.answers())

    def test_failover_record_of_a_killed_service(self):
        good = self.establish_good()
        self.assert_good_still_served(good)
        record = wait_until(lambda: self.daemon.control.failover_after(0), 10.0, "a complete record")
        self.assertEqual(record["subject"], "portal")
        self.assertEqual(record["prefixes"], 1)
        self.assertEqual([n["name"] for n in record["neighbors"]], ["good"])
        times = [
            record["first_evidence_boottime_ns"],
            record["verdict_boottime_ns"],
            record["neighbors"][0]["written_boottime_ns"],
            record["neighbors"][0]["acknowledged_boottime_ns"],
        ]
        self.assertEqual(times, sorted(times))

    def test_overrides_by_command(self):
        good = self.establish_good()
        for command, wanted in (
            (("withdraw", PREFIX, "--reason", "test"), ([PREFIX], [])),
            (("auto", PREFIX), ([], [PREFIX])),
            (("drain", "portal"), ([PREFIX], [])),
            (("undrain", "portal"), ([], [PREFIX])),
        ):
            done = self.daemon.ctl("--json", *command)
            self.assertEqual(done.returncode, 0, done.stderr)
            answer = json.loads(done.stdout)
            self.assertTrue(answer["done"])
            self.assertEqual(next_change(good), wanted, command)
            self.assertTrue(answer["saved"])
        refused = self.daemon.ctl("announce", "192.0.2.0/24")
        self.assertEqual(refused.returncode, 7, refused.stdout + refused.stderr)
        self.assertEqual(self.daemon.ctl("drain", "nothing").returncode, 5)


class Unreachable(unittest.TestCase):
    def test_no_daemon_is_exit_3_with_what_to_do(self):
        with World("system") as world:
            absent = world.daemon("absent", "")
            done = absent.ctl("status")
            self.assertEqual(done.returncode, 3)
            self.assertIn("--socket", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
