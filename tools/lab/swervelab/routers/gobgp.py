"""GoBGP. It talks to no kernel; where the lab wants routes there, a follower of its best paths sets them.

Its own way into the kernel is FRR's zebra, but the protocol of Debian 12's zebra (8.4) is newer than what its gobgpd
(3.10) knows: gobgpd crashes at the first interface that zebra tells it of.
"""

import json
import os
import subprocess
import threading

from .base import Route, Router, address

GLOBAL = """\
[global.config]
  as = {asn}
  router-id = "{router_id}"
  local-address-list = [{locals}]
"""

PEERING = """\
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{remote}"
    peer-as = {remote_as}
  [neighbors.transport.config]
    passive-mode = true
    local-address = "{local}"
  [neighbors.timers.config]
    hold-time = {hold}
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
"""

ORIGINS = ("igp", "egp", "incomplete")
NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES, MP_REACH, LARGE_COMMUNITIES = 3, 4, 5, 8, 14, 32


class GoBgp(Router):
    kind = "gobgp"
    title = "GoBGP"
    programs = {"gobgpd": "gobgpd", "gobgp": "gobgpd"}
    sets_kernel_routes = True
    note = "its client of zebra does not fit FRR 8.4, so the lab follows its best paths and sets the kernel routes"

    def write_configuration(self):
        peerings = self.peerings.values()
        text = GLOBAL.format(
            asn=self.asn,
            router_id=self.router_id,
            locals=", ".join(f'"{peering.local}"' for peering in peerings),
        )
        text += "".join(PEERING.format(hold=self.HOLD_TIME_S, **vars(peering)) for peering in peerings)
        self._config = self.write("gobgp.toml", text)
        self._socket = self.path("gobgp.sock")
        self._follower = None

    def start(self):
        if os.path.exists(self._socket):
            os.unlink(self._socket)
        self.process = self.launch(
            "gobgpd",
            [self.program("gobgpd"), "-f", self._config, "-p", "--pprof-disable", f"--api-hosts=unix://{self._socket}"],
        )
        self.await_ready(self.process, self.answers)
        if self.kernel:
            self._follower = _Follower(self._command("-j", "monitor", "global", "rib", "--current"), self.netns)

    def stop(self):
        super().stop()
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def answers(self) -> bool:
        return os.path.exists(self._socket) and "AS:" in self._gobgp("global")

    def session_is_up(self, peering: str) -> bool:
        neighbor = self._json("neighbor", self.peerings[peering].remote)
        return neighbor.get("state", {}).get("session_state") == 6

    def route(self, prefix: str, peering: str) -> "Route | None":
        for path in self._paths(prefix):
            if path["neighbor-ip"] == self.peerings[peering].remote:
                return self._route(path, peering)
        return None

    def best(self, prefix: str) -> "str | None":
        for path in self._paths(prefix):
            if path["best"]:
                return self.peering_at(path["neighbor-ip"])
        return None

    def reset(self, peering: str) -> str:
        # Its "reset" stays idle for 30 s, which no configuration file can change.
        for word in ("disable", "enable"):
            self._gobgp("neighbor", self.peerings[peering].remote, word)
        return "Administrative Shutdown"

    def _route(self, path: dict, peering: str) -> Route:
        seen = {attribute["type"]: attribute for attribute in path["attrs"]}
        segments = seen.get(2, {}).get("as_paths") or []
        return Route(
            origin=ORIGINS[seen[1]["value"]],
            as_path=tuple(asn for segment in segments for asn in segment["asns"]),
            next_hop=_next_hop(seen),
            med=seen[MED]["metric"] if MED in seen else None,
            local_pref=seen[LOCAL_PREF]["value"] if LOCAL_PREF in seen and self.is_internal(peering) else None,
            communities=frozenset(f"{c >> 16}:{c & 0xFFFF}" for c in seen.get(COMMUNITIES, {}).get("communities", ())),
            large_communities=frozenset(
                f"{c['ASN']}:{c['LocalData1']}:{c['LocalData2']}"
                for c in seen.get(LARGE_COMMUNITIES, {}).get("value", ())
            ),
        )

    def _paths(self, prefix: str) -> list:
        family = "ipv6" if ":" in prefix else "ipv4"
        return self._json("global", "rib", "-a", family, prefix).get(prefix, [])

    def _json(self, *words: str) -> dict:
        text = self._gobgp("-j", *words)
        return json.loads(text) if text.startswith("{") else {}

    def _gobgp(self, *words: str) -> str:
        return self.ask(*self._command(*words))

    def _command(self, *words: str) -> list:
        return [self.program("gobgp"), "--target", f"unix://{self._socket}", *words]


def _next_hop(attributes: dict) -> str:
    return address(attributes[MP_REACH if MP_REACH in attributes else NEXT_HOP]["nexthop"])


class _Follower:
    """Sets in the kernel what GoBGP's watch of best paths reports."""

    def __init__(self, watch: list, netns: str):
        self._netns = netns
        self._watch = subprocess.Popen(watch, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        for line in self._watch.stdout:
            if not line.startswith("["):
                continue
            for path in json.loads(line):
                prefix = path["nlri"]["prefix"]
                if path.get("withdrawal"):
                    self._ip(prefix, "route", "delete", prefix, "proto", "bgp")
                else:
                    hop = _next_hop({attribute["type"]: attribute for attribute in path["attrs"]})
                    self._ip(prefix, "route", "replace", prefix, "via", hop, "proto", "bgp")

    def _ip(self, prefix: str, *words: str):
        family = "-6" if ":" in prefix else "-4"
        subprocess.run(["ip", "-n", self._netns, family, *words], capture_output=True, timeout=10, check=False)

    def close(self):
        """Ends with no route left, like a router that goes."""
        self._watch.terminate()
        self._watch.wait()
        self._watch.stdout.close()
        self._thread.join()
        for family in ("0.0.0.0/0", "::/0"):
            self._ip(family, "route", "flush", "proto", "bgp")
