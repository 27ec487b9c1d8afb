"""A column of the interop matrix: one make of router beside Swerve. What its parts have in common."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lab"))

from swervelab.acts import BREAKS_OFF, text_of  # noqa: E402
from swervelab.clock import boottime_ns, wait_until  # noqa: E402
from swervelab.netns import Namespaces  # noqa: E402
from swervelab.routers import Route, differences  # noqa: E402
from swervelab.world import Daemon, World  # noqa: E402

PATIENCE_S = 30.0
NOT_PLAYED = "not played"


class Wrong(RuntimeError):
    """Something came out other than configured."""


class NotSupported(Exception):
    """The router has no such thing; the text says why."""


class Part:
    """One router and what speaks with it, in namespaces of its own."""

    def __init__(self, kind: str, world: World, namespaces: Namespaces):
        """Makes everything; start() starts it."""
        self.kind = kind
        self.world = world
        self.net = namespaces

    def rows(self) -> list:
        """(name, function) in the order in which they are played. A function returns what is worth reading beside
        "ok", or nothing; it raises Wrong, NotSupported or what comes out of waiting in vain."""
        raise NotImplementedError

    def start(self):
        raise NotImplementedError

    def has(self, prefix: str, peering: str):
        wait_until(
            lambda: self.router.route(prefix, peering), PATIENCE_S, f"{prefix} of {peering} at the router", poll_s=0.05
        )

    def gone(self, prefix: str, peering: str):
        wait_until(
            lambda: not self.router.route(prefix, peering), PATIENCE_S, f"{prefix} gone at the router", poll_s=0.002
        )
        if not self.router.answers():
            raise Wrong("the router answers no more")

    def compare(self, prefix: str, peering: str, wanted: Route):
        self.has(prefix, peering)
        faults = differences(self.router.route(prefix, peering), wanted)
        if faults:
            raise Wrong("; ".join(f"{prefix}: {fault}" for fault in faults))

    @staticmethod
    def down_after(daemon: Daemon, event_id: int, neighbor: str = "router") -> dict:
        """The event with which a daemon reports the end of a session, of those younger than `event_id`."""

        def find():
            events = daemon.control.get("/v1/events", since=event_id)["events"]
            return next((e for e in events if e["type"] == "session_down" and e["subject"] == neighbor), None)

        return wait_until(find, PATIENCE_S, f"Swerve reports the end of the session {neighbor}", poll_s=0.02)


def ms_since(start_ns: int) -> str:
    return f"{(boottime_ns() - start_ns) / 1e6:.0f} ms"


def play(kind: str, name: str, make) -> dict:
    """Plays all rows of the part that `make` is the class of; the cells by row, with the directory of the logs."""
    begun = time.monotonic()
    # The processes end before the namespaces go.
    with Namespaces() as namespaces, World(f"interop-{kind}-{name}") as world:
        part = make(kind, world, namespaces)
        cells = {row: {"result": "FAIL", "detail": NOT_PLAYED} for row, _ in part.rows()}
        started = False
        for row, perform in part.rows():
            row_begun = time.monotonic()
            try:
                if not started:
                    part.start()
                    started = True
                cells[row] = {"result": "ok", "detail": perform() or ""}
            except NotSupported as reason:
                cells[row] = {"result": "n/a", "detail": str(reason)}
            except BREAKS_OFF as fault:
                cells[row] = {"result": "FAIL", "detail": text_of(fault)}
            report = f"{kind}: {row}: {cells[row]['result']} {cells[row]['detail']}"
            print(f"{report} (row {time.monotonic() - row_begun:.1f} s)", file=sys.stderr, flush=True)
            if not started:
                break
        return {"cells": cells, "logs": world.directory, "took_s": round(time.monotonic() - begun, 1)}
