"""What every make of router offers to the lab, the demo and the interop matrix."""

import dataclasses
import ipaddress
import os
import shutil
import subprocess

from ..clock import wait_until

# As the makes write them in words.
WELL_KNOWN = {
    "gracefulshutdown": "65535:0",
    "noexport": "65535:65281",
}


@dataclasses.dataclass(frozen=True)
class Bfd:
    """BFD of a peering, as the router is configured."""

    min_tx_ms: int = 300
    min_rx_ms: int = 300
    multiplier: int = 3
    authentication: "str | None" = None  # in BIRD's words: "simple" or "meticulous keyed sha1"
    key_id: int = 1
    secret: str = ""
    shut: bool = False  # says AdminDown; BIRD never does
    graceful: bool = False  # BIRD: with graceful_restart, its end keeps the routes


@dataclasses.dataclass(frozen=True)
class BfdSession:
    """How the router sees a BFD session."""

    state: str  # "up", "init", "down" or "admin_down"
    since: str  # in the router's words; the same: no change of the state in between
    transmit_ms: int  # how often the router sends
    detection_ms: int  # after which silence it goes down


@dataclasses.dataclass(frozen=True)
class Peering:
    """One session of the router with Swerve.

    What is beyond the first four fields a make may lack: the names of the fields are those of Router.lacks.
    """

    name: str  # lower-case letters, digits and underscores: some makes use it as an identifier
    local: str
    remote: str
    remote_as: int
    dials: bool = False  # the router; else Swerve does, and the router waits
    local_as: "int | None" = None  # another than the router's own
    password: "str | None" = None  # TCP-MD5
    multihop: "int | None" = None  # hops to the neighbor
    ttl_security: bool = False  # GTSM: the neighbor is one hop away
    role: "str | None" = None  # of the router: "provider", "customer" or "peer"
    interface: "str | None" = None  # with link-local addresses
    extended_next_hop: bool = False  # RFC 8950
    two_octet: bool = False  # no four-octet AS capability (RFC 6793)
    graceful_restart: bool = False  # RFC 4724: keeps the routes of a neighbor that restarts
    honour_gshut: bool = False  # RFC 8326: LOCAL_PREF 0 for routes with the community
    bfd: "Bfd | None" = None


@dataclasses.dataclass(frozen=True)
class Route:
    """What a router holds for a prefix, written the same way for all makes."""

    origin: str  # "igp", "egp" or "incomplete"
    as_path: tuple
    next_hop: str
    med: "int | None" = None
    local_pref: "int | None" = None  # None on eBGP, where it is the router's own
    communities: frozenset = frozenset()  # "64500:100"
    extended_communities: frozenset = frozenset()  # "rt:64500:100"
    large_communities: frozenset = frozenset()  # "64500:1:2"


def differences(seen: "Route | None", wanted: Route) -> list:
    """One line for each field that is not as wanted."""
    if seen is None:
        return ["no route"]
    return [
        f"{field.name} is {_text(getattr(seen, field.name))}, wanted {_text(getattr(wanted, field.name))}"
        for field in dataclasses.fields(Route)
        if getattr(seen, field.name) != getattr(wanted, field.name)
    ]


def _text(value) -> str:
    return " ".join(str(part) for part in sorted(value)) if isinstance(value, frozenset) else str(value)


def community(text: str) -> str:
    """A community in numbers."""
    return WELL_KNOWN.get(text.lower().replace("_", ""), text)


def address(text: str) -> str:
    """The canonical form of an address, so that two spellings compare equal."""
    return str(ipaddress.ip_address(text))


class Router:
    """One router in a network namespace, with configuration, sockets and logs in the directory of its world.

    A make fills in the class attributes, write_configuration(), start(), stop() and the questions and commands below.
    Its hold time is 90 s, so that a session runs with what Swerve offers.
    """

    kind = ""  # how it is called on the command line
    title = ""  # how people call it
    programs = {}  # program: Debian package
    search = ""  # where its daemons are when they are on no PATH
    sets_kernel_routes = False
    note = ""  # what people should know who watch it in the lab
    merges_as4_path = True  # RFC 6793, where it does not offer four-octet numbers itself
    lacks = {}  # field of a peering, name of a command or key of the matrix: why this version has no such thing

    HOLD_TIME_S = 90

    def __init__(
        self,
        world,
        namespaces,
        netns: str,
        asn: int,
        router_id: str,
        peerings: list,
        kernel: bool = False,
        originates: tuple = (),
    ):
        """With `kernel`, best routes go into the routing table of the namespace; the IPv4 prefixes `originates` are
        announced to all neighbors."""
        self.world = world
        self.netns = namespaces[netns]
        self.asn = asn
        self.router_id = router_id
        self.peerings = {peering.name: peering for peering in peerings}
        self.kernel = kernel
        self.originates = originates
        self.process = None  # the one that speaks BGP
        self.write_configuration()

    @classmethod
    def unavailable(cls) -> "str | None":
        """Why this make cannot be used here; None when it can."""
        for program, package in cls.programs.items():
            if cls.program(program) is None:
                return f"{program} is missing (Debian package {package})"
        return None

    @classmethod
    def version(cls) -> str:
        """Of the Debian package, without Debian's own numbers; empty elsewhere."""
        package = next(iter(cls.programs.values()))
        try:
            done = subprocess.run(
                ["dpkg-query", "-W", "-f", "${source:Upstream-Version}", package],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except FileNotFoundError:
            return ""
        return done.stdout

    @classmethod
    def program(cls, name: str) -> "str | None":
        return shutil.which(name, path=os.pathsep.join((cls.search, os.environ.get("PATH", ""), "/usr/sbin")))

    # What a make must answer.

    def write_configuration(self):
        raise NotImplementedError

    def start(self):
        """Returns when the router answers its command line; sessions may come later."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the router's command line is there, so that an empty answer means what it says."""
        raise NotImplementedError

    def session_is_up(self, peering: str) -> bool:
        raise NotImplementedError

    def held(self, prefix: str, peering: str) -> "Route | None":
        """What the router holds for exactly this prefix from one neighbor, with the LOCAL_PREF it uses itself."""
        raise NotImplementedError

    def best(self, prefix: str) -> "str | None":
        """The peering whose route for exactly this prefix is selected."""
        raise NotImplementedError

    def reset(self, peering: str) -> str:
        """An operator's reset: the router ends the session with Cease, whose name this returns, and takes it again."""
        raise NotImplementedError

    def reload(self, peering: Peering):
        """Takes over a configuration that was written anew because this peering changed."""
        raise NotImplementedError

    def shut(self, peering: str, reason: str):
        """Ends the session for good, with a message to the neighbor (RFC 9003)."""
        raise NotImplementedError

    def open(self, peering: str):
        """Takes the session again."""
        raise NotImplementedError

    def refresh(self, peering: str):
        """Asks the neighbor to send its IPv4 routes once more (RFC 2918)."""
        raise NotImplementedError

    def bfd_session(self, peering: str) -> "BfdSession | None":
        """The BFD session with a neighbor; None when the router has none."""
        raise NotImplementedError

    # What is the same for all.

    def route(self, prefix: str, peering: str) -> "Route | None":
        """What the router was sent for exactly this prefix by one neighbor."""
        held = self.held(prefix, peering)
        if held is None or self.is_internal(peering):
            return held
        return dataclasses.replace(held, local_pref=None)

    def change(self, peering: str, **fields):
        """Gives a peering other values, in the running router."""
        self.peerings[peering] = dataclasses.replace(self.peerings[peering], **fields)
        self.write_configuration()
        self.reload(self.peerings[peering])

    def was_told(self, peering: str, text: str) -> bool:
        """Whether the router reports that a neighbor ended the session with this message."""
        return text in self.process.log_text()

    def stop(self):
        self.process.end()

    def freeze(self):
        """The whole router stands still; its kernel still acknowledges what arrives."""
        self.process.freeze()

    def thaw(self):
        self.process.thaw()

    def path(self, name: str) -> str:
        return os.path.join(self.world.directory, name)

    def write(self, name: str, text: str) -> str:
        path = self.path(name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # OpenBGPD wants it private
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def launch(self, name: str, command: list, private: str = "", **popen_options):
        """Starts a process of the router. In place of the fixed directory `private` it sees an empty one of its own,
        so that nothing has to be there and nothing stays behind."""
        around = os.path.dirname(private)
        if private and not self.world.directory.startswith(around + "/"):
            # "ip netns exec" has given the process a mount namespace of its own.
            prepare = f"mount -t tmpfs -o mode=755 tmpfs {around} && mkdir {private}"
            command = ["sh", "-c", f'{prepare} && exec "$@"', "sh", *command]
        return self.world.processes.start(name, command, self.netns, **popen_options)

    def await_ready(self, process, condition):
        wait_until(lambda: not process.is_running() or condition(), 20.0, f"{process.name} is ready", poll_s=0.02)
        if not process.is_running():
            raise RuntimeError(f"{process.name} did not start:\n{process.log_text()}")

    def ask(self, *command: str) -> str:
        """Runs a command of the router; what it prints, also when it fails, as some do for an unknown prefix."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout

    def peering_at(self, remote: str) -> "str | None":
        """The name of the peering with the neighbor at an address."""
        for peering in self.peerings.values():
            if peering.remote == remote:
                return peering.name
        return None

    def is_internal(self, peering: str) -> bool:
        return self.peerings[peering].remote_as == self.asn_of(self.peerings[peering])

    def asn_of(self, peering: Peering) -> int:
        return peering.local_as or self.asn
