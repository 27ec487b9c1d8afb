"""Hooks, webhooks and addresses of a real swerved, in a network namespace of the test's own, with listeners that mean harm.
Needs root; exit code 77 means skipped.
"""

import ctypes
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import unittest

from speaker_case import BAD, GOOD, PREFIX, next_change

from swervelab.clock import wait_until
from swervelab.world import World, free_port
from bgp_peer import Peer

VIP = "203.0.113.1"
CLONE_NEWNET = 0x40000000
RESIDENT_MOST = 48 << 20  # octets; a daemon under sanitizers has its own measure

YAML = """\
site: test
local_as: 64500
router_id: 192.0.2.9
state_dir: {directory}/state
control: {{socket: {directory}/swerved.sock}}
http: {{listen: "127.0.0.1:{http_port}"}}
bgp: {{listen: ["127.0.0.9:{bgp_port}"]}}
owned: [{prefix}]
neighbors:
  good: {{address: {good}, remote_as: 64496, passive: true, export: {{next_hop: {{ipv4: 192.0.2.9}}}}}}
  bad: {{address: {bad}, remote_as: 64497, passive: true, export: {{next_hop: {{ipv4: 192.0.2.9}}}}}}
checks:
  app: {{tcp: {{endpoint: "{vip}:{port}"}}, interval: 100ms, fast_interval: 50ms, timeout: 80ms, rise: 1, fall: 1}}
  pid: {{process: {{pid_file: {directory}/service-app.pid}}, on_event: trust, interval: 100ms, fast_interval: 50ms, timeout: 80ms, rise: 1}}
services:
  portal:
    prefixes: [{prefix}]
    healthy_when: {{all: [app, pid]}}
    damping: {{profile: none, changes_per_hour: 0}}
    drain: {{graceful_shutdown_for: 0s}}
    addresses: {{add: [{vip}/32], grace: {grace}}}
{more}"""


def enter_namespace() -> "str | None":
    """Why the tests cannot have a namespace of their own; None once they have it."""
    if os.geteuid() != 0:
        return "needs root for a network namespace"
    if shutil.which("ip") is None:
        return "needs ip (iproute2)"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return "no network namespace: " + os.strerror(ctypes.get_errno())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return None


def addresses_on_lo() -> list:
    shown = subprocess.run(["ip", "-json", "-4", "address", "show", "lo"], check=True, capture_output=True, text=True)
    return [entry["local"] for entry in json.loads(shown.stdout)[0]["addr_info"]]


def descendants(pid: int) -> list:
    """Pids of all that a process started, and of what those started; zombies are none."""
    parents = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        state, parent = stat.rsplit(")", 1)[1].split()[:2]
        if state != "Z":
            parents.setdefault(int(parent), []).append(int(entry))
    found, to_see = [], [pid]
    while to_see:
        children = parents.get(to_see.pop(), [])
        found += children
        to_see += children
    return found


def running(word: str) -> list:
    """Pids of live processes whose command line has the word."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and word in pathlib.Path("/proc", entry, "cmdline").read_text(errors="replace"):
                found.append(int(entry))
        except OSError:
            pass
    return found


class Actions(unittest.TestCase):
    """A daemon with one service behind an address that the daemon itself brings."""

    more = ""
    grace = "0s"

    def setUp(self):
        self.world = World("actions")
        self.addCleanup(self.world.close)
        self.addCleanup(self.remove_address)
        self.bgp = ("127.0.0.9", free_port("127.0.0.9"))
        self.http_port = free_port("127.0.0.1")
        self.service = self.world.service("app", "0.0.0.0", port := free_port("0.0.0.0"))
        self.yaml = YAML.format(
            directory=self.world.directory,
            http_port=self.http_port,
            bgp_port=self.bgp[1],
            prefix=PREFIX,
            good=GOOD,
            bad=BAD,
            vip=VIP,
            port=port,
            grace=self.grace,
            more=self.configure(),
        )
        self.daemon = self.world.daemon("swerved", self.yaml)

    def configure(self) -> str:
        return ""

    @staticmethod
    def remove_address():
        subprocess.run(["ip", "address", "del", VIP + "/32", "dev", "lo"], check=False, capture_output=True)

    def tearDown(self):
        log = self.daemon.process.log_text()
        self.assertNotIn("Sanitizer", log)
        self.assertNotIn("runtime error", log)

    def file(self, name: str) -> str:
        return os.path.join(self.world.directory, name)

    def text(self, name: str) -> str:
        path = pathlib.Path(self.file(name))
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def script(self, name: str, body: str) -> str:
        path = pathlib.Path(self.file(name))
        path.write_text("#!/bin/sh\n" + body + "\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def meet(self) -> Peer:
        """The neighbor, once the service is announced to it."""
        peer = Peer.dial(GOOD, self.bgp)
        self.addCleanup(peer.close)
        peer.establish()
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        return peer

    def metric(self, series: str) -> float:
        with socket.create_connection(("127.0.0.1", self.http_port), 5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        for line in answer.splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"{series} is not in\n{answer}")

    def assert_small(self):
        maps = pathlib.Path(f"/proc/{self.daemon.process.pid}/maps").read_text(encoding="utf-8")
        if "libasan" not in maps:
            self.assertLess(self.metric("process_resident_memory_bytes"), RESIDENT_MOST)

    def restart_service(self):
        self.service.signal(signal.SIGKILL)
        self.service.wait(5)
        self.service = self.world.service("app", "0.0.0.0", int(self.yaml.split(f"{VIP}:")[1].split('"')[0]))

    def stop_daemon(self) -> int:
        self.daemon.process.signal(signal.SIGTERM)
        code = self.daemon.process.wait(20)
        self.assertIsNotNone(code, "the daemon does not end")
        return code


class Addresses(Actions):
    """There before the first probe, while the daemon runs, and no longer."""

    def test_from_the_first_probe_to_the_end(self):
        self.daemon.start()
        peer = self.meet()
        self.assertEqual(self.daemon.control.get("/v1/checks/app")["checks"][0]["results"]["fail"], 0)
        self.assertIn(VIP, addresses_on_lo())
        self.service.signal(signal.SIGKILL)
        self.assertEqual(next_change(peer), ([PREFIX], []))
        self.assertIn(VIP, addresses_on_lo(), "whatever the verdict is")
        self.assertEqual(self.stop_daemon(), 0)
        self.assertNotIn(VIP, addresses_on_lo())

    def test_what_a_killed_daemon_left_is_taken_over(self):
        self.daemon.start()
        self.meet()
        self.daemon.process.signal(signal.SIGKILL)
        self.daemon.process.wait(5)
        self.assertIn(VIP, addresses_on_lo())
        if tuple(int(part) for part in os.uname().release.split(".")[:2]) < (5, 18):
            self.skipTest("this kernel keeps no marks on addresses (needs Linux 5.18)")
        self.daemon.start()
        self.meet()
        self.stop_daemon()
        self.assertNotIn(VIP, addresses_on_lo())

    def test_what_was_there_before_is_left_alone(self):
        subprocess.run(["ip", "address", "add", VIP + "/32", "dev", "lo"], check=True)
        self.daemon.start()
        self.meet()
        self.stop_daemon()
        self.assertIn(VIP, addresses_on_lo())

    def test_no_such_interface_is_an_alarm_and_the_check_says_the_rest(self):
        pathlib.Path(self.daemon.config).write_text(
            self.yaml.replace("addresses: {", "addresses: {interface: nowhere0, "), encoding="utf-8"
        )
        self.daemon.start()
        wait_until(
            lambda: "address not on this host" in self.daemon.control.get("/v1/checks/app")["checks"][0]["reason"],
            10.0,
            "the check misses the address",
        )
        alarms = [e["text"] for e in self.daemon.control.get("/v1/events")["events"] if e["severity"] == "critical"]
        self.assertIn(f"address {VIP}/32 on nowhere0 cannot be had: there is no interface nowhere0", alarms)

    def test_without_the_capability_it_says_what_to_do(self):
        if shutil.which("setpriv") is None:
            self.skipTest("needs setpriv (util-linux)")
        world, daemon = self.world, self.daemon
        start = world.processes.start
        world.processes.start = lambda name, command, netns=None: start(
            name, ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *command], netns
        )
        daemon.start()
        alarms = [e["text"] for e in daemon.control.get("/v1/events")["events"] if e["severity"] == "critical"]
        self.assertIn("needs CAP_NET_ADMIN, or put the address there yourself", "\n".join(alarms))


class AddressesWithALongGrace(Actions):
    grace = "1h"

    def test_another_signal_cuts_it_short(self):
        self.daemon.start()
        peer = self.meet()
        self.daemon.process.signal(signal.SIGTERM)
        self.assertEqual(next_change(peer), ([PREFIX], []))
        # Operations has ended, and so has main before it.
        wait_until(lambda: not os.path.exists(self.daemon.control.path), 10.0, "the socket goes")
        self.assertIn(VIP, addresses_on_lo())
        self.assertEqual(self.stop_daemon(), 0)
        self.assertNotIn(VIP, addresses_on_lo())


class AtReload(Actions):
    grace = "3s"

    def reload(self, text: str):
        pathlib.Path(self.daemon.config).write_text(text, encoding="utf-8")
        done = self.daemon.ctl("reload")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_hooks_are_those_of_the_configuration_in_force(self):
        self.daemon.start()
        peer = self.meet()
        self.script("new", f"echo $SWERVE_EVENT >> {self.file('told')}")
        self.reload(self.yaml + f"hooks:\n  new: {{run: [{self.file('new')}], on: [announce, withdraw]}}\n")
        self.restart_service()
        self.assertEqual(next_change(peer), ([PREFIX], []))
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        wait_until(lambda: self.text("told") == "withdraw\nannounce\n", 10.0, "the new hook is told")
        self.reload(self.yaml)
        self.stop_daemon()
        self.assertEqual(self.text("told"), "withdraw\nannounce\n")

    def test_dropped_after_the_withdraw_and_the_grace_and_added_before_the_check(self):
        self.daemon.start()
        peer = self.meet()
        self.reload(self.yaml[: self.yaml.index("checks:")] + "services: {}\n")
        self.assertEqual(next_change(peer), ([PREFIX], []))
        self.assertIn(VIP, addresses_on_lo(), "in its grace")
        wait_until(lambda: VIP not in addresses_on_lo(), 15.0, "the address goes")
        self.reload(self.yaml)
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        self.assertEqual(self.daemon.control.get("/v1/checks/app")["checks"][0]["results"]["fail"], 0)

    def test_one_that_comes_back_within_the_grace_stays(self):
        self.daemon.start()
        peer = self.meet()
        self.reload(self.yaml[: self.yaml.index("services:")] + "services: {}\n")
        self.assertEqual(next_change(peer), ([PREFIX], []))
        self.reload(self.yaml)
        self.assertEqual(next_change(peer), ([], [PREFIX]))
        self.assertIn(VIP, addresses_on_lo())
        self.stop_daemon()
        self.assertEqual(self.daemon.process.log_text().count("is added"), 1)


class Hooks(Actions):
    """Order, and listeners that mean harm."""

    def configure(self) -> str:
        clock = "import time; print(time.clock_gettime_ns(time.CLOCK_BOOTTIME))"
        self.script("note", f'{sys.executable} -c "{clock}" > {self.file("noted.new")}\nmv {self.file("noted.new")} {self.file("noted")}')
        sleeper = shutil.copy(shutil.which("sleep"), self.file("sleeper"))  # whose command line tells where it is from
        self.script("hang", f"{sleeper} 4321 & {sleeper} 4321")
        self.script("fork", f"for i in 1 2 3 4 5 6 7 8 9; do {sleeper} 4321 & done; exit 0")
        self.script("flood", "exec yes flooding")
        hooks = "hooks:\n  note: {run: [%s], on: [withdraw]}\n" % self.file("note")
        hooks += "  gone: {run: [%s], on: [announce, withdraw]}\n" % self.file("nothing")
        hooks += "  fork: {run: [%s], on: [announce, withdraw]}\n" % self.file("fork")
        for i in range(6):
            hooks += "  hang%d: {run: [%s], on: [announce, withdraw], timeout: 1h}\n" % (i, self.file("hang"))
        return hooks + "  flood: {run: [%s], on: [announce, withdraw], timeout: 1h}\n" % self.file("flood")

    def test_the_withdraw_is_written_before_a_hook_begins(self):
        self.daemon.start()
        peer = self.meet()
        self.service.signal(signal.SIGKILL)
        self.assertEqual(next_change(peer), ([PREFIX], []))
        wait_until(lambda: self.text("noted"), 10.0, "the hook has run")
        record = wait_until(lambda: self.daemon.control.get("/v1/failovers")["failovers"], 10.0, "the record")[0]
        written = [each["written_boottime_ns"] for each in record["neighbors"] if each["name"] == "good"]
        self.assertLess(written[0], int(self.text("noted")))

    def test_hooks_that_hang_fork_and_flood_hold_up_nobody(self):
        self.daemon.start()
        peer = self.meet()
        most = 0
        for _ in range(15):
            self.restart_service()
            self.assertEqual(next_change(peer), ([PREFIX], []))
            self.assertEqual(next_change(peer), ([], [PREFIX]))
            most = max(most, len(descendants(self.daemon.process.pid)))
        # Six that hang are three processes each, and there is room for two more hooks at a time; a fork is ten.
        self.assertLessEqual(most, 6 * 3 + 2 * 10)
        self.assertGreaterEqual(most, 6)
        wait_until(lambda: self.metric('swerve_hook_runs_total{hook="fork",result="success"}') >= 5, 20.0, "fork goes on")
        self.assertGreater(self.metric('swerve_hook_runs_total{hook="gone",result="not_started"}'), 5)
        self.assert_small()
        self.stop_daemon()
        wait_until(lambda: not running(self.file("sleeper")), 5.0, "nothing of it is left")


class Sink:
    """A server that takes notices."""

    def __init__(self, context: "ssl.SSLContext | None" = None):
        sink = self
        self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                sink.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # who refuses our certificate hangs up
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class BadServer:
    """Takes connections and does with them what it is told, for ever."""

    def __init__(self, treat):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.accepted = 0
        self._treat = treat
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def port(self) -> int:
        return self.listener.getsockname()[1]

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self._treat(connection)
        except OSError:
            pass
        connection.close()

    def close(self):
        self.listener.close()


def stay_silent(connection):
    while connection.recv(65536):
        pass


def send_for_ever(connection):
    connection.sendall(b"HTTP/1.1 500 No\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def trickle_header(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while connection.recv(65536):
        connection.sendall(b"X-More: x\r\n")


class Webhooks(Actions):
    """Delivered over http and https, and servers that mean harm."""

    def configure(self) -> str:
        self.plain = Sink()
        self.addCleanup(self.plain.close)
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        make += ["-subj", "/CN=swerve test", "-addext", "subjectAltName=DNS:localhost"]
        make += ["-keyout", self.file("key.pem"), "-out", self.file("certificate.pem")]
        subprocess.run(make, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("certificate.pem"), self.file("key.pem"))
        self.tls = Sink(context)
        self.addCleanup(self.tls.close)
        os.environ["SSL_CERT_FILE"] = self.file("certificate.pem")
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        self.bad = [BadServer(treat) for treat in (stay_silent, send_for_ever, trickle_header)]
        text = "webhooks:\n"
        text += f'  plain: {{url: "http://localhost:{self.plain.port}/a", on: [announce, withdraw]}}\n'
        text += f'  tls: {{url: "https://localhost:{self.tls.port}/a", on: [announce, withdraw]}}\n'
        # The certificate is for localhost.
        text += f'  wrong: {{url: "https://127.0.0.1:{self.tls.port}/a", on: [announce, withdraw], attempts: 1}}\n'
        for i, server in enumerate(self.bad):
            self.addCleanup(server.close)
            text += f'  bad{i}: {{url: "http://127.0.0.1:{server.port}/", on: [announce, withdraw], timeout: 1h}}\n'
        return text

    def test_delivered_and_verified_beside_servers_that_mean_harm(self):
        self.daemon.start()
        peer = self.meet()
        for _ in range(10):
            self.restart_service()
            self.assertEqual(next_change(peer), ([PREFIX], []))
            self.assertEqual(next_change(peer), ([], [PREFIX]))
        for sink in (self.plain, self.tls):
            wait_until(lambda one=sink: len(one.bodies) >= 21, 20.0, "all notices", poll_s=0.05)
            self.assertEqual([body["event"] for body in sink.bodies[:3]], ["announce", "withdraw", "announce"])
            self.assertEqual(len({body["id"] for body in sink.bodies}), len(sink.bodies))
        self.assertEqual(self.metric('swerve_webhook_deliveries_total{webhook="wrong",result="delivered"}'), 0)
        self.assertIn("the certificate is refused", self.daemon.process.log_text())
        for i, server in enumerate(self.bad):
            self.assertGreaterEqual(self.metric(f'swerve_webhook_queue{{webhook="bad{i}"}}'), 1)
            self.assertLessEqual(server.accepted, 10)
        self.assert_small()
        self.assertEqual(self.stop_daemon(), 0)


if __name__ == "__main__":
    missing = enter_namespace()
    if missing is not None:
        print(f"skipped: {missing}")
        sys.exit(77)
    unittest.main(verbosity=2)
