"""The system as its users meet it: over HTTP, with patience for functions that start from zero."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3

from shared.events import codec
from shared.events.event import Event
from tests.e2e.target import Door, Target

FINAL = ("succeeded", "failed", "expired", "canceled")
ANSWER_SECONDS = 60.0
# An image may have to be pulled, and an agent with a model thinks.
END_SECONDS = 300.0
# Whatever is sent here may be sent again: that is what it is tested for.
_PATIENT = urllib3.Retry(
    total=20,
    redirect=False,
    backoff_factor=0.2,
    backoff_max=4,
    status_forcelist=[502, 503, 504],
    allowed_methods=None,
    raise_on_status=False,
)


@dataclass(frozen=True, slots=True)
class Told:
    """One server-sent event of a timeline."""

    id: str
    event: str
    data: Any


class System:
    """Asks the functions of a target. `http` may be shared by several that differ in their token."""

    def __init__(self, target: Target, http: urllib3.PoolManager | None = None, token: str | None = None) -> None:
        self.target = target
        self._token = target.token if token is None else token
        self._http = http or urllib3.PoolManager(retries=_PATIENT, timeout=urllib3.Timeout(ANSWER_SECONDS))

    def known_by(self, token: str) -> Self:
        """The same system, asked with another token; "" is none."""
        return type(self)(self.target, self._http, token)

    def submit(self, prompt: str, key: str, **more: Any) -> urllib3.BaseHTTPResponse:
        """Posts a task as JSON under an Idempotency-Key."""
        body = json.dumps({"prompt": prompt, "tags": ["e2e"], **more}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self.post(self.target.intake, "/v1/codex/tasks", body, headers)

    def show(self, task: str) -> dict[str, Any]:
        """The task as intake shows it; {} while it does not know it."""
        answer = self.get(self.target.intake, f"/v1/codex/tasks/{task}")
        assert answer.status in (200, 404), answer.data
        return dict(answer.json()) if answer.status == 200 else {}

    def timeline(self, task: str) -> list[dict[str, Any]]:
        answer = self.get(self.target.intake, f"/v1/codex/tasks/{task}/timeline")
        assert answer.status == 200, answer.data
        return list(answer.json()["entries"])

    def remembered(self, task: str) -> set[str]:
        """The kinds of memories that the task has left."""
        return {entry["detail"]["kind"] for entry in self.timeline(task) if entry["what"] == "remembered"}

    def cancel(self, task: str) -> dict[str, Any]:
        answer = self.post(self.target.intake, f"/v1/codex/tasks/{task}/cancel")
        assert answer.status == 202, answer.data
        return dict(answer.json())

    def ended(self, task: str) -> dict[str, Any]:
        """The task once it has ended and its outcome is remembered."""
        until(lambda: self.show(task).get("status") in FINAL, f"the end of task {task}", END_SECONDS)
        until(lambda: "outcome" in self.remembered(task), f"the outcome of task {task} in memory")
        return self.show(task)

    def follow(self, task: str, after: str = "") -> list[Told]:
        """The task's timeline as a stream, until it has ended; a stream that ends before is taken up again."""
        told: list[Told] = []
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            last = told[-1].id if told else after
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            answer = self._ask("GET", self.target.intake, f"/v1/codex/tasks/{task}/timeline", b"", headers, stream=True)
            if answer.status == 204:
                return told
            assert answer.status == 200, answer.read()
            assert answer.headers["Content-Type"] == "text/event-stream"
            told += _events(answer)
            assert len({one.id for one in told}) == len(told), "the stream repeats itself"
        raise AssertionError(f"the stream of task {task} has not ended after {END_SECONDS:.0f} s")

    def ask(self, memory: Door, task: str, text: str) -> urllib3.BaseHTTPResponse:
        """What memory-query answers to a text, on behalf of a task."""
        body = json.dumps({"text": text, "limit": 20}).encode()
        headers = {"Content-Type": "application/json"}
        return self.post(memory, f"/v1/codex/tasks/{task}/memory/query", body, headers)

    def publish(self, event: Event) -> None:
        """Gives the event to the broker."""
        headers, body = codec.encode(event)
        answer = self._http.request("POST", self.target.broker, body=body, headers=dict(headers))
        assert answer.status in (200, 202), answer.data

    def get(self, door: Door, path: str) -> urllib3.BaseHTTPResponse:
        return self._ask("GET", door, path)

    def post(
        self, door: Door, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        return self._ask("POST", door, path, body, headers)

    def fetch(self, link: str) -> urllib3.BaseHTTPResponse:
        """What a signed link leads to. Its host is signed too, so it stays when the store has another address here."""
        parts = urlsplit(link)
        base = self.target.artifacts or f"{parts.scheme}://{parts.netloc}"
        path = parts._replace(scheme="", netloc="").geturl()
        return self._http.request("GET", base + path, headers={"Host": parts.netloc})

    def _ask(
        self,
        method: str,
        door: Door,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        own = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if door.host:
            own["Host"] = door.host
        return self._http.request(
            method,
            door.url + path,
            body=body if method == "POST" else None,
            headers={**own, **(headers or {})},
            preload_content=not stream,
        )


def until(holds: Callable[[], bool], what: str, seconds: float = ANSWER_SECONDS) -> None:
    """Return once it holds; fail with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def _events(answer: urllib3.BaseHTTPResponse) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for line in _lines(answer):
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield Told(fields["id"], fields["event"], json.loads(fields["data"]))
        if not line:
            fields = {}


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[str]:
    """The whole lines of a body, up to its end or to where it was cut off."""
    rest = b""
    with contextlib.suppress(urllib3.exceptions.ProtocolError):
        while piece := answer.read1():
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode() for line in whole)
    answer.release_conn()
