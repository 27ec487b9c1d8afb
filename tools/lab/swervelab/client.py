"""A client that asks steadily and remembers every answer."""

import dataclasses
import http.client
import threading
import time

from .clock import boottime_ns


@dataclasses.dataclass(frozen=True)
class Answer:
    asked_ns: int
    done_ns: int
    site: "str | None"  # who served it; None: lost
    error: str


class SteadyClient:
    """Asks `rate` times a second, each request on a thread of its own so that a hanging server delays no other.

    `where()` returns (address, port) to fetch from, or None when there is no route. `enter()` is called on each
    request's thread before anything else (to join a network namespace).
    """

    def __init__(self, where, rate: float = 20.0, timeout_s: float = 1.0, enter=lambda: None):
        self._where = where
        self._enter = enter
        self._period = 1.0 / rate
        self._timeout_s = timeout_s
        self._answers = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def since(self, start_ns: int) -> list:
        """Answers to what was asked from `start_ns` on, in the order asked."""
        with self._lock:
            return sorted((a for a in self._answers if a.asked_ns >= start_ns), key=lambda a: a.asked_ns)

    def first_good(self, start_ns: int, site: str) -> "Answer | None":
        good = [a for a in self.since(start_ns) if a.site == site]
        return min(good, key=lambda a: a.done_ns) if good else None

    def lost(self, start_ns: int) -> int:
        return sum(1 for a in self.since(start_ns) if a.site is None)

    def _run(self):
        due = time.monotonic()
        while not self._stop.is_set():
            threading.Thread(target=self._ask, daemon=True).start()
            due += self._period
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _ask(self):
        asked = boottime_ns()
        site, error = None, ""
        try:
            self._enter()
            target = self._where()
            if target is None:
                error = "no route"
            else:
                site = fetch_site(*target, self._timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as fault:
            error = str(fault) or type(fault).__name__
        with self._lock:
            self._answers.append(Answer(asked, boottime_ns(), site, error))


def fetch_site(address: str, port: int, timeout_s: float) -> str:
    """Fetches the page and returns the name of the site that served it."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read(200).decode()
        if answer.status != 200 or not text.startswith("served by "):
            raise ValueError(f"HTTP {answer.status}: {text[:40]!r}")
        return text.removeprefix("served by ").strip()
    finally:
        connection.close()
