"""A tiny HTTP process: `stand_in.py PORT [--stubborn] [--with-worker] [--note FILE]`."""

import http.server
import os
import signal
import subprocess
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def end(*_: object) -> None:
    if "--note" in sys.argv:
        with open(sys.argv[sys.argv.index("--note") + 1], "a") as note:  # noqa: PTH123
            note.write(sys.argv[1] + "\n")
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "--stubborn" in sys.argv else end)
    if "--with-worker" in sys.argv:  # of the same process group, as a server's worker is
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"])
    server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.timeout = 1
    end_at = time.monotonic() + 300
    while time.monotonic() < end_at:
        server.handle_request()
