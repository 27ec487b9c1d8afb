"""tools/bench/bfd --forged: sessions at one address, and a flood of packets towards it that are none of theirs."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time

from bfd_load import Watch, cores, late
from bfd_parties import BirdEnd, Pairing, SwerveEnd, await_up, swerve_neighbors
from swervelab import netns
from swervelab.world import World

SITE, STRANGER = "198.18.0.1", "198.18.2.1"
LENGTH = 16

CONFIG = """\
site: bench
local_as: 64500
router_id: {site}
state_dir: {directory}/state-site
control: {{socket: {directory}/site.sock}}
{realtime}owned: [203.0.113.0/24]
neighbors:
{neighbors}services:
  portal: {{prefixes: [203.0.113.0/24], healthy_when: always}}
"""


def pairings(count: int, interval_ms: int) -> list:
    """Every second one is signed."""
    return [Pairing(number, SITE, f"198.18.1.{number}", interval_ms, number % 2 == 0) for number in range(1, count + 1)]


def plug(namespaces, short: str, address: str):
    """A namespace at the switch."""
    namespaces.add(short)
    namespaces.ip("switch", "link", "add", f"p-{short}", "type", "veth", "peer", "name", "lan", "netns", namespaces[short])
    namespaces.ip("switch", "link", "set", f"p-{short}", "master", "switch", "up")
    namespaces.ip(short, "address", "add", f"{address}/{LENGTH}", "dev", "lan")
    namespaces.ip(short, "link", "set", "lan", "up")


def make_switch(namespaces):
    """With this namespace at it."""
    switch = namespaces.add("switch")
    namespaces.ip("switch", "link", "add", "switch", "type", "bridge")
    namespaces.ip("switch", "link", "set", "switch", "up")
    netns.run("ip", "link", "add", "lan", "type", "veth", "peer", "name", "p-site", "netns", switch)
    namespaces.ip("switch", "link", "set", "p-site", "master", "switch", "up")
    netns.run("ip", "address", "add", f"{SITE}/{LENGTH}", "dev", "lan")
    netns.run("ip", "link", "set", "lan", "up")


class Attacker:
    """The forger, in a namespace of its own that may send from any address."""

    def __init__(self, netns_name: str, plan: dict):
        program = str(pathlib.Path(__file__).with_name("bfd_forger.py"))
        self._popen = subprocess.Popen(
            ["ip", "netns", "exec", netns_name, sys.executable, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._popen.stdin.write(json.dumps(plan) + "\n")
        self._popen.stdin.flush()
        if not self._popen.stdout.readline():
            raise RuntimeError("the forger did not begin")

    def end(self) -> dict:
        """What it sent each second, by kind."""
        self._popen.stdin.close()
        last = self._popen.stdout.readline()
        self._popen.wait()
        if not last:
            raise RuntimeError("the forger did not last")
        did = json.loads(last)
        return {kind: count / did["lasted_s"] for kind, count in did["sent"].items()}

    def close(self):
        """Whatever happened before."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def lost_in_sockets() -> int:
    """Datagrams that found no room in a socket of this namespace."""
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, values = (line.split() for line in file if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


def phase(site: SwerveEnd, others: list, seconds: float, title: str, attacker: "Attacker | None") -> dict:
    watch, lost = Watch(site, others), lost_in_sockets()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        left_s = until - time.monotonic()
        print(f"\r  {title}: {left_s:.0f} s left, downs {site.downs()} ", end="", file=sys.stderr, flush=True)
        time.sleep(min(1.0, max(0.0, left_s)))
    row = {"while": title, **watch.end()}
    row["lost_in_sockets_s"] = (lost_in_sockets() - lost) / row["lasted_s"]
    row["sent_s"] = attacker.end() if attacker else None
    return row


def measure_forged(world: World, namespaces, arguments) -> dict:
    wanted = pairings(arguments.sessions, arguments.interval)
    make_switch(namespaces)
    others = []
    for pairing in wanted:
        plug(namespaces, pairing.name, pairing.remote)
        others.append(BirdEnd(world, "bird-" + pairing.name, namespaces[pairing.name], [pairing]))
    plug(namespaces, "stranger", STRANGER)
    realtime = "bfd: {realtime: true}\n" if arguments.realtime else ""
    neighbors = swerve_neighbors(world, wanted, of_site=True)
    config = CONFIG.format(site=SITE, directory=world.directory, realtime=realtime, neighbors=neighbors)
    site = SwerveEnd(world.daemon("site", config), len(wanted))
    for end in (*others, site):
        end.start()
    await_up([site, *others])
    seconds = 60.0 * arguments.minutes
    rows = [phase(site, others, min(seconds, 20.0), "nobody", None)]
    plan = {"address": SITE, "stranger": STRANGER, "per_second": arguments.forged, "targets": targets(site, wanted)}
    attacker = Attacker(namespaces["stranger"], plan)
    try:
        rows.append(phase(site, others, seconds, "flood", attacker))
    finally:
        attacker.close()
    print(file=sys.stderr)
    return {
        "forged_s": arguments.forged,
        "realtime": bool(site.bfd()["realtime"]),
        "rows": rows,
        "downs": {end: sum(row["downs"][end] for row in rows) for end in ("site", "other")},
        "up_at_the_end": all(end.are_up() for end in (site, *others)),
    }


def targets(site: SwerveEnd, wanted: list) -> list:
    """The sessions with what somebody would know who has seen a packet of each."""
    discriminators = {session["neighbor"]: session["discriminator"] for session in site.bfd()["bfd"]}
    return [
        {"neighbor": pairing.remote, "discriminator": discriminators[pairing.name], "signed": pairing.signed} for pairing in wanted
    ]


def print_forged(record: dict):
    print(
        f"{record['sessions']} BFD sessions with a BIRD each at one address, every second one signed, "
        f"{record['interval_ms']} ms x 3, {'with' if record['realtime'] else 'without'} real-time priority"
    )
    for row in record["rows"]:
        downs = f"{row['downs']['site']} here, {row['downs']['other']} at the other ends"
        print(f"while {row['while']}, {row['lasted_s']:.0f} s: downs {downs}")
        if row["sent_s"]:
            by_kind = ", ".join(f"{kind} {rate:.0f}" for kind, rate in row["sent_s"].items())
            print(f"  sent {sum(row['sent_s'].values()):.0f}/s: {by_kind}")
        print(
            f"  packets/s that counted {row['packets_received_s']:.0f}, discarded {row['packets_discarded_s']:.0f}, "
            f"lost before they were read {row['lost_in_sockets_s']:.0f}"
        )
        if row["discarded_s"]:
            print("  discarded/s: " + ", ".join(f"{reason} {rate:.0f}" for reason, rate in row["discarded_s"].items()))
        own = f"swerved {cores(row['site_cores'])}, its bfd thread {cores(row['bfd_thread_cores'])}"
        print(f"  cores: {own}; timer late: {late(row)}")
    print(f"all up at the end: {record['up_at_the_end']}")
