"""A network namespace of the bench's own: loopback alone, with plain Reno, since what a host uses towards the world (BBR
paces) distorts a loopback."""

import os
import subprocess
import sys

_INSIDE = "SWERVE_BENCH_NAMESPACE"


def enter():
    """Runs this program anew in such a namespace and does not come back; where none can be had, says so and goes on."""
    if os.environ.get(_INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with open("/proc/sys/net/ipv4/tcp_congestion_control", "w", encoding="ascii") as file:
            file.write("reno")
        return
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    try:
        possible = subprocess.run([*unshare, "ip", "link"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    if possible:
        os.environ[_INSIDE] = "yes"
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])
    print("no network namespace can be had here: measured on the host's own loopback", file=sys.stderr)


def is_entered() -> bool:
    """Whether links here are the bench's own."""
    return bool(os.environ.get(_INSIDE))
