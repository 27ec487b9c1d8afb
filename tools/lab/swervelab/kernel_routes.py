"""Routes of the kernel in a namespace, watched from outside."""

import subprocess
import threading

from .clock import boottime_ns


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
        """When the first route with all `words` was set after `since_ns`."""
        with self._lock:
            for at, line in self._lines:
                if at >= since_ns and not line.startswith("Deleted") and all(word in line for word in words):
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
