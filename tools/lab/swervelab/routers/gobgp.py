"""GoBGP. It talks to no kernel; where the lab wants routes there, a follower of its best paths sets them.

Its own way into the kernel is FRR's zebra, but the protocol of Debian 12's zebra (8.4) is newer than what its gobgpd
(3.10) knows: gobgpd crashes at the first interface that zebra tells it of.
"""

import json
import os
import signal
import subprocess
import threading

from .base import Peering, Route, Router, address

GLOBAL = """\
[global.config]
  as = {asn}
  router-id = "{router_id}"
  local-address-list = [{locals}]
[global.apply-policy.config]
  import-policy-list = ["honour_gshut"]
  default-import-policy = "accept-route"

[[defined-sets.bgp-defined-sets.community-sets]]
  community-set-name = "gshut"
  community-list = ["65535:0"]
[[defined-sets.neighbor-sets]]
  neighbor-set-name = "honouring"
  neighbor-info-list = [{honouring}]
[[policy-definitions]]
  name = "honour_gshut"
  [[policy-definitions.statements]]
    name = "lower"
    [policy-definitions.statements.conditions.match-neighbor-set]
      neighbor-set = "honouring"
    [policy-definitions.statements.conditions.bgp-conditions.match-community-set]
      community-set = "gshut"
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"
    [policy-definitions.statements.actions.bgp-actions]
      set-local-pref = 1  # it takes 0 for not set
"""

PEERING = """\
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{neighbor}"
    peer-as = {remote_as}
    local-as = {asn}
    auth-password = "{secret}"
  [neighbors.transport.config]
    passive-mode = {passive}
    local-address = "{local_address}"
  [neighbors.timers.config]
    hold-time = {hold}
    connect-retry = 1
{options}  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
"""

MULTIHOP = """\
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = {multihop}
"""

TTL_SECURITY = """\
  [neighbors.ttl-security.config]
    enabled = true
    ttl-min = 255
"""

GRACEFUL_RESTART = """\
  [neighbors.graceful-restart.config]
    enabled = true
"""

ORIGINS = ("igp", "egp", "incomplete")
SUBTYPES = {2: "rt", 3: "ro"}
NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES, MP_REACH, EXTENDED, LARGE_COMMUNITIES = 3, 4, 5, 8, 14, 16, 32


class GoBgp(Router):
    kind = "gobgp"
    title = "GoBGP"
    programs = {"gobgpd": "gobgpd", "gobgp": "gobgpd"}
    sets_kernel_routes = True
    note = "its client of zebra does not fit FRR 8.4, so the lab follows its best paths and sets the kernel routes"

    lacks = {
        "role": "GoBGP 3.10 does not know RFC 9234",
        "two_octet": "GoBGP 3.10 always offers four-octet AS numbers",
        "enhanced_refresh": "GoBGP 3.10 does not offer RFC 7313",
        "refresh": "GoBGP keeps all routes for softresetin and never asks for them",
    }

    def write_configuration(self):
        peerings = self.peerings.values()
        text = GLOBAL.format(
            asn=self.asn,
            router_id=self.router_id,
            locals=", ".join(f'"{local}"' for local in _listen_on(peerings)),
            honouring=", ".join(f'"{peering.remote}"' for peering in peerings if peering.honour_gshut),
        )
        for peering in peerings:
            options = MULTIHOP.format(multihop=peering.multihop) if peering.multihop else ""
            options += TTL_SECURITY if peering.ttl_security else ""
            options += GRACEFUL_RESTART if peering.graceful_restart else ""
            text += PEERING.format(
                **vars(peering),
                neighbor=_with_zone(peering, peering.remote),
                local_address=_with_zone(peering, peering.local),
                asn=self.asn_of(peering),
                secret=peering.password or "",
                passive=str(not peering.dials).lower(),
                hold=self.HOLD_TIME_S,
                options=options,
            )
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
        for prefix in self.originates:
            self._gobgp("global", "rib", "add", prefix)
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
        neighbor = self._json("neighbor", self._neighbor(peering))
        return neighbor.get("state", {}).get("session_state") == 6

    def held(self, prefix: str, peering: str) -> "Route | None":
        for path in self._paths(prefix):
            if path["neighbor-ip"] == self.peerings[peering].remote:
                return _route(path)
        return None

    def best(self, prefix: str) -> "str | None":
        for path in self._paths(prefix):
            if path["best"]:
                return self.peering_at(path["neighbor-ip"])
        return None

    def reset(self, peering: str) -> str:
        # Its "reset" stays idle for 30 s, which no configuration file can change.
        for word in ("disable", "enable"):
            self._gobgp("neighbor", self._neighbor(peering), word)
        return "Administrative Shutdown"

    def reload(self, peering: Peering):
        self.process.signal(signal.SIGHUP)

    def shut(self, peering: str, reason: str):
        # Its "disable" loses the reason, and after "shutdown" it would come back.
        self._gobgp("neighbor", self._neighbor(peering), "shutdown", "--reason", reason)
        self._gobgp("neighbor", self._neighbor(peering), "disable")

    def open(self, peering: str):
        self._gobgp("neighbor", self._neighbor(peering), "enable")

    def refresh(self, peering: str):
        self._gobgp("neighbor", self._neighbor(peering), "softresetin")

    def _neighbor(self, peering: str) -> str:
        return _with_zone(self.peerings[peering], self.peerings[peering].remote)

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


def _listen_on(peerings) -> list:
    """Everywhere where a session is link-local: it takes no zone here."""
    if any(peering.interface for peering in peerings):
        return ["0.0.0.0", "::"]
    return [peering.local for peering in peerings]


def _with_zone(peering: Peering, text: str) -> str:
    return f"{text}%{peering.interface}" if peering.interface else text


def _route(path: dict) -> Route:
    seen = {attribute["type"]: attribute for attribute in path["attrs"]}
    segments = seen.get(2, {}).get("as_paths") or []
    return Route(
        origin=ORIGINS[seen[1]["value"]],
        as_path=tuple(asn for segment in segments for asn in segment["asns"]),
        next_hop=_next_hop(seen),
        med=seen[MED]["metric"] if MED in seen else None,
        local_pref=seen[LOCAL_PREF]["value"] if LOCAL_PREF in seen else None,
        communities=frozenset(f"{c >> 16}:{c & 0xFFFF}" for c in seen.get(COMMUNITIES, {}).get("communities", ())),
        extended_communities=frozenset(_extended(c) for c in seen.get(EXTENDED, {}).get("value", ())),
        large_communities=frozenset(
            f"{c['ASN']}:{c['LocalData1']}:{c['LocalData2']}" for c in seen.get(LARGE_COMMUNITIES, {}).get("value", ())
        ),
    )


def _extended(seen: dict) -> str:
    """A long AS number comes in two parts with a dot between."""
    administrator, number = seen["value"].split(":")
    high, dot, low = administrator.partition(".")
    if dot and "." not in low:
        administrator = str(int(high) * 65536 + int(low))
    return f"{SUBTYPES.get(seen['subtype'], seen['subtype'])}:{administrator}:{number}"


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
