"""The main job against a real router, in network namespaces: the upstream of two sites, with a client behind it.

            client (c)
               |
            router (r)   BIRD 2, FRR or GoBGP, AS 64496, routes into the kernel
             /      \\
        site a ---- site b      AS 64500, anycast addresses on lo at both

Site a's default route leads to site b, so that a probe which left the host would be answered by the other site.
"""

import signal
import sys

from swervelab import acts, netns
from swervelab.client import SteadyClient
from swervelab.clock import boottime_ns, wait_until
from swervelab.kernel_routes import RouteWatch
from swervelab.netns import Namespaces
from swervelab.routers import UPSTREAMS, Peering, Route, differences
from swervelab.world import World

PREFIX4, PREFIX6 = "198.51.100.0/24", "2001:db8:53::/48"
ANYCAST4, ANYCAST6 = "198.51.100.1", "2001:db8:53::1"
SITES = {
    "a": {"link4": "192.0.2.6", "router4": "192.0.2.5", "link6": "2001:db8:a::2", "router6": "2001:db8:a::1"},
    "b": {"link4": "192.0.2.10", "router4": "192.0.2.9", "link6": "2001:db8:b::2", "router6": "2001:db8:b::1"},
}
PREPEND = {"a": 0, "b": 2}
MED = {"a": 10, "b": 20}
INTERVAL_MS, TIMEOUT_MS, FALL, RISE = 200, 150, 2, 2

SITE_ASN, ROUTER_ASN = 64500, 64496

SITE_YAML = """\
# Site {name} of the lab: one IPv4 session to the router carries both families.
site: {name}
local_as: 64500
router_id: {link4}
state_dir: {directory}/state-{name}
control: {{socket: {directory}/{name}.sock}}
owned: [{prefix4}, "{prefix6}"]
damping: {{profile: none, changes_per_hour: 0}}  # its failures are no flapping

neighbors:
  upstream:
    address: {router4}
    remote_as: 64496
    local_address: {link4}
    connect_retry: 1s
    export:
      prepend: {prepend}
      med: {med}
      communities: ["64500:100"]
      large_communities: ["64500:1:2"]
      next_hop: {{ipv6: "{link6}"}}

checks:
  app:
    process: {{pid_file: {directory}/service-{name}.pid}}
    on_event: trust
    interval: {interval}ms
    timeout: {timeout}ms
    fall: {fall}
    rise: {rise}
  web:
    http: {{url: "http://{anycast4}/"}}
    interval: {interval}ms
    timeout: {timeout}ms
    fall: {fall}
    rise: {rise}

services:
  portal:
    prefixes: [{prefix4}, "{prefix6}"]
    healthy_when: {{all: [app, web]}}
    announce: {{communities: ["64500:200"]}}
"""


def unavailable(kind: str) -> "str | None":
    return netns.unavailable() or UPSTREAMS[kind].unavailable()


class Lab:
    """The world of this page, built and ready; acts play in it."""

    def __init__(self, world: World, namespaces: Namespaces, kind: str):
        self.world = world
        self.net = namespaces
        self._build_network()
        peerings = [Peering(f"site_{name}", site["router4"], site["link4"], SITE_ASN) for name, site in SITES.items()]
        self.router = UPSTREAMS[kind](world, namespaces, "r", ROUTER_ASN, "192.0.2.1", peerings, kernel=True)
        self.services = {}
        self.sites = {name: self._site(name) for name in SITES}
        self.client = SteadyClient(lambda: (ANYCAST4, 80), timeout_s=0.3, enter=lambda: self.net.enter("c"))

    def _build_network(self):
        net = self.net
        for short in ("c", "r", "a", "b"):
            net.add(short)
        net.link("r", ["192.0.2.1/30", "2001:db8:c::1/64"], "c", ["192.0.2.2/30", "2001:db8:c::2/64"])
        for name, site in SITES.items():
            net.link(
                "r",
                [site["router4"] + "/30", site["router6"] + "/64"],
                name,
                [site["link4"] + "/30", site["link6"] + "/64"],
            )
            net.ip(name, "address", "add", ANYCAST4 + "/32", "dev", "lo")
            net.ip(name, "address", "add", ANYCAST6 + "/128", "dev", "lo")
            net.ip(name, "route", "add", "192.0.2.0/30", "via", site["router4"])
            net.ip(name, "-6", "route", "add", "2001:db8:c::/64", "via", site["router6"])
        net.link("a", ["192.0.2.13/30"], "b", ["192.0.2.14/30"])
        net.ip("a", "route", "add", "default", "via", "192.0.2.14")
        net.ip("c", "route", "add", "default", "via", "192.0.2.1")
        net.ip("c", "-6", "route", "add", "default", "via", "2001:db8:c::1")
        net.forward("r")

    def _site(self, name: str):
        yaml = SITE_YAML.format(
            name=name,
            directory=self.world.directory,
            prefix4=PREFIX4,
            prefix6=PREFIX6,
            anycast4=ANYCAST4,
            prepend=PREPEND[name],
            med=MED[name],
            interval=INTERVAL_MS,
            timeout=TIMEOUT_MS,
            fall=FALL,
            rise=RISE,
            **SITES[name],
        )
        return self.world.daemon(name, yaml, self.net[name])

    def start_service(self, name: str):
        self.services[name] = self.world.service(name, "0.0.0.0", 80, self.net[name])

    def start(self):
        self.router.start()
        for name, site in self.sites.items():
            self.start_service(name)
            site.start()

    def await_best(self, name: str, timeout_s: float = 20.0):
        for prefix in (PREFIX4, PREFIX6):
            wait_until(
                lambda wanted=prefix: self.router.best(wanted) == f"site_{name}",
                timeout_s,
                f"{self.router.title} prefers site {name} for {prefix}",
                poll_s=0.05,
            )

    def await_routes_of_both(self, timeout_s: float = 20.0):
        for name in SITES:
            for prefix in (PREFIX4, PREFIX6):
                wait_until(
                    lambda n=name, p=prefix: self.router.route(p, f"site_{n}"),
                    timeout_s,
                    f"{self.router.title} has {prefix} from site {name}",
                    poll_s=0.05,
                )

    def expected_route(self, name: str, prefix: str) -> Route:
        """What the router must show of a site, with all that was configured and nothing else."""
        site = SITES[name]
        return Route(
            origin="igp",
            as_path=(SITE_ASN,) * (1 + PREPEND[name]),
            next_hop=site["link4"] if prefix == PREFIX4 else site["link6"],
            med=MED[name],
            communities=frozenset({"64500:100", "64500:200"}),
            large_communities=frozenset({"64500:1:2"}),
        )


def check_attributes(lab: Lab) -> list:
    """Differences between what the router has and what was configured."""
    faults = []
    for name in SITES:
        for prefix in (PREFIX4, PREFIX6):
            found = differences(lab.router.route(prefix, f"site_{name}"), lab.expected_route(name, prefix))
            faults += [f"{prefix} from {name}: {fault}" for fault in found]
    return faults


class Acts:
    """The acts of the lab. Each fills in one Act; the interop test plays the same ones."""

    BOUND = acts.detection_bound_ms(INTERVAL_MS, TIMEOUT_MS, FALL)
    RETURN = RISE * INTERVAL_MS + TIMEOUT_MS
    READY = 3000  # from the start of the router until it has the routes of both sites
    START = RETURN + READY

    def __init__(self, lab: Lab, watch: RouteWatch):
        self.lab = lab
        self.router = lab.router.title
        self.watch = watch
        self.programme = [
            ("both sites up, IPv4 and IPv6, attributes as configured", acts.limit_ms(self.START), self.up),
            ("the service at a is killed", 1000.0, self.killed),
            ("the service at a comes back", acts.limit_ms(self.RETURN), self.back),
            (f"{self.router} is restarted", acts.limit_ms(self.READY), self.router_restarted),
            ("the anycast address is taken off a's lo", acts.limit_ms(self.BOUND), self.address_lost),
        ]

    def _observe(self, act, to: str):
        """The kernel's route towards site `to` and the client's first good answer from there."""
        patience_s = act.limit_ms / 1000 + 1.0
        try:
            at = wait_until(
                lambda: self.watch.first(act.start_ns, PREFIX4.removesuffix("/24"), SITES[to]["link4"]),
                patience_s,
                f"kernel route via {to}",
            )
            act.stage(f"kernel route behind {self.router} leads to {to}", at)
            answer = wait_until(lambda: self.lab.client.first_good(act.start_ns, to), patience_s, f"answer from {to}")
            act.stage(f"first good answer from {to}", answer.done_ns)
        except TimeoutError as fault:
            act.fault(str(fault))
        act.lost = self.lab.client.lost(act.start_ns)

    def _observe_everything(self, act, stage: str):
        """Both prefixes from both sites with all their attributes, a preferred."""
        try:
            self.lab.await_routes_of_both(act.limit_ms / 1000)
            act.stage(stage, boottime_ns())
            self.lab.await_best("a", act.limit_ms / 1000)
        except TimeoutError as fault:
            act.fault(str(fault))
        for fault in check_attributes(self.lab):
            act.fault(fault)
        self._observe(act, "a")

    def _observe_record(self, act, last_record: int) -> dict:
        try:
            record = wait_until(
                lambda: self.lab.sites["a"].control.failover_after(last_record), act.limit_ms / 1000 + 1.0, "record"
            )
        except TimeoutError as fault:
            act.fault(f"a's failover {fault}")
            return {}
        act.stage("verdict at a", record["verdict_boottime_ns"])
        act.stage("bytes written by a", record["neighbors"][0]["written_boottime_ns"])
        act.stage(f"acknowledged by {self.router}'s TCP", record["neighbors"][0]["acknowledged_boottime_ns"])
        return record

    def up(self, act):
        act.start_ns = boottime_ns()
        self.lab.start()
        self._observe_everything(act, f"{self.router} has both prefixes from both sites")
        act.lost = None  # nothing was there to lose

    def killed(self, act):
        record = self.lab.sites["a"].control.last_failover_id()
        act.start_ns = boottime_ns()
        self.lab.services["a"].signal(signal.SIGKILL)
        act.stage("failure: SIGKILL to the service at a", act.start_ns)
        self._observe_record(act, record)
        self._observe(act, "b")
        for prefix in (PREFIX4, PREFIX6):
            best = self.lab.router.best(prefix)
            if best != "site_b":
                act.fault(f"{self.router} has {prefix} via {best}")

    def back(self, act):
        act.start_ns = boottime_ns()
        self.lab.start_service("a")
        act.stage("the service at a is started", boottime_ns())
        self._observe(act, "a")

    def router_restarted(self, act):
        self.lab.router.stop()
        act.start_ns = boottime_ns()
        self.lab.router.start()
        act.stage(f"{self.router} is back", boottime_ns())
        self._observe_everything(act, "everything announced again by both sites")

    def address_lost(self, act):
        record_id = self.lab.sites["a"].control.last_failover_id()
        act.start_ns = boottime_ns()
        self.lab.net.ip("a", "address", "del", ANYCAST4 + "/32", "dev", "lo")
        act.stage("address removed; a's default route leads to b's copy", act.start_ns)
        record = self._observe_record(act, record_id)
        if "address not on this host" not in record.get("reason", ""):
            act.fault(f"the reason is {record.get('reason')!r}, not 'address not on this host'")
        self._observe(act, "b")


def show(kind: str, script: bool, as_json: bool) -> int:
    reason = unavailable(kind)
    if reason is not None:
        print(f"tools/demo --lab: {reason}", file=sys.stderr)
        return 1
    stage = acts.Stage(as_json)
    interactive = not script and not as_json and sys.stdin.isatty()

    def body():
        lab = Lab(world, namespaces, kind)
        stage.say(": ".join(filter(None, (f"The upstream is {lab.router.title}", lab.router.note))))
        with RouteWatch(namespaces, "r") as watch, lab.client:
            acts.play(stage, Acts(lab, watch).programme, interactive)

    with Namespaces() as namespaces, World("lab") as world:  # the processes end before the namespaces go
        return acts.show(stage, world.directory, body)
