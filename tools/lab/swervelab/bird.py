"""A real BIRD 2 as the upstream router."""

import os
import re
import subprocess
import threading

from .clock import boottime_ns, wait_until


class Bird:
    """One bird process with its own configuration and control socket, in a network namespace."""

    def __init__(self, world, namespaces, netns: str, config: str):
        self._world = world
        self._netns = namespaces[netns]
        self._config = os.path.join(world.directory, "bird.conf")
        self._socket = os.path.join(world.directory, "bird.ctl")
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(config)
        self.process = None

    def start(self):
        self.process = self._world.processes.start(
            "bird",
            ["bird", "-f", "-c", self._config, "-s", self._socket, "-P", self._socket + ".pid"],
            self._netns,
        )
        wait_until(lambda: "BIRD" in self.command("show", "status"), 10.0, "bird answers")

    def stop(self):
        self.process.end()

    def command(self, *words: str) -> str:
        done = subprocess.run(
            ["birdc", "-s", self._socket, *words], capture_output=True, text=True, timeout=10, check=False
        )
        return done.stdout

    def session_is_up(self, protocol: str) -> bool:
        return re.search(rf"^{protocol}\s+BGP\s.*Established", self.command("show", "protocols"), re.M) is not None

    def best(self, prefix: str) -> "str | None":
        """The protocol whose route for the prefix is selected."""
        found = re.search(r"\[(\w+) [^\]]*\] \*", self.command("show", "route", "primary", prefix))
        return found[1] if found else None

    def attributes(self, prefix: str, protocol: str) -> dict:
        """BGP attributes of one protocol's route, as BIRD prints them: {"as_path": "64500", …}."""
        text = self.command("show", "route", "all", "protocol", protocol, prefix)
        return {key: value.strip() for key, value in re.findall(r"^\tBGP\.(\w+): ?(.*)$", text, re.M)}


class RouteWatch:
    """Stamps every change of the kernel's routes in a namespace as it is reported."""

    def __init__(self, namespaces, netns: str):
        self._monitor = subprocess.Popen(
            ["ip", "-n", namespaces[netns], "-o", "monitor", "route"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def first(self, since_ns: int, *words: str) -> "int | None":
        """When the first line with all `words` came after `since_ns`."""
        with self._lock:
            for at, line in self._lines:
                if at >= since_ns and all(word in line for word in words):
                    return at
        return None

    def _read(self):
        for line in self._monitor.stdout:
            with self._lock:
                self._lines.append((boottime_ns(), line))

    def close(self):
        self._monitor.terminate()
        self._monitor.wait()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
