"""The kinds of probes that tools/bench/probes measures, each with a healthy server of its own on this host.

A probe whose server is a program that listens on a TCP port is one line of KINDS; what is missing here is left out, and said."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading

import private_bus
import quiet
from swervelab.clock import wait_until
from swervelab.world import World, binary, free_port

SERVER = "127.0.4.1"
PATIENCE_S = 30.0


class Missing(Exception):
    """Why a kind cannot be measured here."""


class Kind:
    """One row. In `probe` and `command`, {port} is a free port of {address} and {directory} a directory of the bench's own.
    `apart` says what an attempt pays for besides asking, where the 1 ms is not meant to hold; `share` is how many of the
    mixed checks are of this kind."""

    def __init__(self, name: str, probe: str, command=None, prepare=None, apart: str = "", share: int = 10):
        self.name = name
        self.apart = apart
        self.share = share
        self.probe = ""
        self._probe, self._command, self._prepare = probe, command, prepare

    def start(self, world: World, stack: contextlib.ExitStack):
        """Its server runs and `probe` is filled in on return."""
        directory = pathlib.Path(world.directory, "kind-" + self.name)
        directory.mkdir()
        words = {"address": SERVER, "port": free_port(SERVER), "directory": directory}
        if self._command:
            if shutil.which(self._command[0]) is None:
                raise Missing(f"no {self._command[0]}")
            process = world.processes.start(self.name, [part.format(**words) for part in self._command])
            wait_until(
                lambda: _answers(words["port"]) or not process.is_running(), PATIENCE_S, f"the server of {self.name} listens"
            )
            if not process.is_running():
                raise RuntimeError(f"the server of {self.name} did not start:\n{process.log_text()}")
        if self._prepare:
            words |= self._prepare(world, directory, words["port"], stack) or {}
        self.probe = self._probe.format(**words)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((SERVER, port), 1.0).close()
    except OSError:
        return False
    return True


def _run(*command: str, **options) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def _web_server(tls: bool):
    """nginx, since what is measured is our side: one worker that serves the same few octets."""

    def prepare(world: World, directory: pathlib.Path, port: int, _stack) -> None:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx is None:
            raise Missing("no nginx")
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
        config = directory / "nginx.conf"
        paths = "".join(f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config.write_text(
            f"daemon off; worker_processes 1; user root; pid {directory}/pid; error_log stderr error;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; {paths}\n"
            f'server {{ listen {SERVER}:{port} {"ssl" if tls else ""}; {secure} return 200 "ok"; }} }}\n',
            encoding="utf-8",
        )
        process = world.processes.start(directory.name, [nginx, "-e", "stderr", "-c", str(config)])
        wait_until(lambda: _answers(port) or not process.is_running(), PATIENCE_S, "nginx listens")
        if not process.is_running():
            raise RuntimeError("nginx did not start:\n" + process.log_text())

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
    Kind("exec", "exec: {{argv: [/bin/true]}}", apart="starts a child", share=1),
    Kind("file", "file: {{path: {directory}/flag, content: ready}}", prepare=_file),
    Kind("http", 'http: {{url: "http://{address}:{port}/"}}', prepare=_web_server(tls=False)),
    Kind(
        "https",
        'http: {{url: "https://{address}:{port}/", tls: {{ca_file: {directory}/cert.pem}}}}',
        prepare=_web_server(tls=True),
        apart="full TLS handshake",
        share=1,
    ),
    Kind("link", "link: {{interface: lo}}"),
    Kind("process", "process: {{pid_file: {directory}/pid}}", prepare=_process),
    Kind("route", "route: {{prefix: 203.0.113.0/24}}", prepare=_route),
    Kind("systemd", "systemd: {{unit: bench}}", prepare=_systemd),
    Kind("tcp", 'tcp: {{endpoint: "{address}:{port}"}}', prepare=_listener),
    Kind("wireguard", "wireguard: {{interface: {interface}}}", prepare=_wireguard),
]


def start_kinds(world: World, stack: contextlib.ExitStack, wanted: list) -> "tuple[list, dict]":
    """Those that run here, and why the others do not."""
    found, missing = [], {}
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
