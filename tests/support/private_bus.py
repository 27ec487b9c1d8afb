"""A system bus of the test's own, and on it the stand-in for systemd (tests/support/systemd_stand_in.cpp). Nothing
here is the machine's systemd."""

import os
import shutil
import subprocess

CONFIG = """\
<busconfig>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


def is_possible() -> bool:
    return shutil.which("dbus-daemon") is not None


class PrivateBus:
    """What is started while it lives finds this bus, and a systemd without units, by DBUS_SYSTEM_BUS_ADDRESS."""

    def __init__(self, directory: str, stand_in: str):
        address = "unix:path=" + os.path.join(directory, "bus")
        config = os.path.join(directory, "bus.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(address=address))
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
        self._started = []
        self._start("dbus-daemon", "--config-file=" + config, "--nofork", "--nopidfile", "--nosyslog", "--print-address=1")
        self._systemd = self._start(stand_in)

    def _start(self, *command: str) -> subprocess.Popen:
        """Returns once the program has said its first line: that it is ready."""
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        self._started.append(process)
        if not process.stdout.readline():
            self.close()
            raise RuntimeError(f"{command[0]} did not start")
        return process

    def set_unit(self, name: str, active_state: str, main_pid: int = 0):
        """Makes a unit so; the signals of it have been sent on return."""
        self._systemd.stdin.write(f"unit {name} {active_state} {main_pid}\n")
        if self._systemd.stdout.readline() != "ok\n":
            raise RuntimeError("the stand-in for systemd has ended")

    def close(self):
        os.environ.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
        for process in reversed(self._started):
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self._started.clear()
