"""FRR: bgpd, zebra when routes go into the kernel, and bfdd for BFD."""

import json
import os

from .base import BfdSession, Peering, Route, Router, address, community

GLOBAL = """\
frr defaults datacenter
bgp as-path access-list own permit ^$
bgp community-list standard gshut permit graceful-shutdown
router bgp {asn}
 bgp router-id {router_id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
"""

PEERING = """\
 neighbor {remote} remote-as {remote_as}
 neighbor {remote} timers 30 {hold}
"""

PROFILE = """\
 profile {name}
  transmit-interval {min_tx_ms}
  receive-interval {min_rx_ms}
  detect-multiplier {multiplier}
  {shutdown}
"""

ROUTE_MAPS = """\
route-map own permit 10
 match as-path own
route-map in permit 10
 match community gshut
 set local-preference 0
route-map in permit 20
"""


class Frr(Router):
    kind = "frr"
    title = "FRR"
    programs = {"bgpd": "frr", "zebra": "frr", "vtysh": "frr"}
    search = "/usr/lib/frr"
    sets_kernel_routes = True
    # Of a neighbor that could send long numbers it takes no AS4_PATH.
    merges_as4_path = False
    lacks = {
        "answer_refresh": "FRR 8.4 answers only neighbors that offer graceful restart (its issue 16126), and Swerve"
        " offers none on purpose",
    }

    def write_configuration(self):
        peerings = self.peerings.values()
        text = GLOBAL.format(asn=self.asn, router_id=self.router_id)
        for peering in peerings:
            text += PEERING.format(hold=self.HOLD_TIME_S, **vars(peering))
            text += "".join(f" neighbor {peering.remote} {option}\n" for option in _options(peering))
        for family in ("ipv4", "ipv6"):
            text += f" address-family {family} unicast\n"
            if family == "ipv4":
                text += "".join(f"  network {prefix}\n" for prefix in self.originates)
            for peering in peerings:
                text += "".join(f"  neighbor {peering.remote} {option}\n" for option in _family_options(peering))
            text += " exit-address-family\n"
        self._configs = {"bgpd": self.write("bgpd.conf", text + ROUTE_MAPS), "zebra": self.write("zebra.conf", "")}
        self._configs["bfdd"] = self.write("bfdd.conf", "bfd\n" + "".join(map(_profile, peerings)))
        # Only zebra knows interfaces, and bgpd meets bfdd through it.
        self._with_bfdd = any(peering.bfd for peering in peerings)
        self._with_zebra = self.kernel or self._with_bfdd or any(peering.interface for peering in peerings)

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self._zebra = self._bfdd = None

    def start(self):
        if self._with_zebra:
            # It insists on being a member of the group that owns the command line's sockets.
            self._zebra = self._launch("zebra", "-u", "root", "-g", "frrvty")
            self.await_ready(self._zebra, lambda: os.path.exists(self.path("zserv.api")))
        if self._with_bfdd:
            self._bfdd = self._launch("bfdd", "-u", "root", "-g", "frrvty", "--bfdctl", self.path("bfdd.sock"))
            self.await_ready(self._bfdd, lambda: "FRRouting" in self._vtysh("show version", daemon="bfdd"))
        self.process = self._launch("bgpd", "-S", *(() if self._with_zebra else ("-Z",)))
        self.await_ready(self.process, self.answers)

    def stop(self):
        super().stop()
        for process in (self._bfdd, self._zebra):  # zebra takes its routes out of the kernel
            if process is not None:
                process.end()

    def freeze(self):
        super().freeze()
        if self._bfdd is not None:
            self._bfdd.freeze()

    def thaw(self):
        if self._bfdd is not None:
            self._bfdd.thaw()
        super().thaw()

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

    def held(self, prefix: str, peering: str) -> "Route | None":
        for path in self._paths(prefix):
            if path["peer"]["peerId"] == self.peerings[peering].remote:
                return Route(
                    origin=path["origin"].lower(),
                    as_path=tuple(int(asn) for asn in path["aspath"]["string"].split() if asn.isdigit()),
                    next_hop=address(path["nexthops"][0]["ip"]),
                    med=path.get("metric"),
                    local_pref=path.get("locPrf"),
                    communities=frozenset(map(community, path.get("community", {}).get("list", ()))),
                    extended_communities=frozenset(
                        path.get("extendedCommunity", {}).get("string", "").lower().replace("soo:", "ro:").split()
                    ),
                    large_communities=frozenset(path.get("largeCommunity", {}).get("list", ())),
                )
        return None

    def best(self, prefix: str) -> "str | None":
        for path in self._paths(prefix):
            if path.get("bestpath", {}).get("overall"):
                return self.peering_at(path["peer"]["peerId"])
        return None

    def bfd_session(self, peering: str) -> "BfdSession | None":
        seen = {}
        for what in ("peers", "peers counters"):
            text = self._vtysh(f"show bfd {what} json", daemon="bfdd")
            for one in json.loads(text) if text.startswith("[") else []:
                if one["peer"] == self.peerings[peering].remote:
                    seen |= one
        # It may have come between the two questions.
        return _bfd_session(seen) if {"status", "session-up"} <= seen.keys() else None

    def reset(self, peering: str) -> str:
        self._vtysh(f"clear bgp {self.peerings[peering].remote}")
        return "Administrative Reset"

    def reload(self, peering: Peering):
        self._configure(*(f"neighbor {peering.remote} {option}" for option in _options(peering)))
        if peering.bfd:
            self._vtysh("configure terminal", "bfd", *_profile(peering).splitlines(), daemon="bfdd")

    def shut(self, peering: str, reason: str):
        self._configure(f"neighbor {self.peerings[peering].remote} shutdown message {reason}")

    def open(self, peering: str):
        self._configure(f"no neighbor {self.peerings[peering].remote} shutdown")

    def refresh(self, peering: str):
        self._vtysh(f"clear bgp ipv4 unicast {self.peerings[peering].remote} soft in")

    def was_told(self, peering: str, text: str) -> bool:
        return text in self._vtysh(f"show bgp neighbors {self.peerings[peering].remote} json")

    def _paths(self, prefix: str) -> list:
        family = "ipv6" if ":" in prefix else "ipv4"
        return self._json(f"show bgp {family} unicast {prefix}").get("paths", [])

    def _json(self, command: str) -> dict:
        text = self._vtysh(command + " json")
        return json.loads(text) if text.startswith("{") else {}

    def _configure(self, *lines: str):
        self._vtysh("configure terminal", f"router bgp {self.asn}", *lines)

    def _vtysh(self, *commands: str, daemon: str = "bgpd") -> str:
        words = [word for command in commands for word in ("-c", command)]
        return self.ask(self.program("vtysh"), "--vty_socket", self.world.directory, "-d", daemon, *words)


def _options(peering: Peering):
    """What is said of a neighbor outside its address families."""
    yield "timers connect 1" if peering.dials else "passive"
    if peering.interface:
        yield f"interface {peering.interface}"
    else:
        yield f"update-source {peering.local}"
    if peering.local_as:
        yield f"local-as {peering.local_as} no-prepend replace-as"
    if peering.password:
        yield f"password {peering.password}"
    if peering.multihop:
        yield f"ebgp-multihop {peering.multihop}"
    if peering.ttl_security:
        yield "ttl-security hops 1"
    if peering.role:
        yield f"local-role {peering.role}"
    if peering.extended_next_hop:
        yield "capability extended-nexthop"
    if peering.graceful_restart:
        yield "graceful-restart-helper"
    if peering.two_octet:
        yield "dont-capability-negotiate"
    if peering.bfd:
        yield f"bfd profile {peering.name}"


def _profile(peering: Peering) -> str:
    if peering.bfd is None:
        return ""
    shutdown = "shutdown" if peering.bfd.shut else "no shutdown"
    return PROFILE.format(**vars(peering.bfd), name=peering.name, shutdown=shutdown)


def _bfd_session(seen: dict) -> BfdSession:
    """What RFC 5880 makes of what both ends want: it shows nothing of that itself."""
    return BfdSession(
        state="admin_down" if seen["status"] == "shutdown" else seen["status"],
        since=f"up {seen['session-up']} times, down {seen['session-down']} times",
        transmit_ms=max(seen["transmit-interval"], seen["remote-receive-interval"]),
        detection_ms=seen["remote-detect-multiplier"] * max(seen["receive-interval"], seen["remote-transmit-interval"]),
    )


def _family_options(peering: Peering):
    yield "activate"
    yield "route-map own out"
    if peering.honour_gshut:
        yield "route-map in in"
