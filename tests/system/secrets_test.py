"""What a real swerved is told in confidence it keeps to itself: passwords and tokens appear in no log, no answer, no metric and no
file of its own, whatever the servers they are sent to make of them; and its memory goes into no core file.
"""

import base64
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socketserver
import struct
import subprocess
import threading
import unittest

from speaker_case import BAD, GOOD, PREFIX, YAML, next_change  # first: it says where the next ones are

from bgp_peer import Peer
from swervelab.clock import wait_until
from swervelab.world import World, binary, free_port

NOBODY = 65534
PASSWORD = "pa55-of-basic-s33cr3t"
QUEUE_PASSWORD = "pa55-of-rabbitmq-s33cr3t"
HOOK_PATH = "/p4th-of-a-webhook-s33cr3t"
SECRETS = {
    "web.password": PASSWORD,
    "rabbitmq.password": QUEUE_PASSWORD,
    "redis.password": "pa55-of-redis-s33cr3t",
    "sentinel.password": "pa55-of-sentinel-s33cr3t",
    "postgres.password": "pa55-of-postgres-s33cr3t",
    "metric.token": "t0ken-of-metric-s33cr3t",
    "web.token": "t0ken-of-bearer-s33cr3t",
    "consul.token": "t0ken-of-consul-s33cr3t",
    "kubernetes.token": "t0ken-of-kubernetes-s33cr3t",
    "neighbor.key": "k3y-of-tcp-md5-s33cr3t",
    "bfd.key": "k3y-of-bfd-s33cr3t",
    "hook.token": "t0ken-of-webhook-s33cr3t",
}
# As they stand in a header, too, and cut short.
BASIC = [base64.b64encode(f"swerve:{word}".encode()).decode().rstrip("=") for word in (PASSWORD, QUEUE_PASSWORD)]
FORBIDDEN = [*SECRETS.values(), HOOK_PATH, *BASIC, *(word[:20] for word in BASIC)]
FORBIDDEN += ["pa55-of", "t0ken-of", "k3y-of", "p4th-of", "s33cr3t"]

CHECKS = """\
checks:
  app: {{process: {{pid_file: {directory}/service-app.pid}}, on_event: trust, interval: 100ms, fast_interval: 50ms, timeout: 80ms, rise: 1}}
  basic: {{http: {{url: "{url}/basic", username: swerve, password_file: {directory}/web.password}}, {timing}}}
  basic-wrong: {{http: {{url: "{url}/basic-wrong", username: swerve, password_file: {directory}/web.password}}, {timing}}}
  bearer: {{http: {{url: "{url}/bearer", token_file: {directory}/web.token, expect: {{body: "all is well"}}}}, {timing}}}
  consul: {{consul: {{url: "{url}", token_file: {directory}/consul.token}}, {timing}}}
  kubernetes: {{kubernetes: {{url: "{url}", token_file: {directory}/kubernetes.token}}, {timing}}}
  gone: {{http: {{url: "{url}/gone", token_file: {directory}/no-such.token}}, {timing}}}
  open: {{http: {{url: "{url}/open", token_file: {directory}/open.token}}, {timing}}}
  away: {{http: {{url: "{url}/away", token_file: {directory}/web.token}}, {timing}}}
  json: {{http_json: {{url: "{url}/json", username: swerve, password_file: {directory}/web.password, pointer: /a, equals: b}}, {timing}}}
  rabbitmq: {{rabbitmq: {{url: "{url}", username: swerve, password_file: {directory}/rabbitmq.password}}, {timing}}}
  metric: {{metric: {{url: "{url}/metrics", name: up, at_least: 1, token_file: {directory}/metric.token}}, {timing}}}
  redis: {{redis: {{endpoint: "{redis}", username: swerve, password_file: {directory}/redis.password}}, {timing}}}
  sentinel: {{sentinel: {{endpoint: "{redis}", master: cache, password_file: {directory}/sentinel.password}}, {timing}}}
  postgres: {{postgres: {{endpoint: "{postgres}", username: swerve, password_file: {directory}/postgres.password}}, {slow}}}
  limits: {{exec: {{argv: [/bin/sh, -c, "echo core files of $(ulimit -Hc)"]}}, scope: local, effect: alarm, timeout: 1s}}
"""
TIMING = "interval: 100ms, fast_interval: 50ms, timeout: 80ms, scope: shared, effect: alarm"
SLOW = "interval: 1s, timeout: 900ms, scope: shared, effect: alarm"
NAMES = ("basic", "basic-wrong", "bearer", "away", "json", "consul", "kubernetes", "gone", "open")
NAMES += ("rabbitmq", "metric", "redis", "sentinel", "postgres")
WEBHOOK = """\
webhooks:
  chat: {{url: "{url}/hook", on: [announce, withdraw, alarm], bearer_file: hook.token, attempts: 2, timeout: 1s}}
  pager: {{url_file: hook.url, on: [announce, withdraw, alarm], attempts: 2, timeout: 1s}}
"""


def around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 100) : at + 60]


class Talkative(http.server.BaseHTTPRequestHandler):
    """Lets in who knows the password, and otherwise repeats the request to whoever made it."""

    def do_GET(self):
        self.server.heard.append(str(self.headers))
        if self.path == "/basic":
            given = self.headers["Authorization"].split()[1]
            right = base64.b64decode(given).decode() == f"swerve:{PASSWORD}"
            self.reply(200 if right else 401)
        elif self.path == "/basic-wrong":
            self.reply(401)
        elif self.path == "/away":
            self.reply(302)
        else:
            self.reply(500 if "readyz" in self.path else 200)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append(f"{self.path}\n{self.headers}")
        self.reply(403)

    def reply(self, status: int):
        told = self.headers["Authorization"] or self.headers["X-Consul-Token"] or self.path
        body = f"{told}\n{self.headers}".encode()  # reasons quote beginnings
        self.send_response(status, told)
        self.send_header("Location", f"http://192.0.2.1/{told}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class TalkativeRedis(socketserver.BaseRequestHandler):
    """Repeats all it has heard of a connection as an error."""

    def handle(self):
        heard = b""
        with contextlib.suppress(OSError):
            while piece := self.request.recv(4096):
                heard += piece
                self.server.heard.append(piece.decode("latin-1"))
                self.request.sendall(b"-ERR you said " + repr(heard).encode() + b"\r\n")


class TalkativePostgres(socketserver.StreamRequestHandler):
    """Asks for the password in the clear, and repeats it in every field of its error."""

    def handle(self):
        while struct.unpack("!I", self.body())[0] in (80877103, 80877104):
            self.wfile.write(b"N")  # neither TLS nor GSSAPI
        self.wfile.write(b"R" + struct.pack("!II", 8, 3))
        if self.rfile.read(1) != b"p":
            return
        password = self.body(whole=True).rstrip(b"\0")
        self.server.heard.append(password.decode("latin-1"))
        fields = [b"SFATAL", b"VFATAL", b"C28P01", *(kind + b"you said " + password for kind in (b"M", b"D", b"H"))]
        error = b"\0".join(fields) + b"\0\0"
        self.wfile.write(b"E" + struct.pack("!I", 4 + len(error)) + error)

    def body(self, whole: bool = False) -> bytes:
        """Of a message, behind its length: all, or the first four octets."""
        length = self.rfile.read(4)
        if len(length) < 4:
            return bytes(4)
        body = self.rfile.read(struct.unpack("!I", length)[0] - 4)
        return body if whole else body[:4]


class Secrets(unittest.TestCase):
    def setUp(self):
        self.world = World("secrets")
        self.addCleanup(self.world.close)
        self.server = self.serve(http.server.ThreadingHTTPServer, Talkative)
        self.redis = self.serve(socketserver.ThreadingTCPServer, TalkativeRedis)
        self.postgres = self.serve(socketserver.ThreadingTCPServer, TalkativePostgres)
        self.directory = pathlib.Path(self.world.directory)
        for name, secret in SECRETS.items():
            self.write(name, secret, 0o640)
        self.write("hook.url", self.url(self.server) + HOOK_PATH, 0o640)
        self.write("open.token", "t0ken-that-all-can-read-s33cr3t", 0o644)
        self.bgp = ("127.0.0.9", free_port("127.0.0.9"))
        self.http_port = free_port("127.0.0.1")
        self.daemon = self.world.daemon("swerved", self.yaml())

    def serve(self, kind: type, handler: type) -> socketserver.TCPServer:
        server = kind(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.heard = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    @staticmethod
    def at(server: socketserver.TCPServer) -> str:
        return f"127.0.0.1:{server.server_address[1]}"

    def url(self, server: socketserver.TCPServer) -> str:
        return "http://" + self.at(server)

    def write(self, name: str, secret: str, mode: int):
        file = self.directory / name
        file.write_text(secret + "\n", encoding="ascii")
        file.chmod(mode)

    def yaml(self) -> str:
        url = self.url(self.server)
        words = {"directory": self.directory, "url": url, "timing": TIMING, "slow": SLOW}
        words |= {"redis": self.at(self.redis), "postgres": self.at(self.postgres)}
        out = YAML.format(
            directory=self.directory, http_port=self.http_port, bgp_port=self.bgp[1], prefix=PREFIX, good=GOOD, bad=BAD
        )
        begin, end = out.index("checks:"), out.index("services:")
        out = out[:begin] + CHECKS.format(**words) + out[end:]
        auth = "{auth: {type: meticulous_keyed_sha1, key_id: 7, key_file: bfd.key}}"
        out = out.replace("bad: {", f"bad: {{password_file: neighbor.key, local_address: {self.bgp[0]}, bfd: {auth}, ")
        return out + WEBHOOK.format(url=url)

    def start(self, *before: str, program: "str | None" = None):
        """As the daemon of the world is started, behind other words and with the log at its most talkative."""
        command = [*before, program or binary("swerved"), self.daemon.config, "--log-level", "debug"]
        self.daemon.process = self.world.processes.start("swerved", command)
        wait_until(self.daemon.control.answers, 10.0, "swerved answers")

    def all_answers(self) -> "dict[str, str]":
        """What swervectl and the listeners say, by the words that made them say it."""
        out = {}

        def run(*words: str):
            done = self.daemon.ctl(*words)
            out[" ".join(words)] = done.stdout + done.stderr

        kinds = ("neighbors", "bfd", "services", "checks", "routes", "adj-out", "failovers", "events", "config")
        for json_too in ([], ["--json"]):
            for kind in kinds:
                run("show", kind, *json_too)
            for name in NAMES:
                run("show", "checks", name, *json_too)
                run("probe", "run", name, *json_too)
            for name in ("good", "bad"):
                run("show", "neighbors", name, *json_too)
            for words in (["status"], ["explain", PREFIX], ["rto"], ["check"], ["config", "show"], ["show", "services", "portal"],
                          ["reload", "--dry-run"], ["config", "diff", self.daemon.config], ["config", "check", self.daemon.config]):
                run(*words, *json_too)
        for target in ("/metrics", "/v1/status", "/v1/checks", "/v1/neighbors", "/v1/bfd", "/v1/events", "/v1/config", "/healthz", "/readyz"):
            out["curl " + target] = self.fetch(target)
        return out

    def fetch(self, target: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        connection.request("GET", target)
        return connection.getresponse().read().decode()

    def results(self) -> "dict[str, str]":
        checks = self.daemon.control.get("/v1/checks")["checks"]
        return {c["name"]: c["last"]["result"] for c in checks if c["last"]}

    def test_passwords_and_tokens_are_told_to_nobody_else(self):
        service = self.world.service("app", "127.0.1.21", free_port("127.0.1.21"))
        self.start()
        expected = {
            "basic": "pass", "basic-wrong": "unknown", "bearer": "fail", "consul": "unknown", "kubernetes": "fail",
            "gone": "unknown", "open": "unknown",
        }  # fmt: skip
        wait_until(lambda: expected.items() <= self.results().items(), 20.0, f"{expected}, but {self.results()}")
        good = Peer.dial(GOOD, self.bgp)
        self.addCleanup(good.close)
        good.establish()
        self.assertEqual(next_change(good), ([], [PREFIX]))
        stranger = Peer.dial(GOOD, self.bgp)  # a second connection, for the log
        stranger.close()
        service.signal(signal.SIGKILL)
        self.assertEqual(next_change(good), ([PREFIX], []))
        # A configuration with a fault beside every secret, and one that changes what is said of them.
        self.assertNotEqual(self.reload_with("username: swerve", "username: swerve, nonsense: 1").returncode, 0)
        self.write("neighbor.key", "k3y-that-is-new-s33cr3t", 0o640)
        self.assertEqual(self.reload_with("effect: alarm", "effect: gate").returncode, 0)
        heard = lambda: "".join([*self.server.heard, *self.redis.heard, *self.postgres.heard])
        # So that the search is for what was there to be found.
        in_the_clear = [name for name in SECRETS if name not in ("web.password", "rabbitmq.password", "neighbor.key", "bfd.key")]
        for name, text in {**{name: SECRETS[name] for name in in_the_clear}, "hook.url": HOOK_PATH}.items():
            wait_until(lambda: text in heard(), 20.0, f"{name} was sent")
        for text in BASIC:
            self.assertIn(text, heard())
        answers = self.all_answers()
        self.assertIn("password_file", answers["show config"])
        self.assertIn("bearer", answers["show checks"])
        self.assertIn("swerve_check_", answers["curl /metrics"])
        self.assertIn("meticulous_keyed_sha1", answers["curl /v1/bfd"])
        self.assertIn("everybody has access to it", answers["show checks open"])
        self.assertIn("basic", json.loads(answers["show checks basic --json"])["checks"][0]["name"])
        command_line = pathlib.Path(f"/proc/{self.daemon.process.pid}/cmdline").read_bytes()
        environ = pathlib.Path(f"/proc/{self.daemon.process.pid}/environ")
        environment = environ.read_bytes() if os.access(environ, os.R_OK) else b""
        self.daemon.process.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(10.0), 0)
        log = self.daemon.process.log_text()
        self.assertIn("alarm", log)
        state = b"".join(f.read_bytes() for f in sorted((self.directory / "state").iterdir()) if f.is_file())
        self.assertTrue(state)
        places = {"the log": log, "the state": state.decode("latin-1"), "/proc/PID/cmdline": command_line.decode(),
                  "/proc/PID/environ": environment.decode(), **answers}  # fmt: skip
        told = [(place, around(text, secret)) for place, text in places.items() for secret in FORBIDDEN if secret in text]
        self.assertFalse(told, f"{len(told)} in {sorted({place for place, _ in told})}")

    def reload_with(self, old: str, new: str) -> subprocess.CompletedProcess:
        text = pathlib.Path(self.daemon.config).read_text(encoding="utf-8")
        self.assertIn(old, text)
        pathlib.Path(self.daemon.config).write_text(text.replace(old, new), encoding="utf-8")
        done = self.daemon.ctl("reload")
        if done.returncode != 0:
            pathlib.Path(self.daemon.config).write_text(text, encoding="utf-8")
        return done

    def test_its_memory_goes_into_no_core_file(self):
        before = []
        program = None
        if os.geteuid() == 0:
            # What may be dumped belongs to its user in /proc, what may not to root: to be told apart they must differ.
            before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            if shutil.which(before[0]) is None:
                self.skipTest("needs setpriv (util-linux)")
            program = str(self.directory / "swerved-of-nobody")
            shutil.copy(binary("swerved"), program)
            for file in (self.directory, *self.directory.iterdir()):
                os.chown(file, NOBODY, NOBODY)
        self.start(*before, program=program)
        process = pathlib.Path(f"/proc/{self.daemon.process.pid}")
        limits = (process / "limits").read_text(encoding="ascii")
        line = next(each for each in limits.splitlines() if each.startswith("Max core file size"))
        self.assertEqual(line.split()[4:6], ["0", "0"])
        self.assertEqual((process / "status").stat().st_uid, 0)
        # Nor does that of the programs that it runs.
        ran = lambda: self.daemon.control.get("/v1/checks/limits")["checks"][0]["last"]
        wait_until(lambda: ran() and "core files of 0" in ran()["reason"], 10.0, "a program says its limit")
        # It lives on as it is, and still counts its own descriptors and memory.
        metrics = self.fetch("/metrics")
        for name in ("process_open_fds", "process_resident_memory_bytes"):
            value = next(line.split()[1] for line in metrics.splitlines() if line.startswith(name + " "))
            self.assertGreater(float(value), 5.0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
