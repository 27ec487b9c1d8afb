"""An API process of ExaBGP: keeps what the neighbors announced, and passes commands on.

    exabgp_recorder.py SOCKET

ExaBGP writes one JSON object a line to standard input and reads commands from standard output. A client of the Unix
socket sends one line: "state" is answered with {address: {"state": …, "routes": {prefix: …}}}, any other line is a
command for ExaBGP and answered with {}.
"""

import json
import socketserver
import sys
import threading


class Table:
    def __init__(self):
        self._lock = threading.Lock()
        self._neighbors = {}

    def take(self, message: dict):
        if "neighbor" not in message:
            return
        with self._lock:
            known = self._neighbors.setdefault(
                message["neighbor"]["address"]["peer"], {"state": "down", "routes": {}}
            )
            if message["type"] == "state":
                known["state"] = message["neighbor"]["state"]
                if known["state"] != "up":
                    known["routes"] = {}
            elif message["type"] == "update":
                self._update(known["routes"], message["neighbor"]["message"].get("update", {}))

    @staticmethod
    def _update(routes: dict, update: dict):
        for prefixes in update.get("withdraw", {}).values():
            for prefix in prefixes:
                routes.pop(prefix["nlri"], None)
        for next_hops in update.get("announce", {}).values():
            # A link-local next hop stands behind the global one; the latter counts.
            for next_hop, prefixes in reversed(next_hops.items()):
                for prefix in prefixes:
                    routes[prefix["nlri"]] = {"next_hop": next_hop, "attribute": update["attribute"]}

    def text(self) -> str:
        with self._lock:
            return json.dumps(self._neighbors)


def main():
    table = Table()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            request = self.rfile.readline().decode().strip()
            if request == "state":
                self.wfile.write(table.text().encode())
                return
            sys.stdout.write(request + "\n")
            sys.stdout.flush()
            self.wfile.write(b"{}")

    server = socketserver.ThreadingUnixStreamServer(sys.argv[1], Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        if line.startswith("{"):
            table.take(json.loads(line, strict=False))  # reasons have raw control characters in them


if __name__ == "__main__":
    main()
