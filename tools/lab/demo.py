"""The main job on loopback: two sites, an upstream and a client. Called by tools/demo.

Every process is real: two swerved with their own configurations, a third one in collector mode as the upstream, and at
each site a small HTTP service in a process of its own.
"""

import argparse
import signal
import sys

from swervelab.acts import Stage, detection_bound_ms, limit_ms, play, show
from swervelab.client import SteadyClient
from swervelab.clock import boottime_ns, wait_until
from swervelab.routers import UPSTREAMS
from swervelab.signals import end_like_ctrl_c
from swervelab.world import World, free_port

PREFIX = "203.0.113.0/24"
UPSTREAM = "127.0.0.1"
BGP = {"A": "127.0.0.11", "B": "127.0.0.12"}
SERVICE = {"A": "127.0.1.11", "B": "127.0.1.12"}
# The upstream prefers A because B prepends its AS once more.
PREPEND = {"A": 0, "B": 1}
INTERVAL_MS, TIMEOUT_MS, FALL, RISE = 200, 160, 2, 2

UPSTREAM_YAML = """\
# The upstream of the demo: takes every route, announces nothing.
site: upstream
local_as: 64496
router_id: 192.0.2.1
state_dir: {directory}/upstream
control: {{socket: {directory}/upstream.sock}}
bgp: {{listen: ["{address}:{port}"]}}
collector: {{accept: ["127.0.0.0/8"]}}
"""

SITE_YAML = """\
# Site {name} of the demo.
site: {name}
local_as: 64500
router_id: 192.0.2.{id}
state_dir: {directory}/{name}
control: {{socket: {directory}/{name}.sock}}
owned: [{prefix}]
damping: {{profile: none, changes_per_hour: 0}}  # its failures are no flapping

neighbors:
  upstream:
    address: {upstream}
    port: {port}
    remote_as: 64496
    local_address: {bgp}
    connect_retry: 1s
    export:
      prepend: {prepend}
      next_hop: {{ipv4: 192.0.2.{id}}}   # "self" would be a loopback address here

checks:
  app:        # the kernel tells at once when the process ends
    process: {{pid_file: {directory}/service-{name}.pid}}
    on_event: trust
    interval: {interval}ms
    timeout: {timeout}ms
    fall: {fall}
    rise: {rise}
  web:        # a process that runs may still not answer
    http: {{url: "http://{service}:{service_port}/"}}
    interval: {interval}ms
    timeout: {timeout}ms
    fall: {fall}
    rise: {rise}

services:
  portal:
    prefixes: [{prefix}]
    healthy_when: {{all: [app, web]}}
    drain: {{graceful_shutdown_for: 0s}}
"""


class Demo:
    def __init__(self, world: World, stage: Stage):
        self.world = world
        self.stage = stage
        self.ports = {name: free_port(address) for name, address in SERVICE.items()}
        self.services = {}
        bgp_port = free_port(UPSTREAM)
        self.upstream = world.daemon(
            "upstream", UPSTREAM_YAML.format(directory=world.directory, address=UPSTREAM, port=bgp_port)
        )
        self.sites = {}
        for number, name in enumerate(("A", "B"), start=11):
            yaml = SITE_YAML.format(
                name=name,
                id=number,
                directory=world.directory,
                prefix=PREFIX,
                upstream=UPSTREAM,
                port=bgp_port,
                bgp=BGP[name],
                prepend=PREPEND[name],
                service=SERVICE[name],
                service_port=self.ports[name],
                interval=INTERVAL_MS,
                timeout=TIMEOUT_MS,
                fall=FALL,
                rise=RISE,
            )
            self.sites[name] = world.daemon(name, yaml)
        self.client = SteadyClient(self._where, timeout_s=2 * TIMEOUT_MS / 1000)

    def _where(self):
        """Which site serves the prefix, asked of the upstream: the neighbor of its best path."""
        neighbor = self.upstream.control.best_neighbor(PREFIX)
        for name, address in BGP.items():
            if address == neighbor:
                return SERVICE[name], self.ports[name]
        return None

    def start_service(self, name: str):
        self.services[name] = self.world.service(name, SERVICE[name], self.ports[name])

    def await_best(self, name: str, timeout_s: float = 15.0):
        wait_until(
            lambda: self.upstream.control.best_neighbor(PREFIX) == BGP[name], timeout_s, f"the upstream prefers {name}"
        )

    def observe(self, act, since: int, to: str, from_: "str | None" = None):
        """Route and client stages of an act, each awaited up to the act's limit and a little more."""
        wanted = {"to": BGP[to]} if from_ is None else {"from_": BGP[from_], "to": BGP[to]}
        patience_s = act.limit_ms / 1000 + 1.0
        try:
            event = wait_until(
                lambda: self.upstream.control.best_path_event(since, PREFIX, **wanted), patience_s, "route"
            )
            name = f"route via {to} at the upstream" if from_ is None else f"route via {from_} gone at the upstream"
            act.stage(name, event["boottime_ns"])
            answer = wait_until(lambda: self.client.first_good(act.start_ns, to), patience_s, "answer")
            act.stage(f"first good answer from {to}", answer.done_ns)
        except TimeoutError as fault:
            act.fault(str(fault))
        act.lost = self.client.lost(act.start_ns)

    def observe_failover(self, act, since: int, last_record: int):
        """The stages A itself recorded, then what the upstream and the client saw."""
        try:
            record = wait_until(
                lambda: self.sites["A"].control.failover_after(last_record), act.limit_ms / 1000 + 1.0, "record"
            )
            act.stage("verdict at A", record["verdict_boottime_ns"])
            written = [n["written_boottime_ns"] for n in record["neighbors"]]
            act.stage("bytes written by A", max((at for at in written if at is not None), default=None))
        except TimeoutError as fault:
            act.fault(f"A's failover {fault}")
        self.observe(act, since, to="B", from_="A")

    def run(self, interactive: bool):
        bound = detection_bound_ms(INTERVAL_MS, TIMEOUT_MS, FALL)
        programme = [
            ("both sites up", limit_ms(RISE * INTERVAL_MS + TIMEOUT_MS + 1000), self.act_both_up),
            ("the service at A is killed", limit_ms(bound), self.act_killed),
            ("the service at A hangs", limit_ms(bound), self.act_hangs),
            ("the service at A comes back", limit_ms(RISE * INTERVAL_MS + TIMEOUT_MS), self.act_comes_back),
            ("A drains by command", limit_ms(0), self.act_drains),
            ("A's daemon is killed with SIGKILL", limit_ms(0), self.act_daemon_killed),
        ]
        with self.client:
            play(self.stage, programme, interactive)

    def act_both_up(self, act):
        self.upstream.start()
        for name in ("A", "B"):
            self.start_service(name)
        act.start_ns = boottime_ns()
        for site in self.sites.values():
            site.start()
        act.stage("both daemons started", boottime_ns())
        self.observe(act, 0, to="A")
        act.lost = None  # nothing was there to lose
        wait_until(
            lambda: len(self.upstream.control.get("/v1/routes", prefix=PREFIX)["received"]) == 2,
            act.limit_ms / 1000,
            "the upstream has a route from both sites",
        )

    def act_killed(self, act):
        since, record = self.upstream.control.last_event_id(), self.sites["A"].control.last_failover_id()
        act.start_ns = boottime_ns()
        self.services["A"].signal(signal.SIGKILL)
        act.stage("failure: SIGKILL to the service at A", act.start_ns)
        self.observe_failover(act, since, record)
        self.stage.progress("the service at A is started again for the next act")
        self.start_service("A")
        self.await_best("A")

    def act_hangs(self, act):
        since, record = self.upstream.control.last_event_id(), self.sites["A"].control.last_failover_id()
        act.start_ns = boottime_ns()
        self.services["A"].signal(signal.SIGSTOP)
        act.stage("failure: SIGSTOP to the service at A", act.start_ns)
        self.observe_failover(act, since, record)

    def act_comes_back(self, act):
        since = self.upstream.control.last_event_id()
        act.start_ns = boottime_ns()
        self.services["A"].signal(signal.SIGCONT)
        act.stage("SIGCONT to the service at A", act.start_ns)
        self.observe(act, since, to="A")

    def act_drains(self, act):
        since, record = self.upstream.control.last_event_id(), self.sites["A"].control.last_failover_id()
        act.start_ns = boottime_ns()
        done = self.sites["A"].ctl("drain", "portal", "--reason", "demo")
        act.stage("swervectl drain portal answered", boottime_ns())
        if done.returncode != 0:
            act.fault(f"swervectl drain: exit {done.returncode}: {done.stderr.strip()}")
        self.observe_failover(act, since, record)
        self.stage.progress("swervectl undrain portal, for the next act")
        self.sites["A"].ctl("undrain", "portal")
        self.await_best("A")

    def act_daemon_killed(self, act):
        since = self.upstream.control.last_event_id()
        act.start_ns = boottime_ns()
        self.sites["A"].process.signal(signal.SIGKILL)
        act.stage("failure: SIGKILL to swerved at A", act.start_ns)
        self.observe(act, since, to="B", from_="A")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/demo", description="Two sites, one upstream, one client, on loopback.")
    parser.add_argument("--script", action="store_true", help="run unattended; exit 1 when an act fails")
    parser.add_argument("--json", action="store_true", help="print the record as JSON on standard output")
    parser.add_argument("--lab", action="store_true", help="with a real router and kernel routes (needs root)")
    parser.add_argument("--router", choices=UPSTREAMS, help="the router of the lab (default: bird)")
    arguments = parser.parse_args()
    if arguments.router and not arguments.lab:
        parser.error("--router goes with --lab")
    if arguments.lab:
        import netlab

        return netlab.show(arguments.router or "bird", arguments.script, arguments.json)

    stage = Stage(arguments.json)
    interactive = not arguments.script and not arguments.json and sys.stdin.isatty()
    with World("demo") as world:
        return show(stage, world.directory, lambda: Demo(world, stage).run(interactive))


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
