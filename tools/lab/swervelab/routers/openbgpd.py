"""OpenBGPD."""

import json

from .base import Peering, Route, Router, address, community

GLOBAL = """\
AS {asn}
router-id {router_id}
fib-update no
holdtime {hold}
connect-retry 1
socket "{socket}"
{listen}
{originated}
"""

PEERING = """\
neighbor {neighbor} {{
  remote-as {remote_as}
  local-address {local_address}
  descr "{name}"
  announce IPv4 unicast
  announce IPv6 unicast
{options}}}
"""


class OpenBgpd(Router):
    kind = "openbgpd"
    title = "OpenBGPD"
    programs = {"bgpd": "openbgpd", "bgpctl": "openbgpd"}
    search = "/usr/sbin"  # FRR has a bgpd, too

    lacks = {
        "extended_next_hop": "OpenBGPD 7.7 does not know RFC 8950",
        "key_when_called": "OpenBGPD 7.7 on Linux sets the key only where it dials",
        "answer_refresh": "OpenBGPD 7.7 discards the request (issue 46 of its portable version)",
        "interface": "OpenBGPD 7.7 crashes on Linux once a link-local session is up, whoever the neighbor",
    }

    def write_configuration(self):
        self._socket = self.path("openbgpd.sock")
        peerings = self.peerings.values()
        text = GLOBAL.format(
            asn=self.asn,
            router_id=self.router_id,
            hold=self.HOLD_TIME_S,
            socket=self._socket,
            listen="\n".join(f"listen on {_with_zone(peering, peering.local)}" for peering in peerings),
            originated="\n".join(f"network {prefix}" for prefix in self.originates),
        )
        for peering in peerings:
            text += PEERING.format(
                **vars(peering),
                neighbor=_with_zone(peering, peering.remote),
                local_address=_with_zone(peering, peering.local),
                options="".join(f"  {option}\n" for option in _options(peering)),
            )
        text += "allow from any\ndeny to any\n"
        text += "".join(f"allow to any prefix {prefix}\n" for prefix in self.originates)
        text += "".join(
            f"match from {_with_zone(peering, peering.remote)} community GRACEFUL_SHUTDOWN set {{ localpref 0 }}\n"
            for peering in peerings
            if peering.honour_gshut
        )
        self._config = self.write("openbgpd.conf", text)

    def start(self):
        # Its children change their root to a fixed directory, which exists only where a service manager made it.
        command = [self.program("bgpd"), "-d", "-f", self._config]
        self.process = self.launch("openbgpd", command, private="/run/openbgpd")
        self.await_ready(self.process, self.answers)

    def answers(self) -> bool:
        return "RDE" in self._bgpctl("show", "rib", "memory")

    def session_is_up(self, peering: str) -> bool:
        found = self._json("show", "neighbor", self._neighbor(peering)).get("neighbors", [])
        return bool(found) and found[0]["state"] == "Established"

    def held(self, prefix: str, peering: str) -> "Route | None":
        for path in self._paths(prefix):
            if path["neighbor"]["remote_addr"] == self._neighbor(peering):
                return Route(
                    origin=path["origin"].lower(),
                    as_path=tuple(int(asn) for asn in path["aspath"].split()),
                    next_hop=address(path["exit_nexthop"]),
                    med=path["metric"] or None,  # it shows a route without MED like one with 0
                    local_pref=path["localpref"],
                    communities=frozenset(map(community, path.get("communities", ()))),
                    extended_communities=frozenset(
                        text.replace(" ", ":").replace("soo:", "ro:") for text in path.get("extended_communities", ())
                    ),
                    large_communities=frozenset(path.get("large_communities", ())),
                )
        return None

    def best(self, prefix: str) -> "str | None":
        for path in self._paths(prefix):
            if path["best"]:
                return self.peering_at(path["neighbor"]["remote_addr"])
        return None

    def reset(self, peering: str) -> str:
        self._bgpctl("neighbor", self._neighbor(peering), "clear")
        return "Administrative Reset"

    def reload(self, peering: Peering):
        self._bgpctl("reload")
        self._bgpctl("neighbor", self._neighbor(peering.name), "clear")  # it would wait for half a minute or more

    def shut(self, peering: str, reason: str):
        self._bgpctl("neighbor", self._neighbor(peering), "down", reason)

    def open(self, peering: str):
        self._bgpctl("neighbor", self._neighbor(peering), "up")

    def refresh(self, peering: str):
        self._bgpctl("neighbor", self._neighbor(peering), "refresh")

    def was_told(self, peering: str, text: str) -> bool:
        return text in self._bgpctl("show", "neighbor", self._neighbor(peering))

    def _neighbor(self, peering: str) -> str:
        return _with_zone(self.peerings[peering], self.peerings[peering].remote)

    def _paths(self, prefix: str) -> list:
        return self._json("show", "rib", "detail", prefix).get("rib", [])

    def _json(self, *words: str) -> dict:
        text = self._bgpctl("-j", *words)
        return json.loads(text) if text.startswith("{") else {}

    def _bgpctl(self, *words: str) -> str:
        return self.ask(self.program("bgpctl"), "-s", self._socket, *words)


def _with_zone(peering: Peering, text: str) -> str:
    return f"{text}%{peering.interface}" if peering.interface else text


def _options(peering: Peering):
    if not peering.dials:
        yield "passive"
    yield "announce enhanced refresh yes"
    if peering.password:
        yield f"tcp md5sig password {peering.password}"
    if peering.multihop:
        yield f"multihop {peering.multihop}"
    if peering.ttl_security:
        yield "ttl-security yes"
    if peering.role:
        yield f"announce policy {peering.role}"
    if peering.local_as:
        yield f"local-as {peering.local_as}"
    if peering.two_octet:
        yield "announce as-4byte no"
