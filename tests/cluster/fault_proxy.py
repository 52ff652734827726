"""Stands between a client and an API server, and makes some requests fail in the ways that networks and servers do."""

import contextlib
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3

RESET, DONE_AND_RESET = "reset", "done-and-reset"
FAULTS = ("409", "429", "500", RESET, DONE_AND_RESET)
_REASONS = {"409": "Conflict", "429": "TooManyRequests", "500": "InternalError"}
_MESSAGES = {
    "409": "the object has been modified; please apply your changes to the latest version and try again",
    "429": "too many requests, please try again later",
    "500": "Internal error occurred: etcdserver: request timed out",
}
# What belongs to one connection alone, and what is told anew.
_OWN_HEADERS = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "host", "content-length"}
_TIMEOUT = urllib3.Timeout(connect=5, read=60)


class Fault(Exception):
    """Raised by a hook: the request ends with this one of `FAULTS`."""


@dataclass
class Hooks:
    """Called in the thread of the request, which waits for them: they may block, kill somebody or raise a `Fault`.

    `path` comes without its query, and `body` parsed, None where it is empty or no JSON.
    """

    before: Callable[[str, str, Any], None] = lambda method, path, body: None
    after: Callable[[str, str, Any, int], None] = lambda method, path, body, status: None


@dataclass(frozen=True)
class _Asked:
    method: str
    target: str
    headers: dict[str, str]
    raw: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def body(self) -> Any:
        with contextlib.suppress(ValueError):
            return json.loads(self.raw)
        return None


class FaultProxy:
    """Serves plain HTTP inside a `with`. `rate`, `faults` and `hooks` may be changed while it does.

    Which request fails, and how, follows from the seed and the number of the request. `counts` has every fault by its
    name, all requests as `asked`, and as `forwarded` those that reached the server, `done-and-reset` among them; those
    that found no server are `unreachable`, and reset. What a hook raises by
    mistake is in `broken`, and raised at the end.
    """

    def __init__(self, upstream_url: str, ca: Path | None = None, seed: int = 0) -> None:
        self.rate = 0.0
        self.faults: Collection[str] = FAULTS
        self.hooks = Hooks()
        self.counts: Counter[str] = Counter()
        self.broken: list[Exception] = []
        self._upstream = upstream_url.rstrip("/")
        self._seed = seed
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager(
            maxsize=64, retries=False, timeout=_TIMEOUT, ca_certs=str(ca) if ca and ca.exists() else None
        )
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()
        self._pool.clear()
        if self.broken and error is None:
            raise self.broken[0]

    def count(self, name: str) -> int:
        with self._lock:
            self.counts[name] += 1
            return self.counts[name]

    def answer(self, asked: _Asked) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; Fault(RESET) where there is to be none."""
        fault = self._draw(self.count("asked"))
        try:
            self.hooks.before(asked.method, asked.path, asked.body)
            if fault and fault != DONE_AND_RESET:
                raise Fault(fault)
            answer = self._forward(asked)
            self.hooks.after(asked.method, asked.path, asked.body, answer[0])
            if fault:
                raise Fault(fault)
        except Fault as raised:
            return self._fail(asked, str(raised))
        return answer

    def _draw(self, number: int) -> str | None:
        dice = random.Random(f"{self._seed} {number}")  # noqa: S311 - nobody is to be surprised by it
        faults = sorted(self.faults)
        return dice.choice(faults) if faults and dice.random() < self.rate else None

    def _forward(self, asked: _Asked) -> tuple[int, dict[str, str], bytes]:
        try:
            found = self._pool.request(
                asked.method,
                self._upstream + asked.target,
                body=asked.raw or None,
                headers=asked.headers,
                redirect=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError:
            raise Fault("unreachable") from None
        self.count("forwarded")
        headers = {name: value for name, value in found.headers.items() if name.lower() not in _OWN_HEADERS}
        return found.status, headers, found.data

    def _fail(self, asked: _Asked, fault: str) -> tuple[int, dict[str, str], bytes]:
        if fault not in (*FAULTS, "unreachable"):
            raise ValueError(f"{fault} is none of {FAULTS}")
        self.count(fault)
        if fault not in _REASONS:
            raise Fault(RESET)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status |= {"message": f"{asked.method} {asked.path}: {_MESSAGES[fault]}", "reason": _REASONS[fault]}
        details = {"retryAfterSeconds": 1} if fault == "429" else {}
        headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if fault == "429" else {})
        return int(fault), headers, json.dumps({**status, "details": details, "code": int(fault)}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        self.resetting: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request in self.resetting:  # a shutdown would say goodbye first
            self.resetting.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def cut(self) -> None:
        for connection in self._open.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS}
        try:
            status, told, body = self.server.proxy.answer(_Asked(self.command, self.path, headers, raw))
        except Fault:
            return self._reset()
        except Exception as error:  # noqa: BLE001 - a hook may be wrong in any way, and that must not look like an answer
            self.server.proxy.broken.append(error)
            return self._reset()
        self.send_response_only(status)
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return self._write(body)

    def _write(self, body: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.resetting.add(self.connection)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


for _method in ("HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.do_GET)
