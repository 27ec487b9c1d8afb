"""The neutral receiver (bench_receiver) as the benches use it: a process of its own that stamps and counts what it hears."""

import json
import subprocess
import threading

from swervelab.world import World, binary


class Receiver:
    """One neighbor. With `dial` it calls another receiver, to send it the stream made of `prefixes`."""

    def __init__(
        self,
        world: World,
        name: str,
        address: str,
        local_as: int = 64496,
        dial: "int | None" = None,
        each: bool = False,
        prefixes: "str | None" = None,
        receive_buffer: "int | None" = None,
    ):
        command = [binary("bench_receiver"), "--as", str(local_as)]
        command += ["--listen", address] if dial is None else ["--dial", address, "--port", str(dial)]
        command += ["--each"] if each else []
        command += ["--prefixes", prefixes] if prefixes else []
        command += ["--receive-buffer", str(receive_buffer)] if receive_buffer else []
        self.name = name
        self._changed = threading.Condition()
        self._events = []
        self._ended = False
        # It ends with its input, so it outlives neither this process nor close().
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=world.directory
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = dial if dial is not None else self.wait("listening", 10.0)["port"]

    def tell(self, *words):
        """One command; what it leads to comes as events."""
        self._popen.stdin.write(" ".join(map(str, words)) + "\n")
        self._popen.stdin.flush()

    def ask(self, *words, answer: str) -> dict:
        """One command and the first event `answer` behind it."""
        with self._changed:
            position = len(self._events)
        self.tell(*words)
        return self.wait(answer, 10.0, position)

    def position(self) -> int:
        """Behind the last event so far."""
        with self._changed:
            return len(self._events)

    def wait(self, event: str, timeout_s: float, position: int = 0, condition=lambda _: True) -> dict:
        """The first `event` from `position` on that fulfils the condition."""

        def found():
            return next((e for e in self._events[position:] if e["event"] == event and condition(e)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, timeout_s)
            if found() is None:
                raise TimeoutError(f"{self.name}: no {event} within {timeout_s:g} s")
            return found()

    def count(self, event: str) -> int:
        with self._changed:
            return sum(e["event"] == event for e in self._events)

    def times(self, event: str) -> list:
        """When each of them was, in nanoseconds."""
        with self._changed:
            return [e["at_ns"] for e in self._events if e["event"] == event]

    def last(self, event: str) -> "dict | None":
        with self._changed:
            return next((e for e in reversed(self._events) if e["event"] == event), None)

    def close(self):
        self._popen.stdin.close()
        self._popen.wait()
        self._reader.join()
        self._popen.stdout.close()

    def _read(self):
        for line in self._popen.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
