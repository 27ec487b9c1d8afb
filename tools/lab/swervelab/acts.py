"""Acts of a show: each has a limit, a timeline in milliseconds and a verdict."""

import dataclasses
import http.client
import json
import os
import subprocess
import sys

from .clock import boottime_ns
from .control import Refused
from .signals import undisturbed

# What breaks off an act, or a show outside its acts; anything else is a mistake in here and shows itself as one.
BREAKS_OFF = (TimeoutError, RuntimeError, OSError, subprocess.SubprocessError, http.client.HTTPException, Refused)


def detection_bound_ms(interval_ms: float, timeout_ms: float, fall: int, fast_interval_ms: "float | None" = None) -> float:
    """DESIGN.md §4.6: the longest time from a hang to the verdict."""
    fast = min(200.0, interval_ms) if fast_interval_ms is None else fast_interval_ms
    return interval_ms + timeout_ms + (fall - 1) * max(fast, timeout_ms)


def limit_ms(bound_ms: float) -> float:
    """Three times the bound, never under a second."""
    return max(1000.0, 3.0 * bound_ms)


@dataclasses.dataclass
class Act:
    title: str
    limit_ms: float
    start_ns: int = dataclasses.field(default_factory=boottime_ns)
    stages: list = dataclasses.field(default_factory=list)  # (name, ms since start)
    lost: "int | None" = None
    faults: list = dataclasses.field(default_factory=list)

    def stage(self, name: str, at_ns: "int | None"):
        """Notes a stage of the timeline; one that never came is a fault."""
        if at_ns is None:
            self.faults.append(f"{name}: never seen")
            return
        self.stages.append((name, (at_ns - self.start_ns) / 1e6))
        self.stages.sort(key=lambda stage: stage[1])

    def fault(self, text: str):
        self.faults.append(text)

    @property
    def took_ms(self) -> float:
        return max((at for _, at in self.stages), default=0.0)

    @property
    def passed(self) -> bool:
        return not self.faults and self.took_ms <= self.limit_ms

    def record(self) -> dict:
        return {
            "act": self.title,
            "passed": self.passed,
            "took_ms": round(self.took_ms, 3),
            "limit_ms": self.limit_ms,
            "timeline": [{"stage": name, "ms": round(at, 3)} for name, at in self.stages],
            "requests_lost": self.lost,
            "faults": self.faults,
        }


class Stage:
    """Prints acts as they happen, to standard error when the record goes to standard output as JSON."""

    def __init__(self, as_json: bool):
        self._as_json = as_json
        self._out = sys.stderr if as_json else sys.stdout
        self._colour = self._out.isatty() and not os.environ.get("NO_COLOR")
        self.acts = []
        self.planned = 0

    def say(self, text: str = ""):
        print(text, file=self._out, flush=True)

    def progress(self, text: str):
        self.say(self._paint("2", f"  … {text}"))

    def begin(self, number: int, title: str, limit: float) -> Act:
        self.say()
        self.say(self._paint("1", f"Act {number}: {title}") + f"  (limit {limit:.0f} ms)")
        return Act(title, limit)

    def end(self, act: Act):
        for name, at in act.stages:
            self.say(f"  {at:10.1f} ms  {name}")
        if act.lost is not None:
            self.say(f"  {act.lost:10d}     requests lost")
        for fault in act.faults:
            self.say("  " + self._paint("31", f"FAULT: {fault}"))
        if act.passed:
            self.say("  " + self._paint("32", f"passed in {act.took_ms:.1f} ms"))
        else:
            self.say("  " + self._paint("31", f"FAILED after {act.took_ms:.1f} ms (limit {act.limit_ms:.0f} ms)"))
        self.acts.append(act)

    def finish(self, directory: str, fault: "str | None" = None) -> int:
        """Prints the summary, with the `fault` that ended the show outside an act; the exit code of the show."""
        good = sum(act.passed for act in self.acts)
        passed = fault is None and 0 < self.planned == good
        self.say()
        self.say(f"{good} of {self.planned} acts passed" if self.planned else "no act was played")
        self.say(f"The configurations are in {directory}/*.yaml: copy from them to start your own.")
        if self._as_json:
            json.dump(
                {
                    "schema": "swerve.demo/1",
                    "passed": passed,
                    "fault": fault,
                    "planned": self.planned,
                    "directory": directory,
                    "acts": [act.record() for act in self.acts],
                },
                sys.stdout,
                indent=2,
            )
            print()
        return 0 if passed else 1

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def play(stage: Stage, programme: list, interactive: bool):
    """Plays (title, limit in ms, function) one after the other; a person who watches says when to go on.

    An act that breaks off has failed, and is the last: the next ones build on it.
    """
    stage.planned = len(programme)
    for number, (title, limit, perform) in enumerate(programme, start=1):
        if number > 1 and interactive:
            stage.say()
            input("  Enter: next act (Ctrl-C: end) ")
        act = stage.begin(number, title, limit)
        try:
            perform(act)
        except BREAKS_OFF as fault:
            act.fault(text_of(fault))
            stage.end(act)
            return
        stage.end(act)


def text_of(fault: BaseException) -> str:
    return str(fault) or type(fault).__name__


def show(stage: Stage, directory: str, body) -> int:
    """Runs a whole show and says how it ended; the exit code."""
    stage.say(f"Configurations and logs: {directory}")
    try:
        body()
    except (KeyboardInterrupt, EOFError):
        with undisturbed():
            stage.say("\nInterrupted: everything is being stopped.")
            stage.finish(directory, "interrupted")
        return 130
    except BREAKS_OFF as fault:
        stage.say(f"FAILED: {text_of(fault)}")
        return stage.finish(directory, text_of(fault))
    return stage.finish(directory)
