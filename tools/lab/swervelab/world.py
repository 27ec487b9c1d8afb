"""What every world needs: a directory that stays, the binaries, and swerved processes."""

import errno
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile

from .clock import wait_until
from .control import Control
from .processes import Process, Processes
from .signals import undisturbed

ROOT = pathlib.Path(__file__).resolve().parents[3]
SERVICE = pathlib.Path(__file__).with_name("service.py")


def binary(name: str) -> str:
    """The built program: from SWERVE_BIN_DIR, else of the release build."""
    directory = os.environ.get("SWERVE_BIN_DIR", str(ROOT / "build" / "release" / "bin"))
    path = os.path.join(directory, name)
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path} is missing: build it, or set SWERVE_BIN_DIR")
    return path


def free_port(address: str) -> int:
    """One that nobody has, below those that the kernel gives to whoever asks for any: those who run beside us do."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((address, port := random.randrange(10000, 32768)))
                return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise


class Daemon:
    """One swerved with its configuration and control socket."""

    def __init__(self, world: "World", name: str, yaml: str, netns: "str | None" = None):
        self.name = name
        self.netns = netns
        self.config = os.path.join(world.directory, name + ".yaml")
        self.control = Control(os.path.join(world.directory, name + ".sock"))
        self._world = world
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(yaml)
        self.process: "Process | None" = None

    def start(self, patience_s: float = 10.0):
        self.process = self._world.processes.start(self.name, [binary("swerved"), self.config], self.netns)
        wait_until(self._settled, patience_s, f"{self.name} answers on its control socket")
        if not self.process.is_running():
            raise RuntimeError(f"{self.name} did not start:\n{self.process.log_text()}")

    def _settled(self) -> bool:
        return not self.process.is_running() or self.control.answers()

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs swervectl against this daemon."""
        return subprocess.run(
            [binary("swervectl"), "--socket", self.control.path, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class World:
    """A directory with configurations, logs and sockets, and the processes in it. Configurations and logs stay."""

    def __init__(self, kind: str):
        self.directory = tempfile.mkdtemp(prefix=f"swerve-{kind}-")
        self.processes = Processes(self.directory)

    def daemon(self, name: str, yaml: str, netns: "str | None" = None) -> Daemon:
        return Daemon(self, name, yaml, netns)

    def service(self, name: str, address: str, port: int, netns: "str | None" = None) -> Process:
        """Starts the HTTP service of a site and waits for its pid file."""
        pid_file = self.pid_file(name)
        pathlib.Path(pid_file).unlink(missing_ok=True)
        process = self.processes.start(
            f"service-{name}", [sys.executable, str(SERVICE), name, address, str(port), pid_file], netns
        )
        wait_until(lambda: os.path.exists(pid_file) or not process.is_running(), 10.0, f"the service at {name} starts")
        if not process.is_running():
            raise RuntimeError(f"the service at {name} did not start:\n{process.log_text()}")
        return process

    def pid_file(self, name: str) -> str:
        return os.path.join(self.directory, f"service-{name}.pid")

    def close(self):
        with undisturbed():
            self.processes.end_all()
            self._tidy()

    def _tidy(self):
        for entry in os.scandir(self.directory):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif not entry.name.endswith((".yaml", ".log")):
                os.unlink(entry.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
