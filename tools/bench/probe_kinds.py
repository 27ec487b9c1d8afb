"""The kinds of probes that tools/bench/probes measures, each with a healthy server of its own on this host.

A probe whose server is a program that listens on a TCP port is one line of KINDS; what is missing here is left out, and said."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import private_bus
import quiet
from swervelab.clock import wait_until
from swervelab.processes import Process
from swervelab.world import World, binary, free_port

SERVER = "127.0.4.1"
PATIENCE_S = 60.0


class Missing(Exception):
    """Why a kind cannot be measured here."""


class Kind:
    """One row. In `probe` and `command`, {port} is a free port of {address} and {directory} a directory of the bench's own.
    `apart` says what an attempt pays for besides asking, where the 1 ms is not meant to hold; `share` is how many of the
    mixed checks are of this kind, and `interval_ms` how often each of the others asks."""

    def __init__(self, name, probe: str, command=None, prepare=None, apart: str = "", share: int = 10, interval_ms: int = 100):
        self.name = name
        self.apart = apart
        self.share = share
        self.interval_ms = interval_ms
        self.probe = ""
        self._probe, self._command, self._prepare = probe, command, prepare

    def start(self, world: World, stack: contextlib.ExitStack):
        """Its server runs and `probe` is filled in on return."""
        directory = pathlib.Path(world.directory, "kind-" + self.name)
        directory.mkdir()
        words = {"address": SERVER, "port": free_port(SERVER), "directory": directory}
        if self._command:
            _serve(world, self.name, [part.format(**words) for part in self._command], lambda: _answers(words["port"]))
        if self._prepare:
            words |= self._prepare(world, directory, words["port"], stack) or {}
        self.probe = self._probe.format(**words)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((SERVER, port), 1.0).close()
    except OSError:
        return False
    return True


def _serve(world: World, name: str, command: list, is_ready) -> Process:
    """Its process, once it is ready."""
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin")
    if program is None:
        raise Missing(f"no {command[0]}")
    process = world.processes.start(name, [program, *command[1:]])
    wait_until(lambda: not process.is_running() or is_ready(), PATIENCE_S, f"the server of {name} is ready", poll_s=0.05)
    if not process.is_running():
        raise RuntimeError(f"the server of {name} did not start:\n{process.log_text()}")
    return process


def _says(url: str, text: str, **headers) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5.0) as answer:
            return text in answer.read().decode()
    except (OSError, urllib.error.URLError):
        return False


def _run(*command: str, **options) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


PATHS = {
    "/healthz": "",
    "/readyz": "[+]ping ok\n[+]log ok\n[+]etcd ok\nreadyz check passed\n",
    "/stats": json.dumps({"queues": [{"depth": number} for number in range(20)]}),
    "/v1/status/leader": json.dumps("192.0.2.11:8300"),
    "/v1/sys/health": json.dumps({"initialized": True, "sealed": False, "standby": False, "version": "1.17.2"}),
}


def _web_server(tls: bool = False):
    """nginx, since what is measured is our side: one worker that serves the same few octets, and a page of a thousand metrics."""

    def prepare(world: World, directory: pathlib.Path, port: int, _stack) -> None:
        secure = ""
        if tls:
            if shutil.which("openssl") is None:
                raise Missing("no openssl")
            _run(
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
                *("-subj", "/CN=bench", "-addext", f"subjectAltName=IP:{SERVER}"),
                *("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")),
            )
            secure = f"ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem; ssl_session_cache off;"
        metrics = "".join(f'node_disk_reads_total{{device="d{number}"}} {number}\n' for number in range(1000))
        (directory / "metrics").write_text("# TYPE node_disk_reads_total counter\n" + metrics, encoding="ascii")
        config = directory / "nginx.conf"
        paths = "".join(f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        locations = "".join(f"location = {path} {{ return 200 '{body}'; }}\n" for path, body in PATHS.items())
        config.write_text(
            f"daemon off; worker_processes 1; user root; pid {directory}/pid; error_log stderr error;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; {paths}\n"
            f'server {{ listen {SERVER}:{port} {"ssl" if tls else ""}; {secure}\n{locations}'
            f'location = /metrics {{ root {directory}; }}\nlocation / {{ return 200 "ok"; }} }} }}\n',
            encoding="utf-8",
        )
        _serve(world, directory.name, ["nginx", "-e", "stderr", "-c", str(config)], lambda: _answers(port))

    return prepare


def _listener(_world: World, _directory: pathlib.Path, port: int, stack: contextlib.ExitStack) -> None:
    """Accepts and hangs up."""
    listener = stack.enter_context(socket.create_server((SERVER, port), backlog=512))
    stack.callback(listener.shutdown, socket.SHUT_RDWR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    threading.Thread(target=accept, daemon=True).start()


def _echo(_world: World, _directory: pathlib.Path, port: int, stack: contextlib.ExitStack) -> None:
    """Sends back each datagram."""
    echo = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    echo.bind((SERVER, port))

    def answer():
        with contextlib.suppress(OSError):
            while True:
                echo.sendto(*echo.recvfrom(2048))

    threading.Thread(target=answer, daemon=True).start()


def _icmp(*_) -> None:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP):
            return
    raise Missing("no right to send an ICMP echo")


def _pressure(*_) -> None:
    if not os.path.exists("/proc/pressure/cpu"):
        raise Missing("the kernel has no PSI")


def _dns(world: World, directory: pathlib.Path, port: int, _stack) -> None:
    zone = "$TTL 60\n$ORIGIN example.test.\n@ SOA ns mail 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"
    (directory / "zone").write_text(zone, encoding="ascii")
    (directory / "conf").write_text(
        f'server:\n  ip-address: {SERVER}\n  port: {port}\n  username: ""\n  chroot: ""\n  database: ""\n  server-count: 1\n'
        f'  pidfile: "{directory}/pid"\n  zonesdir: "{directory}"\n  zonelistfile: "{directory}/list"\n'
        f'  xfrdfile: "{directory}/xfrd"\n  xfrdir: "{directory}"\n'
        "remote-control:\n  control-enable: no\nzone:\n  name: example.test\n  zonefile: zone\n",
        encoding="ascii",
    )
    _serve(world, "dns", ["nsd", "-d", "-c", str(directory / "conf")], lambda: _answers(port))


def _etcd(world: World, directory: pathlib.Path, port: int, _stack) -> None:
    client, peer = f"http://{SERVER}:{port}", f"http://{SERVER}:{free_port(SERVER)}"
    command = ["etcd", "--name=m", f"--data-dir={directory}/data", "--unsafe-no-fsync", f"--initial-cluster=m={peer}"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    _serve(world, directory.name, command, lambda: _says(client + "/health", '"true"'))


REDIS = ("redis-server", "--bind", SERVER, "--port", "{port}", "--dir", "{directory}", "--save", "", "--protected-mode", "no")


def _sentinel(world: World, directory: pathlib.Path, port: int, _stack) -> None:
    """With a Redis to watch."""
    redis = free_port(SERVER)
    words = [part.format(port=redis, directory=directory) for part in REDIS]
    _serve(world, "sentinel-redis", words, lambda: _answers(redis))
    config = directory / "conf"
    config.write_text(
        f"bind {SERVER}\nport {port}\ndir {directory}\nprotected-mode no\nsentinel monitor cache {SERVER} {redis} 1\n",
        encoding="ascii",
    )

    def has_quorum() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((SERVER, port), 5.0) as asked:
            asked.sendall(b"SENTINEL CKQUORUM cache\r\n")
            return asked.recv(100).startswith(b"+OK")
        return False

    _serve(world, "sentinel", ["redis-server", str(config), "--sentinel"], has_quorum)


def _postgres(world: World, _directory: pathlib.Path, port: int, stack: contextlib.ExitStack) -> None:
    """As the user postgres, for it serves no root; that user may not enter the directory of the bench."""
    programs = "/usr/lib/postgresql/15/bin/"
    worker = os.path.join(os.path.dirname(binary("swerved")), "swerve-postgres")
    if not os.access(programs + "postgres", os.X_OK) or not os.access(worker, os.X_OK):
        raise Missing("no PostgreSQL 15, or no swerve-postgres")
    home = tempfile.mkdtemp(prefix="swerve-bench-postgres-")
    stack.callback(shutil.rmtree, home, ignore_errors=True)
    before = []
    if os.geteuid() == 0:
        try:
            shutil.chown(home, "postgres", "postgres")
        except (LookupError, OSError) as why:
            raise Missing("no user postgres") from why
        before = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "KILL", "--"]
    initdb = [programs + "initdb", "--pgdata", home + "/data", "--no-sync", "--username", "postgres", "--auth", "trust"]
    _run(*before, *initdb, "--locale", "C", cwd=home)
    pathlib.Path(home, "data", "pg_hba.conf").write_text("host all all 127.0.0.0/8 trust\n", encoding="ascii")
    settings = {"listen_addresses": SERVER, "port": port, "unix_socket_directories": "", "max_connections": 300, "fsync": "off"}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [*before, programs + "postgres", "-D", home + "/data", *words]
    process = _serve(world, "postgres", command, lambda: _answers(port))
    stack.callback(process.end)
    wait_until(lambda: "ready to accept connections" in process.log_text(), PATIENCE_S, "PostgreSQL is ready")


def _rabbitmq(world: World, directory: pathlib.Path, port: int, stack: contextlib.ExitStack) -> None:
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in sbin changes the user
    if not os.access(program, os.X_OK):
        raise Missing("no rabbitmq-server")
    amqp, epmd, distribution = free_port(SERVER), free_port("127.0.0.1"), free_port("127.0.0.1")
    cookie, password = directory / ".erlang.cookie", directory / "password"
    for secret, text in ((cookie, "COOKIEOFTHEBENCH"), (password, "bench\n")):
        secret.write_text(text, encoding="ascii")
        secret.chmod(0o400)
    definitions = {
        "users": [{"name": "swerve", "password": "bench", "tags": "monitoring"}],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": "swerve", "vhost": "/", "configure": "^$", "write": "^$", "read": "^$"}],
    }
    (directory / "definitions.json").write_text(json.dumps(definitions), encoding="ascii")
    (directory / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {SERVER}:{amqp}\nmanagement.tcp.ip = {SERVER}\nmanagement.tcp.port = {port}\n"
        f"load_definitions = {directory}/definitions.json\n",
        encoding="ascii",
    )
    (directory / "plugins").write_text("[rabbitmq_management].\n", encoding="ascii")
    _serve(world, "rabbitmq-epmd", ["epmd", "-port", str(epmd), "-address", "127.0.0.1"], lambda: True)
    environment = {
        "HOME": directory,
        "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the node
        "RABBITMQ_NODENAME": f"swerve-bench-{os.getpid()}@localhost",
        "RABBITMQ_MNESIA_BASE": directory / "database",
        "RABBITMQ_LOG_BASE": directory / "log",
        "RABBITMQ_PID_FILE": directory / "pid",
        "RABBITMQ_CONFIG_FILE": directory / "rabbitmq.conf",
        "RABBITMQ_CONF_ENV_FILE": directory / "none",
        "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "plugins",
        "RABBITMQ_DIST_PORT": distribution,
        "ERL_EPMD_PORT": epmd,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    user = "Basic " + base64.b64encode(b"swerve:bench").decode()
    process = _serve(
        world,
        "rabbitmq",
        ["env", *(f"{name}={value}" for name, value in environment.items()), program],
        lambda: _says(f"http://{SERVER}:{port}/api/overview", "rabbitmq_version", Authorization=user),
    )
    stack.callback(process.end, 15.0)


def _process(world: World, directory: pathlib.Path, _port: int, _stack) -> None:
    process = world.processes.start("process", ["sleep", "infinity"])
    (directory / "pid").write_text(f"{process.pid}\n", encoding="ascii")


def _file(_world: World, directory: pathlib.Path, _port: int, _stack) -> None:
    (directory / "flag").write_text("ready\n", encoding="ascii")


def _route(*_) -> None:
    if not quiet.is_entered():
        raise Missing("no route of the host is touched")
    _run("ip", "route", "add", "203.0.113.0/24", "dev", "lo")


def _systemd(_world: World, directory: pathlib.Path, _port: int, stack: contextlib.ExitStack) -> None:
    if not private_bus.is_possible():
        raise Missing("no dbus-daemon")
    stand_in = os.path.join(os.path.dirname(binary("swerved")), "..", "tests", "systemd_stand_in")
    bus = private_bus.PrivateBus(str(directory), os.environ.get("SYSTEMD_STAND_IN", stand_in))
    stack.callback(bus.close)
    bus.set_unit("bench.service", "active")


def _wireguard(world: World, directory: pathlib.Path, _port: int, _stack) -> dict:
    """Both ends here, of userspace WireGuard: kernels of build machines often have no other."""
    for program in ("wireguard-go", "wg"):
        if shutil.which(program) is None:
            raise Missing(f"no {program}")
    if not quiet.is_entered() or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise Missing("no right to make a tunnel")
    # The sockets of all namespaces lie in one directory.
    ends = [f"swbench{which}{os.getpid()}"[:15] for which in "ab"]
    keys, ports = [_run("wg", "genkey").strip() for _ in ends], [51820, 51821]
    public = [_run("wg", "pubkey", input=key).strip() for key in keys]
    for end in ends:
        world.processes.start(end, ["wireguard-go", "-f", end])
        wait_until(
            lambda: subprocess.run(["wg", "show", end], capture_output=True, check=False).returncode == 0,
            PATIENCE_S,
            f"{end} is there",
        )
    for number, end in enumerate(ends):
        key = directory / end
        key.touch(mode=0o600)
        key.write_text(keys[number], encoding="ascii")
        _run(
            *("wg", "set", end, "listen-port", str(ports[number]), "private-key", str(key), "peer", public[1 - number]),
            *("endpoint", f"127.0.0.1:{ports[1 - number]}", "persistent-keepalive", "1", "allowed-ips", "10.9.0.0/24"),
        )
        _run("ip", "link", "set", end, "up")
    return {"interface": ends[0]}


KINDS = [
    Kind("address", "address: {{address: 127.0.0.1}}"),
    Kind("cilium", 'cilium: {{url: "http://{address}:{port}"}}', prepare=_web_server()),
    Kind("clock", "clock: {{synchronised: false}}"),
    Kind("consul", 'consul: {{url: "http://{address}:{port}"}}', prepare=_web_server()),
    Kind("disk", "disk: {{path: /, free: 1KiB}}"),
    Kind("dns", 'dns: {{endpoint: "{address}:{port}", name: www.example.test}}', prepare=_dns),
    Kind("etcd", 'etcd: {{url: "http://{address}:{port}"}}', prepare=_etcd),
    Kind("exec", "exec: {{argv: [/bin/true]}}", apart="starts a child", share=1),
    Kind("file", "file: {{path: {directory}/flag, content: ready}}", prepare=_file),
    Kind("grpc", 'grpc: {{endpoint: "{address}:{port}"}}', prepare=_etcd),
    Kind("http", 'http: {{url: "http://{address}:{port}/"}}', prepare=_web_server()),
    Kind(
        "http_json",
        'http_json: {{url: "http://{address}:{port}/stats", pointer: /queues/0/depth, at_most: 1}}',
        prepare=_web_server(),
    ),
    Kind(
        "https",
        'http: {{url: "https://{address}:{port}/", tls: {{ca_file: {directory}/cert.pem}}}}',
        prepare=_web_server(tls=True),
        apart="full TLS handshake",
        share=1,
        interval_ms=500,
    ),
    Kind("icmp", "icmp: {{address: 127.0.0.1}}", prepare=_icmp),
    Kind("kubernetes", 'kubernetes: {{url: "http://{address}:{port}"}}', prepare=_web_server()),
    Kind("link", "link: {{interface: lo}}"),
    Kind(
        "metric",
        'metric: {{url: "http://{address}:{port}/metrics", name: node_disk_reads_total, labels: [device=d7], at_most: 7}}',
        prepare=_web_server(),
        apart="a page of a thousand series",
        share=1,
        interval_ms=1000,
    ),
    Kind(
        "postgres",
        'postgres: {{endpoint: "{address}:{port}", username: postgres}}',
        prepare=_postgres,
        share=1,
        interval_ms=1000,
    ),
    Kind("pressure", "pressure: {{resource: cpu, at_most: 100}}", prepare=_pressure),
    Kind("process", "process: {{pid_file: {directory}/pid}}", prepare=_process),
    Kind("redis", 'redis: {{endpoint: "{address}:{port}"}}', command=REDIS),
    Kind("route", "route: {{prefix: 203.0.113.0/24}}", prepare=_route),
    Kind("sentinel", 'sentinel: {{endpoint: "{address}:{port}", master: cache}}', prepare=_sentinel),
    Kind("systemd", "systemd: {{unit: bench}}", prepare=_systemd),
    Kind("tcp", 'tcp: {{endpoint: "{address}:{port}"}}', prepare=_listener),
    Kind(
        "tls",
        'tls: {{endpoint: "{address}:{port}", tls: {{ca_file: {directory}/cert.pem}}}}',
        prepare=_web_server(tls=True),
        apart="full TLS handshake",
        share=1,
        interval_ms=500,
    ),
    Kind("udp", 'udp: {{endpoint: "{address}:{port}", send: hello}}', prepare=_echo),
    Kind("vault", 'vault: {{url: "http://{address}:{port}"}}', prepare=_web_server()),
    Kind("wireguard", "wireguard: {{interface: {interface}}}", prepare=_wireguard),
    # Last, for its server takes long to start.
    Kind(
        "rabbitmq",
        'rabbitmq: {{url: "http://{address}:{port}", username: swerve, password_file: {directory}/password}}',
        prepare=_rabbitmq,
        share=1,
        interval_ms=1000,
    ),
]

# Probes without a row, and why.
LEFT_OUT = {"ceph": "needs a cluster with a manager; it reads a page of metrics, as metric does"}


def start_kinds(world: World, stack: contextlib.ExitStack, wanted: list) -> "tuple[list, dict]":
    """Those that run here, and why the others do not."""
    found, missing = [], {} if wanted else dict(LEFT_OUT)
    for kind in KINDS:
        if wanted and kind.name not in wanted:
            continue
        try:
            kind.start(world, stack)
            found.append(kind)
        except Missing as why:
            print(f"{kind.name} is left out: {why}", file=sys.stderr)
            missing[kind.name] = str(why)
    return found, missing
