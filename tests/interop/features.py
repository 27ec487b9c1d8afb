"""The second part of a column: one make of router and one Swerve with a session for every feature.

    router (r) 192.0.2.N, 2001:db8:a::N, fe80::1 ----- 192.0.2.100+N, 2001:db8:a::100+N, fe80::2 (s) swerved
               198.18.0.N ---------------------- (h) --------------------------- 198.18.1.N

AS numbers are above 65535 at both ends.
"""

import contextlib
import json
import pathlib

from column import PATIENCE_S, NotSupported, Part, Wrong, ms_since
from swervelab.clock import boottime_ns, wait_until
from swervelab.netns import run
from swervelab.routers import MAKES, Peering, Route

ROUTER_ASN, SITE_ASN, SHORT_ASN, AS_TRANS = 4_200_000_002, 4_200_000_001, 64510, 23456
PREFIX, PREFIX6, DRAINED = "198.51.100.0/24", "2001:db8:53::/48", "203.0.113.0/24"
OWN = "198.18.99.0/24"  # what the router announces
LEAVING = "203.0.114.0/24"  # is not announced after the planned restart any more
KEPT_S = 60  # longer than anything here takes
GSHUT = "65535:0"
GSHUT_S = 2
USUAL_PREF = 100
KEYS = ("mekmitasdigoat", "the-second-key")
MESSAGE = "Maintenance until 22:00, ticket 4711"

SITE_YAML = """\
site: site
local_as: {asn}
router_id: 192.0.2.101
state_dir: {directory}/state-features
control: {{socket: {directory}/features.sock}}
bgp: {{listen: ["{called}:179"]}}
owned: [198.51.100.0/24, 203.0.113.0/24, 203.0.114.0/24, "2001:db8:53::/48"]
damping: {{profile: none, changes_per_hour: 0}}
neighbors:
"""

SERVICES = {
    "portal": f"prefixes: [{PREFIX}]",
    "leaving": f"prefixes: [{LEAVING}]",
    "portal6": f'prefixes: ["{PREFIX6}"]',
    "drained": f"prefixes: [{DRAINED}], drain: {{graceful_shutdown_for: {GSHUT_S}s}}",
}

# What the router says of a session and what Swerve does; addresses come from the number of the session.
SESSIONS = {
    "plain": (
        {},
        {
            "export": "{prepend: 3, med: 20, communities: ['64500:100', no_export],"
            " extended_communities: ['rt:64500:100', 'ro:192.0.2.1:7', 'rt:4200000000:5'],"
            " large_communities: ['4200000000:1:2']}"
        },
    ),
    "over6": ({"extended_next_hop": True}, {"families": "[ipv4]", "extended_next_hop": "true"}),
    "far": ({"multihop": 2}, {"multihop": 2}),
    "secret": ({"password": KEYS[0]}, {"password_file": "secret.key", "hold_time": "3s"}),
    "secret6": ({"password": KEYS[0]}, {"password_file": "secret6.key", "hold_time": "3s", "services": "portal6"}),
    "called": (
        {"dials": True, "password": KEYS[0], "ttl_security": True},
        {"passive": "true", "password_file": "called.key", "ttl_security": 1, "hold_time": "3s"},
    ),
    "near": ({"ttl_security": True}, {"ttl_security": 1}),
    "beyond": ({"ttl_security": True}, {"ttl_security": 1}),
    "narrow": ({"two_octet": True, "local_as": SHORT_ASN}, {}),
    "upstream": ({"role": "provider"}, {"role": "customer"}),
    "rival": ({"role": "provider"}, {"role": "provider"}),
    "zone": ({"interface": "to-s"}, {"interface": "to-r", "services": "portal6"}),
    "drained": ({"honour_gshut": True}, {"services": "drained"}),
    "keeper": (
        {"graceful_restart": True},
        {"services": "portal, leaving", "graceful_restart": f"{{restart_time: {KEPT_S}s}}"},
    ),
}
# What more a session needs of the router than its fields tell.
NEEDS = {"secret": ("key_when_called",), "secret6": ("key_when_called",)}
OVER_IPV6 = ("over6", "secret6")
BEHIND_A_HOP = ("far", "beyond")


def addresses(name: str) -> tuple:
    """Of the router and of the site."""
    number = list(SESSIONS).index(name) + 1
    if name == "zone":
        return "fe80::1", "fe80::2"
    if name in BEHIND_A_HOP:
        return f"198.18.0.{number}", f"198.18.1.{number}"
    network = "2001:db8:a::" if name in OVER_IPV6 else "192.0.2."
    return f"{network}{number}", f"{network}{100 + number}"


def wanted(next_hop: str, **more) -> Route:
    return Route(**{"origin": "igp", "as_path": (SITE_ASN,), "next_hop": next_hop, **more})


def lowered(route: Route) -> bool:
    return route.local_pref is not None and route.local_pref < USUAL_PREF


class Features(Part):
    """A session for every feature; what the make lacks is left out."""

    def __init__(self, kind: str, world, namespaces):
        super().__init__(kind, world, namespaces)
        self.lacks = MAKES[kind].lacks
        # A policy is about routes, not about the session.
        self.sessions = [
            name
            for name, (fields, _) in SESSIONS.items()
            if "honour_gshut" in fields or not any(need in self.lacks for need in (*fields, *NEEDS.get(name, ())))
        ]
        self._make_network()
        peerings = []
        for name in self.sessions:
            fields = {field: value for field, value in SESSIONS[name][0].items() if field not in self.lacks}
            peerings.append(Peering(name, *addresses(name), SITE_ASN, **fields))
        self.router = MAKES[kind](world, namespaces, "r", ROUTER_ASN, "192.0.2.1", peerings, originates=(OWN,))
        for name in ("secret", "secret6", "called"):
            self._write_key(name, KEYS[0])
        self.site = world.daemon("features", self._yaml(), namespaces["s"])

    def _make_network(self):
        for short in ("r", "s", "h"):
            self.net.add(short)
        direct = [addresses(name) for name in SESSIONS if name not in BEHIND_A_HOP]
        length = {"1": 24, "2": 64, "f": 64}
        ends = [[f"{pair[end]}/{length[pair[end][0]]}" for pair in direct] for end in (0, 1)]
        self.net.link("r", ends[0], "s", ends[1])
        far = [addresses(name) for name in BEHIND_A_HOP]
        self.net.link("r", [f"{pair[0]}/24" for pair in far], "h", ["198.18.0.254/24"])
        self.net.link("s", [f"{pair[1]}/24" for pair in far], "h", ["198.18.1.254/24"])
        self.net.forward("h")
        self.net.ip("r", "route", "add", "198.18.1.0/24", "via", "198.18.0.254")
        self.net.ip("s", "route", "add", "198.18.0.0/24", "via", "198.18.1.254")

    def _yaml(self, without: str = "") -> str:
        text = SITE_YAML.format(asn=SITE_ASN, directory=self.world.directory, called=addresses("called")[1])
        services = set()
        for name in self.sessions:
            at, local = addresses(name)
            keys = {
                "address": f'"{at}"',
                "local_address": f'"{local}"',
                "remote_as": SESSIONS[name][0].get("local_as", ROUTER_ASN),
                "connect_retry": "500ms",
                **SESSIONS[name][1],
            }
            listed = [service for service in keys.get("services", "portal").split(", ") if service != without]
            services.update(listed)
            keys["services"] = f"[{', '.join(listed)}]"
            text += f"  {name}: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}\n"
        text += "services:\n"
        for service in sorted(services):
            text += f"  {service}: {{{SERVICES[service]}, healthy_when: always}}\n"
        return text

    def _write_key(self, name: str, key: str):
        path = pathlib.Path(self.world.directory, name + ".key")
        path.touch(mode=0o600)
        path.write_text(key + "\n", encoding="ascii")

    def start(self):
        self.router.start()
        self.site.start()

    def rows(self) -> list:
        """Each with the names of what it needs of the router. Those about what must not happen come last: it has had
        the time of all others for happening."""
        return [
            (name, lambda needs=needs, perform=perform: self._supported(needs) or perform())
            for name, needs, perform in (
                ("AS numbers above 65535", (), self.long_as),
                ("prepend, MED, communities", (), self.attributes),
                ("two-octet AS numbers", ("two_octet",), self.two_octet),
                ("IPv4 over IPv6 next hop", ("extended_next_hop",), self.over_ipv6),
                ("eBGP multihop", ("multihop",), lambda: self.arrives("far")),
                ("link-local session", ("interface",), self.link_local),
                ("route refresh asked of us", ("refresh",), lambda: self.refresh_asked_of_us(enhanced=False)),
                ("route refresh asked by us", ("answer_refresh",), lambda: self.refresh_asked_by_us(enhanced=False)),
                (
                    "enhanced, asked of us",
                    ("enhanced_refresh", "refresh"),
                    lambda: self.refresh_asked_of_us(enhanced=True),
                ),
                (
                    "enhanced, asked by us",
                    ("enhanced_refresh", "answer_refresh"),
                    lambda: self.refresh_asked_by_us(enhanced=True),
                ),
                ("shutdown message to us", ("shut",), self.shutdown_message_to_us),
                ("shutdown message from us", ("be_told",), self.shutdown_message_from_us),
                ("drain: GSHUT, then withdrawn", (), self.drain),
                ("GSHUT honoured", ("honour_gshut",), self.gshut_honoured),
                ("roles that fit", ("role",), self.fitting_roles),
                ("roles that do not fit", ("role",), self.wrong_roles),
                ("MD5, key changed, IPv4", ("key_when_called",), lambda: self.key_changed("secret", PREFIX)),
                ("MD5, key changed, IPv6", ("key_when_called",), lambda: self.key_changed("secret6", PREFIX6)),
                ("called: MD5, key changed, GTSM", (), lambda: self.key_changed("called", PREFIX)),
                ("planned restart: routes kept", ("graceful_restart",), self.planned_restart),
                ("GTSM", ("ttl_security",), lambda: self.arrives("near")),
                ("GTSM: no session from afar", ("ttl_security",), self.gtsm_from_afar),
            )
        ]

    def _supported(self, needs: tuple):
        for need in needs:
            if need in self.lacks:
                raise NotSupported(self.lacks[need])

    # What is asked again and again.

    def is_up(self, name: str) -> bool:
        return self.site.control.session_is_up(name) and self.router.session_is_up(name)

    def await_session(self, name: str):
        wait_until(lambda: self.is_up(name), PATIENCE_S, f"the session {name} is up at both ends", poll_s=0.05)

    def arrives(self, name: str):
        self.await_session(name)
        self.compare(PREFIX, name, wanted(addresses(name)[1]))

    def counts(self, name: str) -> dict:
        """Messages of a session: what Swerve has sent and received so far."""
        neighbor = self.site.control.neighbor(name)
        return {"sent": neighbor["messages_sent"], "received": neighbor["messages_received"]}

    def await_counts(self, name: str, before: dict, **more):
        """Waits until so many more messages were sent or received, as in sent_update=1."""

        def reached() -> bool:
            now = self.counts(name)
            return all(
                now[way][kind] >= before[way][kind] + least
                for (way, kind), least in ((key.split("_", 1), least) for key, least in more.items())
            )

        wait_until(reached, PATIENCE_S, f"more messages on {name}: {more}", poll_s=0.02)

    def ctl(self, *words: str):
        done = self.site.ctl(*words)
        if done.returncode != 0:
            raise Wrong(f"swervectl {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")

    def kernel_count(self, short: str, name: str) -> int:
        lines = run("ip", "netns", "exec", self.net[short], "cat", "/proc/net/netstat").splitlines()
        rows = [line.split() for line in lines if line.startswith("TcpExt:")]
        return int(dict(zip(*rows))[name])

    # The rows.

    def long_as(self):
        self.await_session("plain")
        self.has(PREFIX, "plain")
        seen = self.router.route(PREFIX, "plain").as_path
        if set(seen) != {SITE_ASN}:
            raise Wrong(f"the router sees the path {seen}")

    def attributes(self):
        self.compare(
            PREFIX,
            "plain",
            wanted(
                addresses("plain")[1],
                as_path=(SITE_ASN,) * 4,
                med=20,
                communities=frozenset({"64500:100", "65535:65281"}),
                extended_communities=frozenset({"rt:64500:100", "ro:192.0.2.1:7", "rt:4200000000:5"}),
                large_communities=frozenset({"4200000000:1:2"}),
            ),
        )

    def two_octet(self):
        """Of AS numbers above 65535 the router sees AS_TRANS, and the number itself in AS4_PATH if it looks there."""
        self.await_session("narrow")
        seen = SITE_ASN if MAKES[self.kind].merges_as4_path else AS_TRANS
        self.compare(PREFIX, "narrow", wanted(addresses("narrow")[1], as_path=(seen,)))
        return f"AS {seen}" if seen == AS_TRANS else ""

    def over_ipv6(self):
        self.arrives("over6")

    def link_local(self):
        self.await_session("zone")
        self.has(PREFIX6, "zone")
        self.compare(PREFIX6, "zone", wanted(addresses("zone")[1]))

    def refresh_asked_of_us(self, enhanced: bool):
        with self.lasting("plain"):
            before = self.counts("plain")
            self.router.refresh("plain")
            # RFC 7313: the answer is enclosed in two ROUTE-REFRESH messages, BoRR and EoRR.
            self.await_counts(
                "plain", before, received_route_refresh=1, sent_update=1, sent_route_refresh=2 if enhanced else 0
            )

    def refresh_asked_by_us(self, enhanced: bool):
        with self.lasting("plain"):
            before = self.counts("plain")
            self.ctl("neighbor", "plain", "refresh")
            self.await_counts(
                "plain", before, sent_route_refresh=1, received_update=1, received_route_refresh=2 if enhanced else 0
            )

    @contextlib.contextmanager
    def lasting(self, name: str):
        """The same session before and after."""
        self.await_session(name)
        count = self.site.control.neighbor(name)["established_count"]
        yield
        if not self.is_up(name) or self.site.control.neighbor(name)["established_count"] != count:
            raise Wrong(f"the session {name} did not last")

    def shutdown_message_to_us(self):
        self.await_session("plain")
        event_id = self.site.control.last_event_id()
        self.router.shut("plain", MESSAGE)
        try:
            detail = self.down_after(self.site, event_id, "plain")["detail"]
            if MESSAGE not in json.dumps(detail):
                raise Wrong(f"Swerve reports {detail}")
        finally:
            self.router.open("plain")
        self.await_session("plain")

    def shutdown_message_from_us(self):
        self.await_session("plain")
        self.ctl("neighbor", "plain", "disable", "--reason", MESSAGE)
        try:
            wait_until(
                lambda: self.router.was_told("plain", MESSAGE), PATIENCE_S, "the router tells the message", poll_s=0.05
            )
        finally:
            self.ctl("neighbor", "plain", "enable")
        self.await_session("plain")

    def drain(self):
        self.await_session("drained")
        self.has(DRAINED, "drained")
        start = boottime_ns()
        self.ctl("drain", "drained", "--reason", "interop")
        try:
            self.await_gshut(lambda route: GSHUT in route.communities)
            self.gone(DRAINED, "drained")
            took = ms_since(start)
            if boottime_ns() - start < GSHUT_S * 1e9:
                raise Wrong(f"withdrawn after {took}, not {GSHUT_S} s")
        finally:
            self.ctl("undrain", "drained")
        self.has(DRAINED, "drained")
        return took

    def gshut_honoured(self):
        self.has(DRAINED, "drained")
        self.ctl("drain", "drained", "--reason", "interop")
        try:
            self.await_gshut(lambda route: GSHUT in route.communities and lowered(route))
        finally:
            self.ctl("undrain", "drained")
        self.await_gshut(lambda route: GSHUT not in route.communities and not lowered(route))

    def await_gshut(self, condition):
        def holds() -> bool:
            route = self.router.held(DRAINED, "drained")
            return route is not None and condition(route)

        wait_until(holds, PATIENCE_S, "GSHUT at the router", poll_s=0.01)

    def fitting_roles(self):
        self.arrives("upstream")
        seen = self.site.control.neighbor("upstream")["negotiated"]["remote_role"]
        if seen != "provider":
            raise Wrong(f"the router's role is {seen} to Swerve")

    def wrong_roles(self):
        def refused() -> bool:
            error = self.site.control.neighbor("rival")["last_error"] or ""
            return error.endswith("OPEN Message Error/Role Mismatch")

        wait_until(refused, PATIENCE_S, "the session is refused for its role", poll_s=0.05)

    def key_changed(self, name: str, prefix: str):
        self.await_session(name)
        self.has(prefix, name)
        event_id = self.site.control.last_event_id()
        self._write_key(name, KEYS[1])
        self.ctl("reload")
        # With two keys the session dies, and none comes.
        self.down_after(self.site, event_id, name)
        refused = self.md5_failures()
        wait_until(lambda: self.md5_failures() > refused, PATIENCE_S, "a dial is dropped", poll_s=0.02)
        if self.site.control.session_is_up(name):
            raise Wrong("a session with two different keys")
        start = boottime_ns()
        self.router.change(name, password=KEYS[1])
        self.await_session(name)
        self.has(prefix, name)
        return ms_since(start)

    def planned_restart(self):
        """RFC 4724: the router keeps the routes while nobody answers; End-of-RIB, and not the end of the time, makes it
        give up what it was not told again."""
        self.await_session("keeper")
        for prefix in (PREFIX, LEAVING):
            self.has(prefix, "keeper")
        pathlib.Path(self.site.config).write_text(self._yaml(without="leaving"), encoding="utf-8")
        start = boottime_ns()
        self.site.control.post("/v1/stop", planned_restart=True, reason="interop")
        if self.site.process.wait(PATIENCE_S) != 0:
            raise Wrong("Swerve did not end well")
        try:
            wait_until(
                lambda: not self.router.session_is_up("keeper"), PATIENCE_S, "the router sees the end", poll_s=0.05
            )
            self.still_has(PREFIX, LEAVING)
        finally:
            self.site.start()
        wait_until(lambda: self.still_has(PREFIX) and self.is_up("keeper"), PATIENCE_S, "the session", poll_s=0.05)
        self.gone(LEAVING, "keeper")
        self.still_has(PREFIX)
        if boottime_ns() - start >= KEPT_S * 1e9:
            raise Wrong("nothing went before the time was over")
        return ms_since(start)

    def still_has(self, *prefixes: str) -> bool:
        for prefix in prefixes:
            if not self.router.route(prefix, "keeper"):
                raise Wrong(f"the router gave {prefix} up")
        return True

    def md5_failures(self) -> int:
        return self.kernel_count("r", "TCPMD5Failure") + self.kernel_count("s", "TCPMD5Failure")

    def gtsm_from_afar(self):
        """Over the same hop as the session of the multihop row, with TTL 255 on both sides."""
        self.await_session("far")
        wait_until(
            lambda: self.kernel_count("s", "TCPMinTTLDrop") + self.kernel_count("r", "TCPMinTTLDrop"),
            PATIENCE_S,
            "a packet from too far is dropped",
            poll_s=0.05,
        )
        if self.site.control.session_is_up("beyond") or self.router.session_is_up("beyond"):
            raise Wrong("a session over one more hop")
        if self.site.control.neighbor("beyond")["established_count"]:
            raise Wrong("there was a session over one more hop")
