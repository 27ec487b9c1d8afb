"""Network namespaces of our own, joined by veth pairs."""

import ctypes
import os
import shutil
import subprocess

from .signals import undisturbed

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def unavailable() -> "str | None":
    """Why namespaces cannot be used here; None when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the ip command is missing (Debian package iproute2)"
    return None


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Namespaces:
    """Named after this process, so that two labs do not collide; a context manager that removes all it made."""

    def __init__(self):
        self.prefix = f"swerve-{os.getpid()}-"
        self._names = {}

    def add(self, short: str) -> str:
        name = self.prefix + short
        self._names[short] = name  # first: whoever breaks off the command may have got the namespace all the same
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def __getitem__(self, short: str) -> str:
        return self._names[short]

    def ip(self, short: str, *arguments: str) -> str:
        return run("ip", "-n", self[short], *arguments)

    def link(self, a: str, a_addresses: list, b: str, b_addresses: list):
        """A veth pair; the ends are called by the namespace they lead to."""
        run("ip", "link", "add", f"to-{b}", "netns", self[a], "type", "veth", "peer", f"to-{a}", "netns", self[b])
        for here, there, addresses in ((a, b, a_addresses), (b, a, b_addresses)):
            for address in addresses:
                extra = ("nodad",) if ":" in address else ()
                self.ip(here, "address", "add", address, "dev", f"to-{there}", *extra)
            self.ip(here, "link", "set", f"to-{there}", "up")

    def switch(self, short: str):
        """Joins all links of a namespace to one Ethernet."""
        self.ip(short, "link", "add", "switch", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        self.ip(short, "link", "set", "switch", "up")
        for line in self.ip(short, "-o", "link", "show", "type", "veth").splitlines():
            self.ip(short, "link", "set", line.split(": ")[1].split("@")[0], "master", "switch")

    def carrier(self, short: str, interface: str) -> tuple:
        """(whether there is one, how often that changed so far)."""
        directory = f"/sys/class/net/{interface}"
        text = run("ip", "netns", "exec", self[short], "cat", f"{directory}/carrier", f"{directory}/carrier_changes")
        carrier, changes = text.split()
        return carrier == "1", int(changes)

    def drop(self, short: str, hook: str, match: str):
        """Loses the packets that match, in nftables' words, in a hook ("input", "output" or "forward")."""
        rules = f"table inet lose {{ chain lose {{ type filter hook {hook} priority 0; {match} drop; }}; }}"
        run("ip", "netns", "exec", self[short], "nft", rules)

    def drop_no_more(self, short: str):
        run("ip", "netns", "exec", self[short], "nft", "delete", "table", "inet", "lose")

    def forward(self, short: str):
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            run("ip", "netns", "exec", self[short], "sysctl", "-q", "-w", f"{key}=1")

    def enter(self, short: str):
        """Moves the calling thread into the namespace."""
        fd = os.open(f"/run/netns/{self[short]}", os.O_RDONLY)
        try:
            if _libc.setns(fd, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(fd)

    def close(self):
        with undisturbed():
            for name in self._names.values():
                subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
            self._names.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
