"""The first part of a column: one make of router beside two Swerves, through all that may happen to either.

             site (s)                                    router (r), AS 64496
    swerved, AS 4200000001  192.0.2.2 ---------- 192.0.2.1     eBGP over IPv4, both families
    swerved, AS 64496       2001:db8:a::3 ------ 2001:db8:a::1 iBGP over IPv6, both families
"""

import signal

from column import PATIENCE_S, Part, Wrong, ms_since
from swervelab.clock import boottime_ns, wait_until
from swervelab.routers import MAKES, Peering, Route

ROUTER_ASN, SITE_ASN = 64496, 4_200_000_001
PREFIXES = ("198.51.100.0/24", "2001:db8:53::/48")
INNER_PREFIXES = ("203.0.113.0/24", "2001:db8:54::/48")
HOLD_S = 9.0
# Both are killed with SIGKILL: only the end of the TCP connection explains a route that goes long before these.
INNER_HOLD_S = 90.0
AT_ONCE_S = 3.0

# Both follow the same service.
CHECKS_YAML = """\
checks:
  app:
    process: {{pid_file: {directory}/service-site.pid}}
    on_event: trust
    interval: 200ms
    timeout: 150ms
    fall: 2
    rise: 2
"""

SITE_YAML = """\
site: site
local_as: 4200000001
router_id: 192.0.2.2
state_dir: {directory}/state-site
control: {{socket: {directory}/site.sock}}
owned: [198.51.100.0/24, "2001:db8:53::/48"]
damping: {{profile: none, changes_per_hour: 0}}
neighbors:
  router:
    address: 192.0.2.1
    remote_as: 64496
    local_address: 192.0.2.2
    hold_time: 9s
    connect_retry: 1s
    export:
      prepend: 2
      med: 10
      communities: ["64500:100"]
      large_communities: ["64500:1:2", "4200000000:4294967295:0"]
      next_hop: {{ipv6: "2001:db8:a::2"}}
services:
  portal:
    prefixes: [198.51.100.0/24, "2001:db8:53::/48"]
    healthy_when: app
    announce: {{communities: ["64500:200"]}}
"""

INNER_YAML = """\
site: inner
local_as: 64496
router_id: 192.0.2.3
state_dir: {directory}/state-inner
control: {{socket: {directory}/inner.sock}}
owned: [203.0.113.0/24, "2001:db8:54::/48"]
neighbors:
  router:
    address: "2001:db8:a::1"
    remote_as: 64496
    local_address: "2001:db8:a::3"
    hold_time: 90s
    connect_retry: 1s
    export:
      local_pref: 200
      next_hop: {{ipv4: 192.0.2.3}}
services:
  portal:
    prefixes: [203.0.113.0/24, "2001:db8:54::/48"]
    healthy_when: app
"""

WANTED = {
    prefix: Route(
        origin="igp",
        as_path=(SITE_ASN,) * 3,
        next_hop=next_hop,
        med=10,
        communities=frozenset({"64500:100", "64500:200"}),
        large_communities=frozenset({"64500:1:2", "4200000000:4294967295:0"}),
    )
    for prefix, next_hop in zip(PREFIXES, ("192.0.2.2", "2001:db8:a::2"))
} | {
    prefix: Route(origin="igp", as_path=(), next_hop=next_hop, local_pref=200)
    for prefix, next_hop in zip(INNER_PREFIXES, ("192.0.2.3", "2001:db8:a::3"))
}


class Outages(Part):
    """The rows in the order in which they are played."""

    def __init__(self, kind: str, world, namespaces):
        super().__init__(kind, world, namespaces)
        for short in ("r", "s"):
            namespaces.add(short)
        namespaces.link(
            "r",
            ["192.0.2.1/29", "2001:db8:a::1/64"],
            "s",
            ["192.0.2.2/29", "192.0.2.3/29", "2001:db8:a::2/64", "2001:db8:a::3/64"],
        )
        self.router = MAKES[kind](
            world,
            namespaces,
            "r",
            ROUTER_ASN,
            "192.0.2.1",
            [
                Peering("site", "192.0.2.1", "192.0.2.2", SITE_ASN),
                Peering("inner", "2001:db8:a::1", "2001:db8:a::3", ROUTER_ASN),
            ],
        )
        self.site = self._daemon("site", SITE_YAML)
        self.inner = self._daemon("inner", INNER_YAML)
        self.service = None

    def rows(self) -> list:
        return [
            ("session", self.session),
            ("IPv4", lambda: self.has(PREFIXES[0], "site")),
            ("IPv6", lambda: self.has(PREFIXES[1], "site")),
            ("attributes as configured", self.attributes),
            ("iBGP over IPv6, local-pref", self.over_ibgp),
            ("service killed: withdrawn", self.service_killed),
            ("service back: announced", self.service_back),
            ("peer restarted", self.peer_restarted),
            ("peer sends NOTIFICATION", self.peer_notifies),
            ("peer frozen until hold expiry", self.peer_frozen),
            ("swerved SIGKILLed: withdrawn", self.daemon_killed),
        ]

    def _daemon(self, name: str, yaml: str):
        return self.world.daemon(name, (yaml + CHECKS_YAML).format(directory=self.world.directory), self.net["s"])

    def start(self):
        self.router.start()
        self.start_service()
        self.site.start()
        self.inner.start()

    def start_service(self):
        self.service = self.world.service("site", "192.0.2.2", 80, self.net["s"])

    # What is asked again and again.

    def session_is_up(self) -> bool:
        return self.site.control.session_is_up("router") and self.router.session_is_up("site")

    def await_session(self):
        wait_until(self.session_is_up, PATIENCE_S, "the session is up at both ends", poll_s=0.05)

    def settle(self):
        """All sessions and all routes, as they were configured."""
        self.await_session()
        self.attributes()
        self.over_ibgp()

    def hold_time_is(self, daemon, wanted_s: float):
        seen = daemon.control.neighbor("router")["hold_time_s"]
        if seen != wanted_s:
            raise Wrong(f"the hold time of {daemon.name} is {seen} s, not {wanted_s} s")

    # The rows. Each returns what is worth reading beside "ok", or nothing.

    def session(self):
        self.await_session()
        self.hold_time_is(self.site, HOLD_S)

    def attributes(self):
        self.compare_all("site", PREFIXES)

    def over_ibgp(self):
        self.compare_all("inner", INNER_PREFIXES)

    def compare_all(self, peering: str, prefixes: tuple):
        for prefix in prefixes:
            self.compare(prefix, peering, WANTED[prefix])

    def service_killed(self):
        start = boottime_ns()
        self.service.signal(signal.SIGKILL)
        for prefix in PREFIXES:
            self.gone(prefix, "site")
        took = ms_since(start)
        if not self.session_is_up():
            raise Wrong("the session went with the routes")
        return took

    def service_back(self):
        start = boottime_ns()
        self.start_service()
        self.attributes()
        return ms_since(start)

    def peer_restarted(self):
        self.settle()
        self.router.stop()
        start = boottime_ns()
        self.router.start()
        self.settle()
        return ms_since(start)

    def peer_notifies(self):
        self.settle()
        event_id = self.site.control.last_event_id()
        start = boottime_ns()
        cease = self.router.reset("site")
        detail = self.down_after(self.site, event_id)["detail"]
        if not detail["reason"].startswith(f"peer sent Cease/{cease}"):
            raise Wrong(f"Swerve gives the reason {detail['reason']!r}")
        self.settle()
        return ms_since(start)

    def peer_frozen(self):
        self.settle()
        event_id = self.site.control.last_event_id()
        start = boottime_ns()
        self.router.freeze()
        try:
            down = self.down_after(self.site, event_id)
            # Counted from the last message, which was not sent after the freeze.
            took_s = (down["boottime_ns"] - start) / 1e9
            if "hold timer expired" not in down["detail"]["reason"]:
                raise Wrong(f"Swerve gives the reason {down['detail']['reason']!r}")
            if took_s > HOLD_S + 1.0:
                raise Wrong(f"Swerve noticed after {took_s:.1f} s, the hold time is {HOLD_S:.0f} s")
        finally:
            self.router.thaw()
        self.settle()
        return f"{took_s:.1f} s"

    def daemon_killed(self):
        self.settle()
        for daemon, prefixes, hold in ((self.inner, INNER_PREFIXES, INNER_HOLD_S), (self.site, PREFIXES, HOLD_S)):
            self.hold_time_is(daemon, hold)
            start = boottime_ns()
            daemon.process.signal(signal.SIGKILL)
            for prefix in prefixes:
                self.gone(prefix, daemon.name)
            took_s = (boottime_ns() - start) / 1e9
            if took_s > AT_ONCE_S:
                raise Wrong(f"the routes of {daemon.name} took {took_s:.1f} s to go, its hold time is {hold:.0f} s")
        return f"{took_s * 1e3:.0f} ms"
