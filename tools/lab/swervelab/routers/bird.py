"""BIRD 2."""

import re

from .base import Bfd, BfdSession, Peering, Route, Router, address

KERNEL = "protocol kernel {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n"

ORIGINATED = "protocol static {{ ipv4; {routes} }}\n"

GSHUT = """\
filter honour_gshut {
  if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
  accept;
}
"""

PEERING = """\
protocol bgp {name} {{
  local {local} as {asn};
  neighbor {remote}{zone} {remote_kind};
  hold time {hold};
  error wait time 1, 4;
{options}  ipv4 {{ import {filter}; export where source = RTS_STATIC; {next_hop}}};
  ipv6 {{ import {filter}; export none; }};
}}
"""


BFD = """\
  bfd {{
    min tx interval {min_tx_ms} ms; min rx interval {min_rx_ms} ms; multiplier {multiplier};
  }};
"""

# Keys it takes here alone, for all sessions of a kind.
BFD_GLOBAL = """\
protocol bfd bfd1 {{
  debug {{ states, events }};
  interface "*" {{ {authentication} }};
  multihop {{ {authentication} }};
}}
"""


class Bird(Router):
    kind = "bird"
    title = "BIRD 2"
    programs = {"bird": "bird2", "birdc": "bird2"}
    sets_kernel_routes = True

    def write_configuration(self):
        text = f"log stderr all;\nrouter id {self.router_id};\nprotocol device {{ scan time 1; }}\n{GSHUT}"
        if self.kernel:
            text += KERNEL.format(family="ipv4") + KERNEL.format(family="ipv6")
        if self.originates:
            routes = " ".join(f"route {prefix} blackhole;" for prefix in self.originates)
            text += ORIGINATED.format(routes=routes)
        with_bfd = [peering.bfd for peering in self.peerings.values() if peering.bfd]
        if with_bfd:
            text += BFD_GLOBAL.format(authentication=_authentication(with_bfd[0]))
        for peering in self.peerings.values():
            text += PEERING.format(
                **vars(peering),
                asn=self.asn_of(peering),
                # Without four-octet numbers it cannot write them either.
                remote_kind="external" if peering.two_octet else f"as {peering.remote_as}",
                hold=self.HOLD_TIME_S,
                zone=f"%'{peering.interface}'" if peering.interface else "",
                options="".join(f"  {option};\n" for option in _options(peering))
                + (_bfd(peering.bfd) if peering.bfd else ""),
                filter="filter honour_gshut" if peering.honour_gshut else "all",
                next_hop="extended next hop on; " if peering.extended_next_hop else "",
            )
        self._config = self.write("bird.conf", text)
        self._socket = self.path("bird.ctl")

    def start(self):
        self.process = self.launch(
            "bird",
            [self.program("bird"), "-f", "-c", self._config, "-s", self._socket, "-P", self._socket + ".pid"],
        )
        self.await_ready(self.process, self.answers)

    def answers(self) -> bool:
        return "BIRD" in self._birdc("show", "status")

    def session_is_up(self, peering: str) -> bool:
        return re.search(rf"^{peering}\s+BGP\s.*Established", self._birdc("show", "protocols"), re.M) is not None

    def held(self, prefix: str, peering: str) -> "Route | None":
        text = self._birdc("show", "route", "all", "protocol", peering, prefix)
        seen = {key: value.strip() for key, value in re.findall(r"^\tBGP\.(\w+): ?(.*)$", text, re.M)}
        if not seen:
            return None
        return Route(
            origin=seen["origin"].lower(),
            as_path=tuple(int(asn) for asn in seen["as_path"].split()),
            next_hop=_next_hop(seen["next_hop"].split()),
            med=int(seen["med"]) if "med" in seen else None,
            local_pref=int(seen["local_pref"]),
            communities=_tuples(seen.get("community", "")),
            extended_communities=_tuples(seen.get("ext_community", "")),
            large_communities=_tuples(seen.get("large_community", "")),
        )

    def best(self, prefix: str) -> "str | None":
        found = re.search(r"\[(\w+) [^\]]*\] \*", self._birdc("show", "route", "primary", prefix))
        return found[1] if found else None

    def bfd_session(self, peering: str) -> "BfdSession | None":
        remote = re.escape(self.peerings[peering].remote)
        text = self._birdc("show", "bfd", "sessions")
        row = re.search(rf"^{remote}\s+\S+\s+(\w+)\s+\S+\s+(\S+)\s+(\S+)$", text, re.M)
        if row is None:
            return None
        state = "admin_down" if row[1] == "AdminDown" else row[1].lower()
        changes = len(re.findall(rf"Session to {remote} changed state", self.process.log_text()))
        return BfdSession(state, f"{changes} changes", round(float(row[2]) * 1e3), round(float(row[3]) * 1e3))

    def reset(self, peering: str) -> str:
        self._birdc("restart", peering)
        return "Administrative Reset"

    def reload(self, peering: Peering):
        self._birdc("configure")

    def shut(self, peering: str, reason: str):
        self._birdc("disable", peering, f'"{reason}"')

    def open(self, peering: str):
        self._birdc("enable", peering)

    def refresh(self, peering: str):
        self._birdc("reload", "in", peering)

    def _birdc(self, *words: str) -> str:
        return self.ask(self.program("birdc"), "-s", self._socket, *words)


def _options(peering: Peering):
    yield "connect delay time 1; connect retry time 1" if peering.dials else "passive yes"
    if peering.password:
        yield f'password "{peering.password}"'
    if peering.multihop:
        yield f"multihop {peering.multihop}"
    if peering.ttl_security:
        yield "ttl security on"
    if peering.role:
        yield f"local role {peering.role}"
    if peering.two_octet:
        yield "enable as4 off"
    if peering.graceful_restart:
        yield "graceful restart aware"


def _bfd(bfd: Bfd) -> str:
    return BFD.format(**vars(bfd)) + ("  bfd graceful;\n" if bfd.graceful else "")


def _authentication(bfd: Bfd) -> str:
    if bfd.authentication is None:
        return ""
    return f'authentication {bfd.authentication}; password "{bfd.secret}" {{ id {bfd.key_id}; }};'


def _next_hop(hops: list) -> str:
    """The global address, or the link-local one behind it where there is none."""
    return address(hops[-1] if hops[0] == "::" else hops[0])


def _tuples(text: str) -> frozenset:
    """Communities as BIRD writes them: (64500,100) (64500, 1, 2)."""
    return frozenset(re.sub(r",\s*", ":", inner) for inner in re.findall(r"\(([^)]*)\)", text))
