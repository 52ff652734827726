"""A Kubernetes API server in this process, on a port of loopback: the part of it that facteur uses."""

import contextlib
import json
import secrets
import shutil
import socket
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.fake.front import Front
from tests.cluster.fake.garbage import collect
from tests.cluster.fake.jobs import JobController
from tests.cluster.fake.requests import parse
from tests.cluster.fake.store import Store

_STEP_SECONDS = 0.02
_IDLE_SECONDS = 0.2


class FakeApiServer:
    """Serves inside a `with`, or from `start` to `stop`; what is stored outlives a stop, and so does the port.

    `credentials` is a folder with the `token` of somebody who may do everything; without one a folder is made.
    """

    def __init__(self, credentials: Path | None = None, port: int = 0) -> None:
        self._temporary = credentials is None
        self.credentials = credentials or Path(tempfile.mkdtemp(prefix="facteur-fake-api-"))
        self.credentials.mkdir(parents=True, exist_ok=True)
        token = secrets.token_urlsafe(24)
        (self.credentials / "token").write_text(token, encoding="ascii")
        self._store = Store()
        self._front = Front(self._store, token)
        self._jobs = JobController(self._store, self._front.objects)
        self._port = port
        self._server: _Server | None = None
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def asked(self) -> Counter[str]:
        """How often was asked for what, as in `create jobs` or `patch pods/status`."""
        return self._front.asked

    def revoke(self, token: str) -> None:
        """The token is good for nothing from now on, as if it had expired."""
        self._front.access.revoke(token)

    def expire_pages(self) -> None:
        """Lists that are half told cannot be continued any more: 410."""
        self._front.pages.expire()

    def start(self) -> None:
        self._stopped.clear()
        self._server = _Server(self._port, self._front)
        self._port = self._server.server_address[1]
        serving = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._threads = [serving, threading.Thread(target=self._control, daemon=True)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Refuse and cut all connections, as a server that is gone."""
        if self._server is None:
            return
        self._stopped.set()
        self._store.touched.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self.credentials, ignore_errors=True)

    def _control(self) -> None:
        while not self._stopped.wait(_STEP_SECONDS):
            self._store.touched.wait(_IDLE_SECONDS)
            self._store.touched.clear()
            with self._store.lock:
                self._jobs.step()
                collect(self._store)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, front: Front) -> None:
        self.front = front
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
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
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization, content_type = self.headers.get("Authorization"), self.headers.get("Content-Type", "")
        request = parse(self.command, self.path, authorization, content_type, body)
        try:
            status, answer = self.server.front.answer(request)
        except Exception as error:  # noqa: BLE001 - a mistake of the fake is an answer too
            told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500}
            status, answer = 500, told | {"reason": "InternalError", "message": f"Internal error occurred: {error!r}"}
        self._send(status, answer)

    def _send(self, status: int, answer: object) -> None:
        text = isinstance(answer, str)
        body = str(answer).encode() if text else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8" if text else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


for _method in ("HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.do_GET)
