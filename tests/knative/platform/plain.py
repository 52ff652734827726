"""A plain server for a Knative Service: says which pod it is, and that it ends `?seconds=` later."""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        first, last = f"{os.environ['HOSTNAME']}\n".encode(), b"end\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(first + last)))
        self.end_headers()
        self.wfile.write(first)
        time.sleep(float(asked.get("seconds", ["0"])[0]))
        self.wfile.write(last)


def _end(_: int, __: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    # The first process of a container ignores what it does not handle.
    signal.signal(signal.SIGTERM, _end)
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
