"""tools/bench/bfd: many BFD sessions, while a table of routes comes and goes and checks run."""

import collections
import ipaddress
import pathlib
import re
import signal
import subprocess
import sys
import time

from bfd_parties import PATIENCE_S, BirdEnd, Pairing, SwerveEnd, await_up, swerve_neighbors
from readings import buckets, cpu_s, metrics, percentile_ms, thread_cpu_s, thread_named, total
from receiver import Receiver
from swervelab import netns
from swervelab.clock import boottime_ns, wait_until
from swervelab.world import World
from tables import Heard, Table

TAKER, SPEAKER, SERVER = "127.0.3.1", "127.0.0.2", "127.0.4.1"
FIRST_PORT = 20000  # of the server of tools/bench/checks
SITE_NET, NEIGHBOR_NET, LINK_LENGTH = "100.65.0.0", "100.66.0.0", 14
CHECK_LATENESS, BFD_LATENESS = "swerve_check_lateness_seconds", "swerve_bfd_lateness_seconds"

SITE = """\
site: bench
local_as: 64500
router_id: 100.65.0.1
state_dir: {directory}/state-site
control: {{socket: {directory}/site.sock}}
{realtime}owned: [10.0.0.0/8]
damping: {{profile: none, changes_per_hour: 0}}
neighbors:
  taker: {{address: {taker}, port: {taker_port}, remote_as: 64496, local_address: {speaker}, services: [table],
           export: {{next_hop: {{ipv4: 192.0.2.1}}}}}}
{neighbors}checks:
  process: {{process: {{pid_file: {directory}/service.pid}}, on_event: trust, interval: 100ms, rise: 1}}
{checks}services:
  table: {{prefixes_file: {table}, healthy_when: process}}
  small: {{prefixes: [10.255.0.1/32], healthy_when: {{any: [{names}]}}}}
"""

OTHER = """\
site: other
local_as: 64496
router_id: 100.66.0.1
state_dir: {directory}/state-other
control: {{socket: {directory}/other.sock}}
bgp: {{listen: ["0.0.0.0:179"]}}
owned: [198.51.100.0/24]
neighbors:
{neighbors}services:
  portal: {{prefixes: [198.51.100.0/24], healthy_when: always}}
"""


def pairings(count: int, interval_ms: int) -> list:
    first = [int(ipaddress.IPv4Address(net)) for net in (SITE_NET, NEIGHBOR_NET)]
    out = []
    for number in range(1, count + 1):
        local, remote = (str(ipaddress.IPv4Address(net + number)) for net in first)
        out.append(Pairing(number, local, remote, interval_ms))
    return out


def join(namespaces, wanted: list):
    """A veth pair from here to the namespace of the neighbors, with an address for every end of a session."""
    neighbor = namespaces.add("neighbor")
    netns.run("ip", "link", "add", "to-neighbor", "type", "veth", "peer", "name", "to-site", "netns", neighbor)
    for prefix, link, addresses in (
        ([], "to-neighbor", [pairing.local for pairing in wanted]),
        (["-n", neighbor], "to-site", [pairing.remote for pairing in wanted]),
    ):
        lines = "".join(f"address add {address}/{LINK_LENGTH} dev {link}\n" for address in addresses)
        subprocess.run(["ip", *prefix, "-batch", "-"], input=lines, text=True, check=True)
        netns.run("ip", *prefix, "link", "set", link, "up")


class Load:
    """What the site has to do beside BFD: a table for one receiver, and checks of one server."""

    def __init__(self, world: World, arguments):
        self._world = world
        self.table = Table(world, arguments.prefixes)
        self.taker = Receiver(world, "taker", TAKER)
        self.checks = arguments.checks
        self.announced = self.withdrawn = 0
        self._pid_file = pathlib.Path(world.directory, "service.pid")
        command = [sys.executable, str(pathlib.Path(__file__).with_name("checks")), "--serve", str(arguments.checks)]
        self._server = world.processes.start("server", command)
        wait_until(lambda: "ready" in self._server.log_text() or not self._server.is_running(), PATIENCE_S, "the server listens")
        if not self._server.is_running():
            raise RuntimeError("the server did not start:\n" + self._server.log_text())

    def site_config(self, neighbors: str, realtime: bool) -> str:
        checks = ""
        for number in range(self.checks):
            checks += f'  c{number}: {{tcp: {{endpoint: "{SERVER}:{FIRST_PORT + number}"}}, interval: 1s, timeout: 800ms}}\n'
        return SITE.format(
            directory=self._world.directory,
            realtime="bfd: {realtime: true}\n" if realtime else "",
            taker=TAKER,
            taker_port=self.taker.port,
            speaker=SPEAKER,
            neighbors=neighbors,
            checks=checks,
            table=self.table.file,
            names=", ".join(f"c{number}" for number in range(self.checks)),
        )

    def announce(self):
        heard = Heard(self.taker, "announced", self.table.count)
        self._service = self._world.processes.start("service", ["sleep", "infinity"])
        unfinished = self._pid_file.with_suffix(".new")
        unfinished.write_text(f"{self._service.pid}\n", encoding="ascii")
        unfinished.rename(self._pid_file)
        heard.last_ns()
        self.announced += 1

    def withdraw(self):
        heard = Heard(self.taker, "withdrawn", self.table.count)
        self._service.signal(signal.SIGKILL)
        heard.last_ns()
        self._service.wait(PATIENCE_S)
        self.withdrawn += 1

    def close(self):
        self.taker.close()


def discards(text: str) -> collections.Counter:
    """By reason, of all sessions and of none."""
    out = collections.Counter()
    for labels, count in re.findall(r"^swerve_bfd_discards_total\{([^}]*)\} (\d+)$", text, re.M):
        out[re.search(r'reason="([^"]*)"', labels)[1]] += int(count)
    return out


class Watch:
    """What passes at the site and at the other end between begin and end."""

    def __init__(self, site: SwerveEnd, others: list):
        self._site = site
        self._others = others
        self._thread = thread_named(site.pid, "bfd")
        self._before = self._read()

    def _read(self) -> dict:
        text = metrics(self._site.daemon.control.path)
        return {
            "at_ns": boottime_ns(),
            "site_cpu_s": self._site.cpu_s(),
            "thread_cpu_s": thread_cpu_s(self._site.pid, self._thread) if self._thread else None,
            "other_cpu_s": sum(cpu_s(other.pid) for other in self._others),
            "bfd": buckets(text, BFD_LATENESS),
            "checks": buckets(text, CHECK_LATENESS),
            "received": total(text, "swerve_bfd_packets_received_total"),
            "discarded": total(text, "swerve_bfd_discards_total"),
            "reasons": discards(text),
            "site_downs": self._site.downs(),
            "other_downs": sum(other.downs() for other in self._others),
        }

    def end(self) -> dict:
        before, after = self._before, self._read()
        lasted_s = (after["at_ns"] - before["at_ns"]) / 1e9

        def rate(key: str) -> "float | None":
            return (after[key] - before[key]) / lasted_s if after[key] is not None else None

        return {
            "lasted_s": lasted_s,
            "site_cores": rate("site_cpu_s"),
            "bfd_thread_cores": rate("thread_cpu_s"),
            "other_cores": rate("other_cpu_s"),
            "packets_received_s": rate("received"),
            "packets_discarded_s": rate("discarded"),
            "discarded_s": {
                reason: (count - before["reasons"].get(reason, 0)) / lasted_s
                for reason, count in after["reasons"].items()
                if count != before["reasons"].get(reason, 0)
            },
            "late_p50_ms": percentile_ms(before["bfd"], after["bfd"], 0.5),
            "late_p99_ms": percentile_ms(before["bfd"], after["bfd"], 0.99),
            "late_all_ms": percentile_ms(before["bfd"], after["bfd"], 1.0),
            "attempts_s": (after["checks"][float("inf")] - before["checks"][float("inf")]) / lasted_s,
            "check_late_p99_ms": percentile_ms(before["checks"], after["checks"], 0.99),
            "downs": {end: after[end + "_downs"] - before[end + "_downs"] for end in ("site", "other")},
        }


def measure_load(world: World, namespaces, arguments) -> dict:
    wanted = pairings(arguments.sessions, arguments.interval)
    join(namespaces, wanted)
    other = make_other(world, namespaces["neighbor"], wanted, arguments.other)
    load = Load(world, arguments)
    try:
        neighbors = swerve_neighbors(world, wanted, of_site=True, options="services: [small]\n    ")
        site = SwerveEnd(world.daemon("site", load.site_config(neighbors, arguments.realtime)), len(wanted))
        for end in (other, site):
            end.start()
        load.taker.wait("established", PATIENCE_S)
        await_up([site, other])
        watch = Watch(site, [other])
        until = time.monotonic() + 60.0 * arguments.minutes
        told_at = 0.0
        while time.monotonic() < until:
            if time.monotonic() >= told_at + 1.0:  # seldom: to ask is work for the site, too
                told_at = time.monotonic()
                progress = f"table {load.announced + 1}, {until - told_at:.0f} s left, downs {site.downs()}"
                print(f"\r  {progress} ", end="", file=sys.stderr, flush=True)
            load.announce()
            load.withdraw()
        print(file=sys.stderr)
        record = watch.end()
        record["up_at_the_end"] = site.are_up() and other.are_up()
        record |= {"other": other.title, "prefixes": load.table.count, "checks": load.checks}
        return record | {"tables": load.withdrawn, "realtime": bool(site.bfd()["realtime"])}
    finally:
        load.close()


def make_other(world: World, netns_name: str, wanted: list, kind: str):
    if kind == "bird":
        return BirdEnd(world, "other", netns_name, wanted)
    neighbors = swerve_neighbors(world, wanted, of_site=False, options="passive: true\n    ")
    config = OTHER.format(directory=world.directory, neighbors=neighbors)
    return SwerveEnd(world.daemon("other", config, netns_name), len(wanted))


def late(record: dict) -> str:
    def bound(value) -> str:
        return "-" if value is None else f"<= {value:g} ms"

    return f"half {bound(record['late_p50_ms'])}, 99% {bound(record['late_p99_ms'])}, all {bound(record['late_all_ms'])}"


def cores(value: "float | None") -> str:
    return "-" if value is None else f"{value:.3f}"


def print_load(record: dict):
    print(
        f"{record['sessions']} BFD sessions with one {record['other']}, {record['interval_ms']} ms x 3, "
        f"{record['lasted_s'] / 60:.1f} min, {'with' if record['realtime'] else 'without'} real-time priority"
    )
    print(f"  meanwhile {record['prefixes']} prefixes came and went {record['tables']} times, {record['attempts_s']:.0f} checks/s")
    downs = f"{record['downs']['site']} here, {record['downs']['other']} at the other end"
    print(f"  downs: {downs}; all up at the end: {record['up_at_the_end']}")
    print(f"  BFD timer late: {late(record)}; checks late: 99% <= {record['check_late_p99_ms']:g} ms")
    print(
        f"  cores: swerved {cores(record['site_cores'])}, its bfd thread {cores(record['bfd_thread_cores'])}, "
        f"the other end {cores(record['other_cores'])}; BFD packets/s that counted: {record['packets_received_s']:.0f}"
    )
