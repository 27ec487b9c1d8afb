"""The two ends of tools/bench/bfd: a site with many BFD sessions, and the one or the many at the other end."""

import os
import re
import subprocess

from readings import cpu_s
from swervelab.clock import wait_until
from swervelab.world import Daemon, World

SITE_AS, NEIGHBOR_AS = 64500, 64496
MULTIPLIER = 3
KEY = "no secret at all"
PATIENCE_S = 120.0

SWERVE_NEIGHBOR = """\
  {name}:
    address: {remote}
    remote_as: {remote_as}
    local_address: {local}
    hold_time: 90s
    connect_retry: 1s
    {options}bfd: {{interval: {interval}ms, multiplier: {multiplier}{auth}}}
"""
SWERVE_AUTH = ", auth: {{type: meticulous_keyed_sha1, key_id: 1, key_file: {key_file}}}"

BIRD = """\
log stderr all;
router id {router_id};
protocol device {{ }}
protocol bfd {{ debug {{ states, events }}; {auth}}}
{sessions}"""
BIRD_SESSION = """\
protocol bgp n{number} {{
  local {local} as {local_as};
  neighbor {remote} as {remote_as};
  {options}
  strict bind yes;
  bfd {{ interval {interval} ms; multiplier {multiplier}; }};
  ipv4 {{ import all; export none; }};
}}
"""
BIRD_AUTH = f'interface "*" {{ authentication meticulous keyed sha1; password "{KEY}" {{ id 1; }}; }}; '


class Pairing:
    """One BFD session, as the site has it."""

    def __init__(self, number: int, local: str, remote: str, interval_ms: int, signed: bool = False):
        self.number = number
        self.local = local
        self.remote = remote
        self.interval_ms = interval_ms
        self.signed = signed

    @property
    def name(self) -> str:
        return f"n{self.number}"


def swerve_neighbors(world: World, pairings: list, of_site: bool, options: str = "") -> str:
    """The neighbors of a swerved at one end or the other."""
    key_file = os.path.join(world.directory, "bfd.key")
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(KEY + "\n")
    text = ""
    for pairing in pairings:
        ends = (pairing.local, pairing.remote) if of_site else (pairing.remote, pairing.local)
        text += SWERVE_NEIGHBOR.format(
            name=pairing.name,
            local=ends[0],
            remote=ends[1],
            remote_as=NEIGHBOR_AS if of_site else SITE_AS,
            interval=pairing.interval_ms,
            multiplier=MULTIPLIER,
            auth=SWERVE_AUTH.format(key_file=key_file) if pairing.signed else "",
            options=options,
        )
    return text


class SwerveEnd:
    """A swerved and its BFD sessions, as it tells of them."""

    title = "swerved"

    def __init__(self, daemon: Daemon, count: int):
        self.daemon = daemon
        self._count = count

    @property
    def pid(self) -> int:
        return self.daemon.process.pid

    def start(self):
        self.daemon.start(PATIENCE_S)

    def bfd(self) -> dict:
        return self.daemon.control.get("/v1/bfd")

    def are_up(self) -> bool:
        """All of them, both ends at the interval they shall have, and BGP with them."""
        sessions = self.bfd()["bfd"]
        if len(sessions) != self._count or not all(_is_settled(session) for session in sessions):
            return False
        neighbors = self.daemon.control.get("/v1/neighbors")["neighbors"]
        watched = {session["neighbor"] for session in sessions}
        return all(each["state"] == "established" for each in neighbors if each["name"] in watched)

    def downs(self) -> int:
        return sum(session["downs"] for session in self.bfd()["bfd"])

    def packets_received(self) -> int:
        return sum(session["packets_received"] for session in self.bfd()["bfd"])

    def cpu_s(self) -> float:
        return cpu_s(self.pid)


def _is_settled(session: dict) -> bool:
    wanted = MULTIPLIER * session["min_rx_s"]
    detection = (session["detection_time_s"], session["neighbor_detection_time_s"])
    return session["state"] == "up" and all(time and abs(time - wanted) < 1e-6 for time in detection)


class BirdEnd:
    """A BIRD with its BFD sessions; it counts no downs, so its log does."""

    title = "BIRD"

    def __init__(self, world: World, name: str, netns: "str | None", pairings: list, dials: bool = False):
        """At the site's end with `dials`, else at the other. Either all sessions are signed or none is."""
        self._world = world
        self._name = name
        self._netns = netns
        self._count = len(pairings)
        self._interval_ms = pairings[0].interval_ms
        self._path = os.path.join(world.directory, name)
        sessions = ""
        for pairing in pairings:
            local, remote = (pairing.local, pairing.remote) if dials else (pairing.remote, pairing.local)
            sessions += BIRD_SESSION.format(
                number=pairing.number,
                local=local,
                remote=remote,
                local_as=SITE_AS if dials else NEIGHBOR_AS,
                remote_as=NEIGHBOR_AS if dials else SITE_AS,
                options="connect delay time 1; connect retry time 1;" if dials else "passive yes;",
                interval=pairing.interval_ms,
                multiplier=MULTIPLIER,
            )
        router_id = pairings[0].local if dials else pairings[0].remote
        with open(self._path + ".conf", "w", encoding="ascii") as file:
            auth = BIRD_AUTH if all(pairing.signed for pairing in pairings) else ""
            file.write(BIRD.format(router_id=router_id, sessions=sessions, auth=auth))

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self):
        control = self._path + ".ctl"
        command = ["bird", "-f", "-c", self._path + ".conf", "-s", control, "-P", self._path + ".pid"]
        self.process = self._world.processes.start(self._name, command, self._netns)
        wait_until(lambda: os.path.exists(control) or not self.process.is_running(), 10.0, f"{self._name} starts")
        if not self.process.is_running():
            raise RuntimeError(f"{self._name} did not start:\n{self.process.log_text()}")

    def are_up(self) -> bool:
        command = ["birdc", "-s", self._path + ".ctl", "show", "bfd", "sessions"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        found = re.findall(r"^[\d.]+\s+\S+\s+Up\s+\S+\s+([\d.]+)\s+([\d.]+)", shown, re.M)
        wanted = (self._interval_ms, MULTIPLIER * self._interval_ms)
        settled = [pair for pair in found if tuple(round(1000 * float(value)) for value in pair) == wanted]
        return len(settled) == self._count

    def downs(self) -> int:
        """One that BGP took away while it was Up is lost as well."""
        log = self.process.log_text()
        return len(re.findall(r"changed state from Up to|Session to \S+ removed", log))

    def cpu_s(self) -> float:
        return cpu_s(self.pid)


def await_up(ends: list):
    wait_until(lambda: all(end.are_up() for end in ends), PATIENCE_S, "all BFD sessions are up at both ends", poll_s=0.5)
