"""BIRD 2."""

import re

from .base import Route, Router, address

KERNEL = "protocol kernel {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n"

PEERING = """\
protocol bgp {name} {{
  local {local} as {asn};
  neighbor {remote} as {remote_as};
  passive yes;
  hold time {hold};
  error wait time 1, 4;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""


class Bird(Router):
    kind = "bird"
    title = "BIRD 2"
    programs = {"bird": "bird2", "birdc": "bird2"}
    sets_kernel_routes = True

    def write_configuration(self):
        text = f"log stderr all;\nrouter id {self.router_id};\nprotocol device {{ scan time 1; }}\n"
        if self.kernel:
            text += KERNEL.format(family="ipv4") + KERNEL.format(family="ipv6")
        for peering in self.peerings.values():
            text += PEERING.format(asn=self.asn, hold=self.HOLD_TIME_S, **vars(peering))
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

    def route(self, prefix: str, peering: str) -> "Route | None":
        text = self._birdc("show", "route", "all", "protocol", peering, prefix)
        seen = {key: value.strip() for key, value in re.findall(r"^\tBGP\.(\w+): ?(.*)$", text, re.M)}
        if not seen:
            return None
        return Route(
            origin=seen["origin"].lower(),
            as_path=tuple(int(asn) for asn in seen["as_path"].split()),
            next_hop=address(seen["next_hop"].split()[0]),
            med=int(seen["med"]) if "med" in seen else None,
            local_pref=int(seen["local_pref"]) if self.is_internal(peering) else None,
            communities=_tuples(seen.get("community", "")),
            large_communities=_tuples(seen.get("large_community", "")),
        )

    def best(self, prefix: str) -> "str | None":
        found = re.search(r"\[(\w+) [^\]]*\] \*", self._birdc("show", "route", "primary", prefix))
        return found[1] if found else None

    def reset(self, peering: str) -> str:
        self._birdc("restart", peering)
        return "Administrative Reset"

    def _birdc(self, *words: str) -> str:
        return self.ask(self.program("birdc"), "-s", self._socket, *words)


def _tuples(text: str) -> frozenset:
    """Communities as BIRD writes them: (64500,100) (64500, 1, 2)."""
    return frozenset(re.sub(r",\s*", ":", inner) for inner in re.findall(r"\(([^)]*)\)", text))
