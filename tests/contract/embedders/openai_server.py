"""A real HTTP server that plays the embeddings API: its limits, and the faults it is told to have."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any

from tests.serving import serving

KEY = "sk-test-9f8e7d6c5b4a39281706"


@dataclass
class Answer:
    """What the server says. `body` may be bytes that are no JSON; `cut` ends it after half of them."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def vector(text: str, dimension: int) -> list[float]:
    """A vector that depends on nothing but the text, and is not of unit length."""
    digest = sha256(text.encode()).digest() * (dimension // 32 + 1)
    return [float(byte) + 1.0 for byte in digest[:dimension]]


def well(request: Mapping[str, Any]) -> Answer:
    """The right answer, in the wrong order: the API promises an index, not an order."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text, request["dimensions"])}
        for index, text in enumerate(request["input"])
    ]
    return Answer(body={"object": "list", "data": data[::-1], "model": request["model"]})


def refusal(status: int, message: str, **error: Any) -> Answer:
    return Answer(status, {"error": {"message": message, "type": "invalid_request_error", **error}})


class OpenAIServer(ThreadingHTTPServer):
    """Answers `respond(request body)` and keeps every request body and Authorization header."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond: Callable[[Mapping[str, Any]], Answer] = well
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.stopping = Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: OpenAIServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        self.server.keys.append(self.headers["Authorization"])
        known = self.path == "/v1/embeddings"
        answer = self.server.respond(request) if known else refusal(404, "Unknown request URL")
        if answer.hang:
            self.server.stopping.wait(30)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.raw)))
        self.end_headers()
        self.wfile.write(answer.raw[: len(answer.raw) // 2] if answer.cut else answer.raw)
        self.close_connection = answer.cut

    def log_message(self, *_: Any) -> None:
        """Keeps the test output clean."""


@contextmanager
def openai_server() -> Iterator[OpenAIServer]:
    server = OpenAIServer()
    with serving(server):
        try:
            yield server
        finally:
            server.stopping.set()
