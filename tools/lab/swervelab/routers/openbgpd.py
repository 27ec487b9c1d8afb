"""OpenBGPD."""

import json

from .base import Route, Router, address

GLOBAL = """\
AS {asn}
router-id {router_id}
fib-update no
holdtime {hold}
socket "{socket}"
{listen}
"""

PEERING = """\
neighbor {remote} {{
  remote-as {remote_as}
  local-address {local}
  descr "{name}"
  passive
  announce IPv4 unicast
  announce IPv6 unicast
}}
"""

POLICY = "allow from any\ndeny to any\n"


class OpenBgpd(Router):
    kind = "openbgpd"
    title = "OpenBGPD"
    programs = {"bgpd": "openbgpd", "bgpctl": "openbgpd"}
    search = "/usr/sbin"  # FRR has a bgpd, too

    def write_configuration(self):
        self._socket = self.path("openbgpd.sock")
        peerings = self.peerings.values()
        text = GLOBAL.format(
            asn=self.asn,
            router_id=self.router_id,
            hold=self.HOLD_TIME_S,
            socket=self._socket,
            listen="\n".join(f"listen on {peering.local}" for peering in peerings),
        )
        text += "".join(PEERING.format(**vars(peering)) for peering in peerings)
        self._config = self.write("openbgpd.conf", text + POLICY)

    def start(self):
        # Its children change their root to a fixed directory, which exists only where a service manager made it.
        command = [self.program("bgpd"), "-d", "-f", self._config]
        self.process = self.launch("openbgpd", command, private="/run/openbgpd")
        self.await_ready(self.process, self.answers)

    def answers(self) -> bool:
        return "RDE" in self._bgpctl("show", "rib", "memory")

    def session_is_up(self, peering: str) -> bool:
        found = self._json("show", "neighbor", self.peerings[peering].remote).get("neighbors", [])
        return bool(found) and found[0]["state"] == "Established"

    def route(self, prefix: str, peering: str) -> "Route | None":
        for path in self._paths(prefix):
            if path["neighbor"]["remote_addr"] == self.peerings[peering].remote:
                return Route(
                    origin=path["origin"].lower(),
                    as_path=tuple(int(asn) for asn in path["aspath"].split()),
                    next_hop=address(path["exit_nexthop"]),
                    med=path["metric"] or None,  # it shows a route without MED like one with 0
                    local_pref=path["localpref"] if self.is_internal(peering) else None,
                    communities=frozenset(path.get("communities", ())),
                    large_communities=frozenset(path.get("large_communities", ())),
                )
        return None

    def best(self, prefix: str) -> "str | None":
        for path in self._paths(prefix):
            if path["best"]:
                return self.peering_at(path["neighbor"]["remote_addr"])
        return None

    def reset(self, peering: str) -> str:
        self._bgpctl("neighbor", self.peerings[peering].remote, "clear")
        return "Administrative Reset"

    def _paths(self, prefix: str) -> list:
        return self._json("show", "rib", "detail", prefix).get("rib", [])

    def _json(self, *words: str) -> dict:
        text = self._bgpctl("-j", *words)
        return json.loads(text) if text.startswith("{") else {}

    def _bgpctl(self, *words: str) -> str:
        return self.ask(self.program("bgpctl"), "-s", self._socket, *words)
