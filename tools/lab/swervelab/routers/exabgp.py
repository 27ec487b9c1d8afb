"""ExaBGP. It keeps no table: a recorder (exabgp_recorder.py), one of its API processes, does."""

import ipaddress
import json
import os
import pathlib
import socket
import sys

from .base import Peering, Route, Router, address

RECORDER = pathlib.Path(__file__).with_name("exabgp_recorder.py")

PROCESS = """\
process recorder {{
  run {python} {recorder} {socket};
  encoder json;
}}
"""

PEERING = """\
neighbor {remote} {{
  description "{name}";
  router-id {router_id};
  local-address {local};
  local-as {asn};
  peer-as {seen_as};
  hold-time {hold};
  family {{ ipv4 unicast; ipv6 unicast; }}
  api {{ processes [ recorder ]; neighbor-changes; receive {{ parsed; update; }} }}
  static {{ {routes} }}
{options}}}
"""

AS_TRANS = 23456
SUBTYPES = {2: "rt", 3: "ro"}

SETTINGS = {
    "exabgp_daemon_user": "root",
    "exabgp_daemon_drop": "false",
    "exabgp_daemon_daemonize": "false",
    "exabgp_api_cli": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class ExaBgp(Router):
    kind = "exabgp"
    title = "ExaBGP"
    programs = {"exabgp": "exabgp"}
    lacks = {
        "role": "ExaBGP 4.2 does not know RFC 9234",
        "interface": "ExaBGP 4.2 has no zones of link-local addresses",
        "honour_gshut": "ExaBGP has no policy",
        "graceful_restart": "ExaBGP keeps no routes, of whatever neighbor",
        "answer_refresh": "ExaBGP 4.2 closes the session when it is asked, whoever asks",
        "be_told": "ExaBGP 4.2 cannot decode a NOTIFICATION, whoever sends it",
        "shut": "its teardown command takes no message",
    }

    def write_configuration(self):
        self._socket = self.path("exabgp.sock")
        text = PROCESS.format(python=sys.executable, recorder=RECORDER, socket=self._socket)
        for peering in self.peerings.values():
            text += PEERING.format(
                **vars(peering),
                asn=self.asn_of(peering),
                seen_as=AS_TRANS if peering.two_octet else peering.remote_as,
                router_id=self.router_id,
                hold=self.HOLD_TIME_S,
                routes=" ".join(f"route {prefix} next-hop {self.router_id};" for prefix in self.originates),
                options="".join(f"  {option}\n" for option in _options(peering)),
            )
        self._config = self.write("exabgp.conf", text)

    def start(self):
        if os.path.exists(self._socket):
            os.unlink(self._socket)
        self.process = self.launch("exabgp", [self.program("exabgp"), self._config], env=dict(os.environ, **SETTINGS))
        self.await_ready(self.process, self.answers)

    def answers(self) -> bool:
        return self._recorder("state") is not None

    def session_is_up(self, peering: str) -> bool:
        return self._state(peering)["state"] == "up"

    def held(self, prefix: str, peering: str) -> "Route | None":
        found = self._state(peering)["routes"].get(prefix)
        if found is None:
            return None
        seen = found["attribute"]
        return Route(
            origin=seen["origin"],
            as_path=tuple(seen.get("as-path", ())),
            next_hop=address(found["next_hop"]),
            med=seen.get("med"),
            local_pref=seen.get("local-preference"),
            communities=frozenset(_text(community) for community in seen.get("community", ())),
            extended_communities=frozenset(
                _extended(community["value"]) for community in seen.get("extended-community", ())
            ),
            large_communities=frozenset(_text(community) for community in seen.get("large-community", ())),
        )

    def best(self, prefix: str) -> "str | None":
        """It selects none: the first that has one."""
        return next((name for name in self.peerings if self.route(prefix, name) is not None), None)

    def reset(self, peering: str) -> str:
        self._recorder(f"neighbor {self.peerings[peering].remote} teardown 4")
        return "Administrative Reset"

    def reload(self, peering: Peering):
        # Its own reload gives listening sockets no other key.
        self.stop()
        self.start()

    def refresh(self, peering: str):
        self._recorder(f"neighbor {self.peerings[peering].remote} announce route-refresh ipv4 unicast")

    def _state(self, peering: str) -> dict:
        return (self._recorder("state") or {}).get(self.peerings[peering].remote, {"state": "down", "routes": {}})

    def _recorder(self, request: str) -> "dict | None":
        """One question and its answer; None while the recorder does not answer."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(5.0)
                connection.connect(self._socket)
                connection.sendall(request.encode() + b"\n")
                with connection.makefile("r", encoding="utf-8") as answer:
                    return json.loads(answer.read())
        except (OSError, ValueError):
            return None


def _options(peering: Peering):
    if not peering.dials:
        yield "passive true;"
        yield "listen 179;"
    capabilities = ["route-refresh enable;"]
    if peering.extended_next_hop:
        capabilities.append("nexthop enable;")
        yield "nexthop { ipv4 unicast ipv6; }"
    if peering.two_octet:
        capabilities.append("asn4 disable;")
    yield "capability { " + " ".join(capabilities) + " }"
    if peering.password:
        yield f'md5-password "{peering.password}";'
    if peering.multihop:
        yield f"outgoing-ttl {peering.multihop};"
    if peering.ttl_security:
        # Of the two, only the first is for a connection that it opens, and only the second for one that it takes.
        yield "outgoing-ttl 255;"
        yield "incoming-ttl 255;"


def _extended(value: int) -> str:
    octets = value.to_bytes(8, "big")
    if octets[0] == 0:
        administrator, number = int.from_bytes(octets[2:4], "big"), octets[4:]
    elif octets[0] == 1:
        administrator, number = ipaddress.IPv4Address(octets[2:6]), octets[6:]
    else:
        administrator, number = int.from_bytes(octets[2:6], "big"), octets[6:]
    return f"{SUBTYPES.get(octets[1], octets[1])}:{administrator}:{int.from_bytes(number, 'big')}"


def _text(community: list) -> str:
    return ":".join(str(part) for part in community)
