"""A subscriber in the process of a test: answers as told, and keeps what it was sent."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request. The names of `headers` are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def type(self) -> str:
        return self.headers.get("ce-type", "")


class Recorder:
    """Listens inside a `with` at `url`, which pods reach; `answer` gives the status for each delivery."""

    def __init__(self, address: str, answer: Callable[[Delivery], int] = lambda _: 202) -> None:
        self._answer = answer
        self._seen: list[Delivery] = []
        self._news = threading.Condition()
        self._server = ThreadingHTTPServer((address, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://{address}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, wanted: Callable[[Delivery], bool], count: int, seconds: float) -> list[Delivery]:
        """The deliveries that are wanted, once there are as many as `count`; or as many as came in the time."""
        until = time.monotonic() + seconds
        with self._news:
            while len(found := [each for each in self._seen if wanted(each)]) < count:
                left = until - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    break
            return found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", "0")))
                delivery = Delivery(self.path, headers, body)
                status = recorder._answer(delivery)
                with recorder._news:
                    recorder._seen.append(delivery)
                    recorder._news.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Its requests are kept, not printed."""

        return Handler
