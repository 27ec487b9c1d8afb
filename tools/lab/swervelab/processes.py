"""Starts processes and ends exactly those, by pid, whatever happens to this one."""

import ctypes
import os
import signal
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One started process with its log file."""

    def __init__(self, name: str, popen: subprocess.Popen, log: str):
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: int):
        if self.is_running():
            os.kill(self.pid, number)

    def freeze(self):
        """SIGSTOP to the process and its children, until thaw()."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self):
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: int):
        if self.is_running():  # not reaped: the pid, which names the group too, is still its own
            os.killpg(self.pid, number)

    def wait(self, timeout_s: float) -> "int | None":
        """The exit code, negative for a signal; None when it still runs after `timeout_s`."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def end(self, timeout_s: float = 5.0):
        """SIGTERM, then SIGKILL for what does not heed it."""
        if not self.is_running():
            return
        self.thaw()
        self.signal(signal.SIGTERM)
        if self.wait(timeout_s) is None:
            self.signal(signal.SIGKILL)
            self.wait(timeout_s)

    def log_text(self) -> str:
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


class Processes:
    """All processes of one world; a context manager that leaves none behind."""

    def __init__(self, directory: str):
        self.directory = directory
        self._started = []

    def start(self, name: str, command: list, netns: "str | None" = None, **popen_options) -> Process:
        if netns is not None:
            # ip netns exec replaces itself by the command, so the pid stays the command's.
            command = ["ip", "netns", "exec", netns, *command]
        log = os.path.join(self.directory, name + ".log")
        with open(log, "ab") as out:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **popen_options,
            )
        process = Process(name, popen, log)
        self._started.append(process)
        return process

    def end_all(self):
        running = [process for process in self._started if process.is_running()]
        for process in running:
            process.thaw()
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + 5.0
        for process in running:
            if process.wait(max(0.1, deadline - time.monotonic())) is None:
                process.signal(signal.SIGKILL)
                process.wait(5.0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_all()
