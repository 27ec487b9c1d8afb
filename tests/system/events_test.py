"""Deaths that announce themselves, at the real daemon: attempts come every half a minute here, so that only the event can
explain a withdraw within seconds."""

import os
import signal
import time
import unittest

from speaker_case import PREFIX, Speaker, next_change  # first: it says where the next ones are

import private_bus
from swervelab.clock import wait_until

SOON_S = 5.0
SLOW = "interval: 30s, fast_interval: 30s, timeout: 800ms, rise: 1"


class Watched(Speaker):
    def watch(self, probe: str):
        """The service follows this probe from now on, and is announced to a neighbor, which is returned."""
        self.edit(
            f"app: {{process: {{pid_file: {self.world.pid_file('app')}}}, on_event: trust, "
            "interval: 100ms, fast_interval: 50ms, timeout: 80ms, rise: 1}",
            f"app: {{{probe}, {SLOW}}}",
        )
        self.daemon.control.post("/v1/reload")
        wait_until(self.passes, 10.0, "the check passes")
        return self.establish_good()

    def passes(self) -> bool:
        check = self.daemon.control.get("/v1/checks/app")["checks"][0]
        return check["state"] == "pass" and check["results"]["pass"] > 0

    def assert_withdrawn_soon(self, peer, since: float):
        self.assertEqual(next_change(peer), ([PREFIX], []))
        self.assertLess(time.monotonic() - since, SOON_S)

    def kill(self) -> float:
        now = time.monotonic()
        self.service.signal(signal.SIGKILL)
        return now

    def endpoint(self) -> str:
        """Where the service listens: the command ends with its name, address, port and pid file."""
        with open(f"/proc/{self.service.pid}/cmdline", encoding="utf-8") as file:
            address, port = file.read().split("\0")[-4:-2]
        return f"{address}:{port}"


class Events(Watched):
    def test_the_process_of_a_pid_file_ends(self):
        peer = self.watch(f"process: {{pid_file: {self.world.pid_file('app')}}}")
        self.assert_withdrawn_soon(peer, self.kill())

    def test_the_owner_of_a_port_ends(self):
        peer = self.watch(f'process: {{port: "{self.endpoint()}"}}')
        self.assert_withdrawn_soon(peer, self.kill())

    def test_the_server_of_a_held_connection_ends(self):
        peer = self.watch(f'tcp: {{endpoint: "{self.endpoint()}", hold: true}}')
        self.assert_withdrawn_soon(peer, self.kill())


@unittest.skipUnless(private_bus.is_possible(), "needs dbus-daemon")
class Units(Watched):
    def setUp(self):
        super().setUp()
        self.daemon.process.end()
        self.bus = private_bus.PrivateBus(self.world.directory, os.environ["SYSTEMD_STAND_IN"])
        self.addCleanup(self.bus.close)
        self.bus.set_unit("app.service", "active", self.service.pid)
        self.daemon.start()

    def test_a_unit_stops(self):
        peer = self.watch("systemd: {unit: app}")
        since = time.monotonic()
        self.bus.set_unit("app.service", "deactivating")
        self.assert_withdrawn_soon(peer, since)

    def test_the_main_process_of_a_unit_ends(self):
        peer = self.watch("process: {unit: app.service}")
        self.assert_withdrawn_soon(peer, self.kill())

    def test_a_unit_that_changes_without_end_ends_where_it_is(self):
        peer = self.watch("systemd: {unit: app}")
        for _ in range(500):
            self.bus.set_unit("app.service", "reloading")
            self.bus.set_unit("app.service", "active")
        since = time.monotonic()
        self.bus.set_unit("app.service", "failed")
        self.assert_withdrawn_soon(peer, since)


if __name__ == "__main__":
    unittest.main()
