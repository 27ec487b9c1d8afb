"""A fake of swerved's control socket: canned answers in the shape of docs/api.md, for tests of the client alone.

It says in every answer's Server header that it is a fake; what the real daemon answers is the daemon's own tests' business.
"""

import json
import os
import socketserver
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake-swerved/1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, body):
        daemon = self.server.daemon
        daemon.requests.append((self.command, self.path, body))
        if self.path.startswith("/v1/events?follow=1"):
            self.follow(daemon)
            return
        status, content = daemon.answer_to(self.command, self.path)
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)
        self.close_connection = True

    def follow(self, daemon):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in daemon.live:
            # Cut in two, for lines do not respect chunks.
            line = json.dumps(event).encode() + b"\n"
            for piece in (line[:7], line[7:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
        daemon.ends.wait(20)
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32

    def handle_error(self, request, client_address):
        """A client that hangs up early is part of the tests."""


class FakeDaemon:
    """Answers by path. A list of answers is given one after the other, its last one for ever."""

    def __init__(self, answers=None, live=()):
        self.answers = dict(answers or {})
        self.live = list(live)
        self.requests = []
        self.ends = threading.Event()

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="swerve-fake-")
        self.socket = os.path.join(self.directory.name, "control.sock")
        self.server = Server(self.socket, Handler)
        self.server.daemon = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.server.shutdown()
        self.server.server_close()
        self.directory.cleanup()

    def answer_to(self, method, path):
        found = self.answers.get(unquote(path), self.answers.get(f"{method} {unquote(path)}"))
        if found is None:
            return 404, error("not_found", f"no such path: {path}")
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, tuple) else (200, found)


def document(schema, **fields):
    return {"schema": f"swerve.{schema}/1", "time": "2026-11-21T05:30:00.000000Z", "boottime_ns": time.monotonic_ns(), **fields}


def error(code, message, hint=""):
    return document("error", error={"code": code, "message": message, "hint": hint})
