"""A model that speaks the Responses API as server-sent events, and does request by request what a test scripted."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from uuid import uuid4

from tests.serving import serving

API_KEY = "sk-the-key-of-the-model-that-must-never-be-told"
PATH = "/v1/responses"

Json = dict[str, Any]


class Turn(Protocol):
    """How the model reacts to one request."""

    def take(self, reply: "Reply") -> None: ...


@dataclass(frozen=True)
class Usage:
    """The tokens of one answer as the API counts: cached ones are part of the input, reasoning of the output."""

    input: int = 100
    cached: int = 40
    output: int = 20
    reasoning: int = 5

    def document(self) -> Json:
        return {
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input + self.output,
        }


@dataclass(frozen=True)
class Answers:
    """Says its items and completes."""

    items: Sequence[Json]
    usage: Usage = Usage()

    def take(self, reply: "Reply") -> None:
        reply.begin()
        for item in self.items:
            reply.item(item)
        reply.event("response.completed", response={"id": reply.id, "usage": self.usage.document()})


@dataclass(frozen=True)
class BreaksOff:
    """Says its items, and the connection ends before the answer does."""

    items: Sequence[Json] = ()

    def take(self, reply: "Reply") -> None:
        reply.begin()
        for item in self.items:
            reply.item(item)


@dataclass(frozen=True)
class Fails:
    """An answer that ends as failed."""

    message: str
    code: str = "server_error"

    def take(self, reply: "Reply") -> None:
        reply.begin()
        error = {"code": self.code, "message": self.message}
        reply.event("response.failed", response={"id": reply.id, "status": "failed", "error": error})


@dataclass(frozen=True)
class Refuses:
    """An HTTP error."""

    status: int
    message: str
    retry_after: int | None = None

    def take(self, reply: "Reply") -> None:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        reply.refuse(self.status, self.message, headers)


@dataclass(frozen=True)
class Hangs:
    """Begins an answer and says nothing more until the test is over."""

    def take(self, reply: "Reply") -> None:
        reply.begin()
        reply.model.over.wait(60)


def message(text: str) -> Json:
    """What the model says to people."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": f"msg_{uuid4().hex}", "role": "assistant", "content": content}


def thought(text: str) -> Json:
    """The summary of what the model thinks."""
    summary = [{"type": "summary_text", "text": text}]
    return {"type": "reasoning", "id": f"rs_{uuid4().hex}", "summary": summary, "encrypted_content": None}


def shell(command: str, wait_seconds: float = 10) -> Json:
    """Asks for a command, and for its output when it is done or after some seconds."""
    arguments = {"cmd": command, "login": False, "yield_time_ms": int(wait_seconds * 1000)}
    return {"type": "function_call", **_ids("fc"), "name": "exec_command", "arguments": json.dumps(arguments)}


def patch(text: str) -> Json:
    """Asks for a change of files, in the CLI's own format of patches."""
    return {"type": "custom_tool_call", **_ids("ctc"), "name": "apply_patch", "input": text, "status": "completed"}


def _ids(kind: str) -> Json:
    return {"id": f"{kind}_{uuid4().hex}", "call_id": f"call_{uuid4().hex}"}


class Model:
    """The script, and what came. After its last turn it stays with that one."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.url = ""
        self.requests: list[Json] = []
        self.faults: list[str] = []
        self.over = threading.Event()
        self._turns = list(turns)
        self._lock = threading.Lock()

    @property
    def prompt(self) -> str:
        """The last that the first request holds."""
        (content,) = self.requests[0]["input"][-1]["content"]
        return str(content["text"])

    @property
    def outputs(self) -> list[str]:
        """What the model's calls gave, in the order in which it was told."""
        kinds = ("function_call_output", "custom_tool_call_output")
        return [item["output"] for item in self.requests[-1]["input"] if item["type"] in kinds]

    def next_turn(self, request: Json) -> Turn:
        with self._lock:
            self.requests.append(request)
            return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]


class Reply:
    """One answer on its way."""

    def __init__(self, model: Model, handler: BaseHTTPRequestHandler) -> None:
        self.id = f"resp_{uuid4().hex}"
        self.model = model
        self._handler = handler
        self._events = 0
        self._items = 0

    def begin(self) -> None:
        self._head(200, {"Content-Type": "text/event-stream"})
        self.event("response.created", response={"id": self.id, "status": "in_progress"})

    def item(self, item: Json) -> None:
        for step in ("added", "done"):
            self.event(f"response.output_item.{step}", output_index=self._items, item=item)
        self._items += 1

    def event(self, kind: str, **content: Any) -> None:
        data = json.dumps({"type": kind, "sequence_number": self._events, **content})
        self._handler.wfile.write(f"event: {kind}\ndata: {data}\n\n".encode())
        self._events += 1

    def refuse(self, status: int, message: str, headers: dict[str, str]) -> None:
        body = json.dumps({"error": {"message": message, "type": "test", "code": None}}).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers})
        self._handler.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()


class _Handler(BaseHTTPRequestHandler):
    model: Model

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        reply = Reply(self.model, self)
        if fault := self._fault(body):
            self.model.faults.append(fault)
            reply.refuse(400, fault, {})
            return
        self.model.next_turn(json.loads(body)).take(reply)

    do_GET = do_POST  # noqa: N815 - the name is http.server's

    def _fault(self, body: bytes) -> str:
        """What is wrong with a request to the Responses API, "" if nothing is."""
        if (self.command, self.path) != ("POST", PATH):
            return f"{self.command} {self.path} is no request for a response"
        if self.headers.get("Authorization") != f"Bearer {API_KEY}":
            return "the key is wrong"
        request = json.loads(body)
        if request.get("stream") is not True or not request.get("model"):
            return "a request names a model and wants a stream"
        return _fault_of_input(request.get("input"))

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _fault_of_input(items: Any) -> str:
    if not (items and isinstance(items, list) and all(isinstance(item, dict) and "type" in item for item in items)):
        return "the input is a list of items with types"
    calls = {item["call_id"] for item in items if str(item["type"]).endswith("_call")}
    outputs = {item["call_id"] for item in items if str(item["type"]).endswith("_call_output")}
    return "" if calls == outputs else "each call has its output, and no other call has one"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are what these tests are about."""


@contextmanager
def model_of(*turns: Turn) -> Iterator[Model]:
    """A model that listens."""
    scripted = Model(turns)

    class Handler(_Handler):
        model = scripted

    server = _Server(("127.0.0.1", 0), Handler)
    with serving(server) as url:
        scripted.url = f"{url}/v1"
        try:
            yield scripted
        finally:
            scripted.over.set()
