"""The parties of tools/bench/mass: who announces a table to a receiver and withdraws it, and what that takes."""

import os
import re
import signal
import socket

from receiver import Receiver
from swervelab.clock import boottime_ns, wait_until
from swervelab.world import World, free_port

RECEIVER, STUCK_RECEIVER, SERVICE = "127.0.0.1", "127.0.2.1", "127.0.1.1"
PATIENCE_S = 120.0

SWERVE = """\
site: bench
local_as: 64500
router_id: 192.0.2.1
state_dir: {directory}/{name}
control: {{socket: {directory}/{name}.sock}}
owned: [10.0.0.0/8]
damping: {{profile: none, changes_per_hour: 0}}
neighbors:
{neighbors}
checks:
  service: {{process: {{pid_file: {pid_file}}}, on_event: trust, interval: 100ms, rise: 1}}
services:
  portal: {{prefixes_file: {prefixes}, healthy_when: service}}
"""

NEIGHBOR = """\
  {name}:
    address: {receiver}
    port: {port}
    remote_as: 64496
    local_address: 127.0.0.2
    export: {{next_hop: {{ipv4: 192.0.2.1}}}}
"""

BIRD = """\
router id 192.0.2.2;
protocol device {{ }}
protocol static mass {{
  disabled;
  ipv4;
  include "{routes}";
}}
protocol bgp receiver {{
  local {local} as 64500;
  neighbor {receiver} port {port} as 64496;
  multihop;
  connect delay time 1;
  ipv4 {{ import none; export all; next hop address 192.0.2.1; }};
}}
"""


class Table:
    """So many /32 of 10.0.0.0/8, in a file."""

    def __init__(self, world: World, count: int):
        if not 0 < count < 1 << 24:
            raise ValueError("10.0.0.0/8 has room for 1 to 16777215 prefixes")
        self.count = count
        self.file = os.path.join(world.directory, "prefixes.txt")
        with open(self.file, "w", encoding="ascii") as file:
            file.writelines(prefix + "\n" for prefix in self.prefixes())

    def prefixes(self):
        return (f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32" for i in range(self.count))


class Heard:
    """One receiver's view of one change of the whole table."""

    def __init__(self, receiver: Receiver, kind: str, count: int):
        self._receiver = receiver
        self._kind = kind
        receiver.ask("count", kind, count, answer="counting")
        self._position = receiver.position()

    def last_ns(self) -> int:
        """When the last prefix was heard."""
        event = self._receiver.wait("counted", PATIENCE_S, self._position)
        if self._kind == "withdrawn" and int(event["digest"], 16) != 0:
            raise RuntimeError(f"{self._receiver.name}: as many were withdrawn as announced, but not the same ones")
        return event["at_ns"]

    def digest(self) -> str:
        return self._receiver.wait("counted", PATIENCE_S, self._position)["digest"]


def memory_mib(pid: int, field: str) -> float:
    """VmHWM (the peak) or VmRSS of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.M)[1]) / 1024


class Party:
    """A speaker and its receiver. announce() and withdraw() return milliseconds until the last prefix was heard."""

    name = ""

    def __init__(self, world: World, table: Table):
        self.world = world
        self.table = table
        self.receiver = Receiver(world, "receiver-of-" + self.name, RECEIVER)
        self.receivers = [self.receiver]
        self.digest = None  # of what was announced

    def announce(self) -> float:
        heard = Heard(self.receiver, "announced", self.table.count)
        begin_ns = self.begin_announcing()
        took_ms = (heard.last_ns() - begin_ns()) / 1e6
        self.digest = heard.digest()
        return took_ms

    def withdraw(self) -> float:
        heard = Heard(self.receiver, "withdrawn", self.table.count)
        begin_ns = self.begin_withdrawing()
        return (heard.last_ns() - begin_ns()) / 1e6

    def peak_mib(self) -> "float | None":
        return None

    def close(self):
        """The speakers' processes are the world's to end."""
        for receiver in self.receivers:
            receiver.close()


class Floor(Party):
    """A second receiver that has the messages ready."""

    name = "floor"

    def start(self):
        self.sender = Receiver(self.world, "sender", RECEIVER, 64500, dial=self.receiver.port, prefixes=self.table.file)
        self.receivers.append(self.sender)
        self.sender.wait("established", PATIENCE_S)

    def _send(self, what: str):
        position = self.sender.position()
        self.sender.tell("send", what)
        return lambda: self.sender.wait("sent", PATIENCE_S, position)["begin_ns"]

    def begin_announcing(self):
        return self._send("announce")

    def begin_withdrawing(self):
        return self._send("withdraw")


class Swerve(Party):
    """Announcing counts from the end of a drain by command, withdrawing from the kill of the service."""

    name = "swerve"

    def start(self):
        self.launch({RECEIVER: self.receiver})
        self.receiver.wait("established", PATIENCE_S)

    def launch(self, receivers: dict):
        text = "".join(
            NEIGHBOR.format(name=receiver.name, receiver=address, port=receiver.port)
            for address, receiver in receivers.items()
        )
        self.daemon = self.world.daemon(
            self.name,
            SWERVE.format(
                name=self.name,
                directory=self.world.directory,
                neighbors=text.rstrip(),
                pid_file=self.world.pid_file(self.name),
                prefixes=self.table.file,
            ),
        )
        self.daemon.start()

    def begin_announcing(self):
        """The service is up, and only a drain holds it back."""
        control = self.daemon.control
        control.post("/v1/drain", service="portal")
        self.service = self.world.service(self.name, SERVICE, free_port(SERVICE))
        wait_until(lambda: control.get("/v1/services/portal")["services"][0]["verdict"] == "up", 10.0, "the service is up")
        begin_ns = boottime_ns()
        control.post("/v1/undrain", service="portal")
        return lambda: begin_ns

    def begin_withdrawing(self):
        killed = boottime_ns()
        self.service.signal(signal.SIGKILL)
        return lambda: killed

    def peak_mib(self):
        return memory_mib(self.daemon.process.pid, "VmHWM")

    def rss_mib(self):
        return memory_mib(self.daemon.process.pid, "VmRSS")


class Bird(Party):
    """Static routes that are there already, switched on and off at its control socket."""

    name = "bird"

    def start(self):
        routes = os.path.join(self.world.directory, "routes.conf")
        with open(routes, "w", encoding="ascii") as file:
            file.writelines(f"route {prefix} blackhole;\n" for prefix in self.table.prefixes())
        config = os.path.join(self.world.directory, "bird.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(BIRD.format(routes=routes, receiver=RECEIVER, port=self.receiver.port, local="127.0.0.9"))
        self._control = os.path.join(self.world.directory, "bird.ctl")
        command = ["bird", "-f", "-c", config, "-s", self._control, "-P", self._control + ".pid"]
        self.process = self.world.processes.start("bird", command)
        try:
            self.receiver.wait("established", PATIENCE_S)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; bird says:\n{self.process.log_text()}") from error

    def _command(self, text: str):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(self._control)
            connection.recv(4096)  # its greeting
            begin_ns = boottime_ns()
            connection.sendall(text.encode() + b"\n")
            connection.recv(4096)
        return lambda: begin_ns

    def begin_announcing(self):
        return self._command("enable mass")

    def begin_withdrawing(self):
        return self._command("disable mass")

    def peak_mib(self):
        return memory_mib(self.process.pid, "VmHWM")
