"""What the benches read of processes and of swerved's own metrics."""

import os
import pathlib
import re
import subprocess


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    return _cpu_s(f"/proc/{pid}/stat")


def thread_named(pid: int, name: str) -> "int | None":
    """The thread whose name is, or ends in, this one."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text(encoding="utf-8").strip().endswith(name):
            return int(task.name)
    return None


def thread_cpu_s(pid: int, thread: int) -> float:
    return _cpu_s(f"/proc/{pid}/task/{thread}/stat")


def _cpu_s(path: str) -> float:
    with open(path, encoding="utf-8", errors="replace") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metrics(control_path: str) -> str:
    command = ["curl", "-s", "--fail-with-body", "--unix-socket", control_path, "http://swerve/metrics"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"no metrics: {done.stdout[:500]}{done.stderr}")
    return done.stdout


def total(text: str, name: str) -> float:
    """Of a metric over all its labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))


def buckets(text: str, name: str) -> dict:
    """A histogram without other labels: how many so far, by upper bound, cumulative."""
    found = re.findall(rf'^{name}_bucket\{{le="([^"]+)"\}} (\d+)$', text, re.M)
    return {float(bound): int(count) for bound, count in found}


def percentile_ms(before: dict, after: dict, share: float) -> "float | None":
    """The bound of the bucket in which that share of what came between the two ends; None where nothing came."""
    count = after[float("inf")] - before[float("inf")]
    if count == 0:
        return None
    return 1000 * next(bound for bound in sorted(after) if after[bound] - before[bound] >= share * count)
