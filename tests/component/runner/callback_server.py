"""A callback, an artifact store and a memory that keep the container contract, over real HTTP.

What it is told to do badly, it does: be away, be slow, refuse, fence, forget.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from shared.local.state import free_port

TASK = "0198c5a2-6d1f-7c3e-9a55-3f1f2e4d5c6b"
TOKEN = "fct_1_" + "k" * 43
BASE = f"/v1/codex/tasks/{TASK}"
MAX_BODY = 1024 * 1024

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Callback:
    """The state of one attempt of one task, and how the server behaves. All of it may change at any time."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.answer_with: int | None = None  # a status for every request, None for the contract
        self.answers: list[int] = []  # statuses of the next requests, which come before `answer_with`
        self.retry_after: int | None = None
        self.hangs = threading.Event()
        self.store_hangs = threading.Event()
        self.max_body = MAX_BODY
        self.refuses: set[int] = set()  # sequence numbers that are wrong for ever
        self.loses: set[int] = set()  # sequence numbers that are confirmed once and not kept
        self.spoils = 0  # how many uploads are stored with a wrong byte
        self.puts: list[int] = []  # what the next uploads are answered instead of being stored; 0 stores one
        self.events: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.times: list[float] = []  # when each of them came
        self.batches: list[list[int]] = []
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.memories: list[dict[str, Any]] = []
        self.questions: list[dict[str, Any]] = []
        self.port = free_port()
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE}"

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events that are kept, in the order of their first arrival."""
        return [event["eventType"] for event in self._kept()]

    @property
    def sequences(self) -> list[int]:
        return [event["sequence"] for event in self._kept()]

    def said(self, kind: str) -> list[Any]:
        return [event["content"] for event in self._kept() if event["eventType"] == kind]

    def _kept(self) -> list[dict[str, Any]]:
        # A copy, made at once: more may come while a test looks at them.
        return list(self.events.values())

    def start(self) -> None:
        """Listens, on the same port every time."""
        callback = self

        class Handler(_Handler):
            pass

        Handler.callback = callback
        self._server = _Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Connections are refused from here on."""
        self._released.set()
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(10)
        self._server = self._thread = None

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        hangs = self.hangs.is_set() or (method == "PUT" and self.store_hangs.is_set())
        status, retry_after = self.answer_with, self.retry_after
        # Whoever sees that it came may tell the server to behave otherwise with the next.
        with self._lock:
            status = self.answers.pop(0) if self.answers else status
            self.times.append(time.monotonic())
            self.requests.append((method, path, headers))
        if hangs:
            self._released.wait(120)
            return 503, {}, {}
        if status is not None:
            asked = {} if retry_after is None else {"Retry-After": str(retry_after)}
            return status, {"type": "urn:facteur:problem:test"}, asked
        with self._lock:
            return self._route(method, path, headers, body)

    def _route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT" and path.startswith("/store/"):
            return self._put(path.removeprefix("/store/"), body)
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"type": "urn:facteur:problem:unauthenticated"}, {}
        if len(body) > self.max_body:
            return 413, {"type": "urn:facteur:problem:toolarge"}, {}
        if path == f"{BASE}/events":
            return self._record(json.loads(body))
        if path == f"{BASE}/artifacts":
            return self._promise(json.loads(body))
        if path.startswith(f"{BASE}/artifacts/") and path.endswith("/commit"):
            return self._commit(path.split("/")[-2])
        if path.startswith(f"{BASE}/memory"):
            self.questions.append({"path": path, **(json.loads(body) if body else {})})
            return 200, {"results": self.memories, "degraded": False, "model": "test"}, {}
        return 404, {}, {}

    def _record(self, sent: Any) -> Answer:
        batch = sent if isinstance(sent, list) else [sent]
        self.batches.append([event["sequence"] for event in batch])
        if any(event["sequence"] in self.refuses and event["eventType"] != "log" for event in batch):
            return 422, {"type": "urn:facteur:problem:rejected"}, {}
        fresh = [event for event in batch if event["eventId"] not in self.events]
        if fresh and any(kind in ("completed", "failed") for kind in self.kinds):
            return 409, {"type": "urn:facteur:problem:fenced"}, {}
        for event in fresh:
            if event["sequence"] in self.loses:
                self.loses.remove(event["sequence"])
            else:
                self.events[event["eventId"]] = event
        known = set(self.sequences)
        gaps = [[number, number] for number in range(1, max(known, default=0)) if number not in known]
        body = {"accepted": len(fresh), "duplicates": len(batch) - len(fresh), "gaps": gaps, "status": "running"}
        return 200, body, {}

    def _promise(self, asked: dict[str, Any]) -> Answer:
        artifact = str(uuid5(NAMESPACE_URL, json.dumps(asked, sort_keys=True)))
        self.artifacts.setdefault(artifact, {**asked, "content": None, "pieces": {}, "committed": False})
        names = [f"{artifact}.{number}" for number, _ in enumerate(asked.get("parts", []))] or [artifact]
        url = f"http://127.0.0.1:{self.port}/store"
        uploads = [{"method": "PUT", "url": f"{url}/{name}", "headers": {"X-Signed": "1"}} for name in names]
        told = {"parts": uploads} if "parts" in asked else {"upload": uploads[0]}
        return 201, {"artifactId": artifact, **told}, {}

    def _put(self, name: str, body: bytes) -> Answer:
        if self.puts and (status := self.puts.pop(0)):
            return status, {}, {}
        self.spoils -= 1
        artifact, _, number = name.partition(".")
        kept = self.artifacts[artifact]
        kept["pieces"][int(number or 0)] = body if self.spoils < 0 else body + b"?"
        kept["content"] = b"".join(piece for _, piece in sorted(kept["pieces"].items()))
        return 204, {}, {}

    def _commit(self, artifact: str) -> Answer:
        kept = self.artifacts[artifact]
        digest = hashlib.sha256(kept["content"]).hexdigest()
        if (len(kept["content"]), digest) != (kept["size"], kept["sha256"]):
            return 422, {"type": "urn:facteur:problem:rejected"}, {}
        kept["committed"] = True
        return 200, {"artifactId": artifact, "size": kept["size"], "sha256": digest, "uri": f"file:///{artifact}"}, {}


class _Handler(BaseHTTPRequestHandler):
    callback: Callback

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, answer, headers = self.callback.handle(self.command, self.path, dict(self.headers), body)
        content = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names are http.server's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed or give up are what these tests are about."""


@contextmanager
def running() -> Iterator[Callback]:
    callback = Callback()
    callback.start()
    try:
        yield callback
    finally:
        callback.stop()
