"""A client of swerved's control socket (docs/api.md)."""

import http.client
import json
import socket
import urllib.parse


class Refused(Exception):
    """An error answer of the daemon; `code` as in docs/api.md."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float):
        super().__init__("swerve", timeout=timeout_s)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Control:
    def __init__(self, path: str, timeout_s: float = 5.0):
        self.path = path
        self._timeout_s = timeout_s

    def get(self, target: str, **query) -> dict:
        if query:
            target += "?" + urllib.parse.urlencode(query)
        return self._ask("GET", target, None)

    def post(self, target: str, **body) -> dict:
        return self._ask("POST", target, json.dumps(body))

    def answers(self) -> bool:
        try:
            self.get("/v1/status")
            return True
        except (OSError, http.client.HTTPException, Refused):
            return False

    def neighbor(self, name: str) -> dict:
        return self.get("/v1/neighbors/" + urllib.parse.quote(name))["neighbors"][0]

    def session_is_up(self, name: str) -> bool:
        return self.neighbor(name)["state"] == "established"

    def best_neighbor(self, prefix: str) -> "str | None":
        """At a collector: through whom the prefix is reached."""
        for route in self.get("/v1/routes", prefix=prefix)["received"]:
            if route["best"] and route["prefix"] == prefix:
                return route["neighbor"]
        return None

    def last_event_id(self) -> int:
        events = self.get("/v1/events")["events"]
        return events[-1]["id"] if events else 0

    def last_failover_id(self) -> int:
        records = self.get("/v1/failovers")["failovers"]
        return records[0]["id"] if records else 0

    def failover_after(self, record_id: int) -> "dict | None":
        """The oldest complete record that is younger than `record_id`."""
        younger = [r for r in self.get("/v1/failovers")["failovers"] if r["id"] > record_id and r["complete"]]
        return younger[-1] if younger else None

    def best_path_event(self, since_id: int, prefix: str, **wanted) -> "dict | None":
        """The first best_path event after `since_id` whose detail has the `wanted` values ("from_", "to")."""
        expected = {key.rstrip("_"): value for key, value in wanted.items()}
        for event in self.get("/v1/events", since=since_id)["events"]:
            if event["type"] != "best_path" or event["detail"]["prefix"] != prefix:
                continue
            if all(event["detail"][key] == value for key, value in expected.items()):
                return event
        return None

    def _ask(self, method: str, target: str, body: "str | None") -> dict:
        connection = _UnixConnection(self.path, self._timeout_s)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, target, body, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise Refused(answer["error"]["code"], answer["error"]["message"])
        return answer
