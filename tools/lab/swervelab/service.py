"""A service a site stands on: a small HTTP server that names its site. Run as a program of its own, so that it can be
killed and frozen like any other.

    service.py NAME ADDRESS PORT PID_FILE
"""

import http.server
import os
import socket
import sys


def main():
    name, address, port, pid_file = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"served by {name}\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        request_queue_size = 128

    server = Server((address, port), Handler)
    with open(pid_file + ".new", "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    os.rename(pid_file + ".new", pid_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
