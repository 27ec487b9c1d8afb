"""The clock of swerved's records: CLOCK_BOOTTIME, in nanoseconds."""

import time


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wait_until(condition, timeout_s: float, what: str, poll_s: float = 0.005):
    """Returns the first true value of condition(); raises TimeoutError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(poll_s)
