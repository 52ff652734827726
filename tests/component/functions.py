"""Runs one function as it is deployed: its own process, the real server, settings from the environment."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3
from nacl.signing import SigningKey

import shared.local
from shared.events import codec
from shared.events.event import Event
from shared.local.state import free_port
from tests.component.roles import in_its_role
from tests.patience import PATIENCE
from tests.serving import serving

FUNCTIONS = ("discord-interaction", "codex-intake", "dispatcher", "callback", "embedder", "memory-query")
API_TOKEN = "an-api-token-that-must-never-be-logged"
READ_ONLY_TOKEN = "a-token-that-may-only-read"
TOKEN_SECRET = "the-key-of-task-tokens-that-must-never-be-logged"
DISCORD = SigningKey(b"\x07" * 32)
HTTP = urllib3.PoolManager(retries=False, timeout=PATIENCE)
# A server that refuses a body may close: the next request is not to find that connection.
POLICY = Path(shared.local.__file__).with_name("policy.yaml")
_ONCE = {"Connection": "close"}


@dataclass
class Function:
    """A running function."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def post(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        return HTTP.request("POST", self.url + path, body=body, headers={**_ONCE, **(headers or {})})

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        return HTTP.request("GET", self.url + path, headers={**_ONCE, **(headers or {})})

    def deliver(self, event: Event) -> urllib3.BaseHTTPResponse:
        headers, body = codec.encode(event)
        return self.post("/", body, headers)


def authorised(token: str = API_TOKEN, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


def settings(dsn: str, sink: str, folder: Path, redis_url: str = "redis://127.0.0.1:1") -> dict[str, str]:
    """The environment of any function."""
    tokens = [
        ("tests", API_TOKEN, ["tasks:write", "tasks:read", "memory:read"]),
        ("reader", READ_ONLY_TOKEN, ["tasks:read"]),
    ]
    callers = [
        {"caller": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": scopes}
        for name, token, scopes in tokens
    ]
    return {
        "FACTEUR_POSTGRES_DSN": dsn,
        "FACTEUR_REDIS_URL": redis_url,
        "K_SINK": sink,
        "FACTEUR_API_TOKENS": json.dumps(callers),
        "FACTEUR_TOKEN_SECRET": TOKEN_SECRET,
        "FACTEUR_CALLBACK_URL": "http://callback.test",
        "FACTEUR_MEMORY_URL": "http://memory.test",
        "FACTEUR_ARTIFACTS_DIR": str(folder / "artifacts"),
        "FACTEUR_JOBS_DIR": str(folder / "jobs"),
        "FACTEUR_RUNNER_COMMAND": '["true"]',
        "FACTEUR_POLICY_FILE": str(POLICY),
        # What is shown does not depend on the ids of tasks.
        "FACTEUR_MEMORY_HOLDOUT_SHARE": "0",
        "FACTEUR_DISCORD_PUBLIC_KEY": DISCORD.verify_key.encode().hex(),
        "FACTEUR_DISCORD_APPLICATION_ID": "1200000000000000000",
        "FACTEUR_DISCORD_API_URL": "http://127.0.0.1:1",
    }


def start(name: str, env: Mapping[str, str], log: Path, port: int | None = None) -> Function:
    """Starts a function without waiting for it."""
    port = port or free_port()
    base = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("FACTEUR_", "GRAF_", "MINIO_", "OPENAI_", "OTEL_"))
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "shared.web.serve", name],
            env={**base, **in_its_role(name, env), "FACTEUR_SERVER_LISTEN_ADDRESS": f"127.0.0.1:{port}"},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return Function(f"http://127.0.0.1:{port}", process, log)


def await_health(function: Function, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and function.process.poll() is None:
        try:
            if function.get("/healthz").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.02)
    raise AssertionError(f"the function does not answer:\n{function.log.read_text()}")


def end(function: Function) -> int:
    """SIGTERM, and the exit code."""
    if function.process.poll() is None:
        function.process.send_signal(signal.SIGTERM)
    try:
        return function.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(function.process.pid, signal.SIGKILL)
        raise


@contextmanager
def running(name: str, env: Mapping[str, str], log: Path) -> Iterator[Function]:
    function = start(name, env, log)
    try:
        await_health(function)
        yield function
    finally:
        end(function)


@dataclass
class Sink:
    """A broker's ingress: keeps what it is sent, and answers `status`; while `open` is not set, it does neither."""

    url: str = ""
    status: int = 202
    delay: float = 0
    refused: int = 0
    came: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    def types(self) -> list[str]:
        return [event.type.removeprefix("ai.proompteng.codex.") for event in self.events]


@contextmanager
def sink() -> Iterator[Sink]:
    taken = Sink()

    class Ingress(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            taken.came += 1
            taken.open.wait(PATIENCE)
            time.sleep(taken.delay)
            status = taken.status
            if status < 300:
                taken.events.append(codec.decode_one(dict(self.headers), body))
            else:
                taken.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ingress)
    with serving(server) as taken.url:
        yield taken
