"""A stand-in for a function: it verifies what Discord sends, and answers what it is told to."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.discord.simulator import KEY
from tests.serving import serving


class Application:
    """A function that answers what it is told to, after doing what it is told to do."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"type": 5}
        self.before: Callable[[], None] = lambda: None
        self.came: list[Any] = []
        self.url = ""


@contextmanager
def application() -> Iterator[Application]:
    told = Application()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signature = bytes.fromhex(self.headers["X-Signature-Ed25519"])
            KEY.verify_key.verify(self.headers["X-Signature-Timestamp"].encode() + body, signature)
            told.came.append(json.loads(body))
            told.before()
            data = json.dumps(told.answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as told.url:
        yield told
