"""FRR: bgpd, and zebra when routes go into the kernel."""

import json
import os

from .base import Route, Router, address

GLOBAL = """\
frr defaults datacenter
router bgp {asn}
 bgp router-id {router_id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
"""

PEERING = """\
 neighbor {remote} remote-as {remote_as}
 neighbor {remote} update-source {local}
 neighbor {remote} passive
 neighbor {remote} timers 30 {hold}
"""

FAMILY = """\
 address-family {family} unicast
{neighbors} exit-address-family
"""

IN_FAMILY = """\
  neighbor {remote} activate
  neighbor {remote} route-map none out
"""


class Frr(Router):
    kind = "frr"
    title = "FRR"
    programs = {"bgpd": "frr", "zebra": "frr", "vtysh": "frr"}
    search = "/usr/lib/frr"
    sets_kernel_routes = True

    def write_configuration(self):
        peerings = self.peerings.values()
        text = GLOBAL.format(asn=self.asn, router_id=self.router_id)
        text += "".join(PEERING.format(hold=self.HOLD_TIME_S, **vars(peering)) for peering in peerings)
        for family in ("ipv4", "ipv6"):
            neighbors = "".join(IN_FAMILY.format(remote=peering.remote) for peering in peerings)
            text += FAMILY.format(family=family, neighbors=neighbors)
        text += "route-map none deny 10\n"
        self._configs = {"bgpd": self.write("bgpd.conf", text), "zebra": self.write("zebra.conf", "")}
        self._zebra = None

    def start(self):
        if self.kernel:
            # It insists on being a member of the group that owns the command line's sockets.
            self._zebra = self._launch("zebra", "-u", "root", "-g", "frrvty")
            self.await_ready(self._zebra, lambda: os.path.exists(self.path("zserv.api")))
        self.process = self._launch("bgpd", "-S", *(() if self.kernel else ("-Z",)))
        self.await_ready(self.process, self.answers)

    def stop(self):
        super().stop()
        if self._zebra is not None:
            self._zebra.end()  # takes its routes out of the kernel

    def _launch(self, name: str, *options: str):
        for stale in (name + ".vty", "zserv.api") if name == "zebra" else (name + ".vty",):
            if os.path.exists(self.path(stale)):
                os.unlink(self.path(stale))
        command = [self.program(name), "-f", self._configs[name], "-i", self.path(name + ".pid")]
        command += ["-z", self.path("zserv.api"), "--vty_socket", self.world.directory, "-P", "0", "--log", "stdout"]
        return self.launch("frr-" + name, [*command, *options], private="/var/tmp/frr")

    def answers(self) -> bool:
        return "FRRouting" in self._vtysh("show version")

    def session_is_up(self, peering: str) -> bool:
        remote = self.peerings[peering].remote
        return self._json(f"show bgp neighbors {remote}").get(remote, {}).get("bgpState") == "Established"

    def route(self, prefix: str, peering: str) -> "Route | None":
        for path in self._paths(prefix):
            if path["peer"]["peerId"] == self.peerings[peering].remote:
                return Route(
                    origin=path["origin"].lower(),
                    as_path=tuple(int(asn) for asn in path["aspath"]["string"].split() if asn.isdigit()),
                    next_hop=address(path["nexthops"][0]["ip"]),
                    med=path.get("metric"),
                    local_pref=path.get("locPrf") if self.is_internal(peering) else None,
                    communities=frozenset(path.get("community", {}).get("list", ())),
                    large_communities=frozenset(path.get("largeCommunity", {}).get("list", ())),
                )
        return None

    def best(self, prefix: str) -> "str | None":
        for path in self._paths(prefix):
            if path.get("bestpath", {}).get("overall"):
                return self.peering_at(path["peer"]["peerId"])
        return None

    def reset(self, peering: str) -> str:
        self._vtysh(f"clear bgp {self.peerings[peering].remote}")
        return "Administrative Reset"

    def _paths(self, prefix: str) -> list:
        family = "ipv6" if ":" in prefix else "ipv4"
        return self._json(f"show bgp {family} unicast {prefix}").get("paths", [])

    def _json(self, command: str) -> dict:
        text = self._vtysh(command + " json")
        return json.loads(text) if text.startswith("{") else {}

    def _vtysh(self, command: str) -> str:
        return self.ask(self.program("vtysh"), "--vty_socket", self.world.directory, "-d", "bgpd", "-c", command)
