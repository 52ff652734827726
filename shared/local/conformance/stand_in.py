"""A stand-in for callback, artifact store and memory-query: one attempt of one task, and a record of all that came."""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from functions.callback import bodies
from functions.callback.artifact_bodies import ArtifactBody
from shared.domain.errors import FacteurError
from shared.domain.task_token import mint_task_token
from shared.web import problems
from shared.web.requests import parse_json

ENDS = ("completed", "failed")
MAX_BODY = 1024 * 1024

Event = dict[str, Any]


@dataclass(eq=False)
class Request:
    """One request as it came. `answered` and `status` stay None where the connection was cut instead."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    began: float = field(default_factory=time.monotonic)
    events: Sequence[Event] = ()
    answered: float | None = None
    status: int | None = None


@dataclass(frozen=True)
class Answer:
    """What is answered; a `status` of 0 cuts the connection without a word."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


CUT = Answer(0)


@dataclass
class Artifact:
    """A file on its way: what was promised, the parts that were put, whether it was committed."""

    promised: ArtifactBody
    parts: dict[int, bytes] = field(default_factory=dict)
    committed: bool = False
    problem: str = ""

    @property
    def wanted(self) -> list[tuple[int, str]]:
        """Size and SHA-256 of each part; a small file is one."""
        pieces = self.promised.pieces or [self.promised.whole]
        return [(piece.size, piece.sha256) for piece in pieces]

    def headers(self, number: int) -> dict[str, str]:
        """What a part must be uploaded with."""
        return {"Content-Type": self.promised.content_type, "x-stand-in-signed": self.wanted[number][1]}

    def fits(self) -> bool:
        put = [self.parts.get(number) for number in range(len(self.wanted))]
        return self.wanted == [(len(part), hashlib.sha256(part).hexdigest()) for part in put if part is not None]


class StandIn:
    """Keeps the contract towards a container. Those that do not are in `faults`."""

    def __init__(self) -> None:
        self.task = uuid4()
        self.token = mint_task_token(secrets.token_hex(32), self.task, 1)
        self.url = ""
        self.requests: list[Request] = []
        self.kept: dict[str, Event] = {}
        self.refused: list[str] = []  # events that the real callback would not take, and why
        self.late: list[Event] = []  # events that are new after the end
        self.artifacts: dict[str, Artifact] = {}
        # Of faults: what was treated badly, the moment that is waited for, and that what was waited for is done.
        self.wronged: list[Request] = []
        self.reached = threading.Event()
        self.released = threading.Event()
        self._lock = threading.RLock()

    @property
    def path(self) -> str:
        return f"/v1/codex/tasks/{self.task}"

    @property
    def reports(self) -> list[Request]:
        """The requests that brought events, or tried to."""
        return [request for request in self.requests if request.path == f"{self.path}/events"]

    @property
    def end(self) -> str:
        """How the attempt ended: `completed` or `failed`, "" if it did not."""
        return next((event["eventType"] for event in self.kept.values() if event["eventType"] in ENDS), "")

    def serve(self, request: Request) -> Answer:
        """The answer to any request. Each is recorded, with its time."""
        with self._lock:
            self.requests.append(request)
        if request.method == "PUT" and request.path.startswith("/store/"):
            return self._put(request)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return problem(401)
        if len(request.body) > MAX_BODY:
            return problem(413)
        if request.path == f"{self.path}/events" and request.method == "POST":
            return self._receive(request)
        if request.path.startswith(f"{self.path}/artifacts") and request.method == "POST":
            return self._leave(request)
        if request.path.split("?")[0] in (f"{self.path}/memory", f"{self.path}/memory/query"):
            return Answer(200, {"results": [_MEMORY], "degraded": False, "model": "stand-in"})
        return problem(404)

    def _receive(self, request: Request) -> Answer:
        try:
            request.events = read_events(request.body, request.headers.get("content-type", ""), self.task)
        except FacteurError as error:
            self.refused.append(str(error))
            return problem(problems.status(error))
        return self.take(request)

    def take(self, request: Request) -> Answer:
        """The answer to a report that is as it should be."""
        return self.keep(request.events)

    def keep(self, events: Sequence[Event]) -> Answer:
        """Keeps what is new, as the callback does."""
        once = {event["eventId"]: event for event in reversed(events)}
        with self._lock:
            fresh = [event for name, event in reversed(once.items()) if name not in self.kept]
            if fresh and self.end:
                self.late += fresh
                return problem(409)
            self.kept.update({event["eventId"]: event for event in fresh})
            known = sorted({event["sequence"] for event in self.kept.values()})
            gaps = [[a + 1, b - 1] for a, b in zip([0, *known], known, strict=False) if b > a + 1]
            status = {"completed": "succeeded"}.get(self.end, self.end) or "running"
        repeated = len(once) - len(fresh)
        return Answer(200, {"accepted": len(fresh), "duplicates": repeated, "gaps": gaps, "status": status})

    def _leave(self, request: Request) -> Answer:
        names = request.path.removeprefix(f"{self.path}/artifacts").strip("/").split("/")
        if names == [""]:
            return self._promise(request)
        artifact = self.artifacts.get(names[0])
        if artifact is None or names[1:] != ["commit"]:
            return problem(404)
        if not artifact.fits():
            artifact.problem = artifact.problem or "was committed before what was promised had been uploaded"
            return problem(422)
        artifact.committed = True
        about = {"size": artifact.promised.size, "sha256": artifact.promised.sha256}
        return Answer(200, {"artifactId": names[0], **about, "uri": f"stand-in:{names[0]}"})

    def _promise(self, request: Request) -> Answer:
        try:
            artifact = Artifact(parse_json(request.body, ArtifactBody))
        except FacteurError as error:
            self.refused.append(f"an artifact: {error}")
            return problem(problems.status(error))
        name = str(uuid4())
        self.artifacts[name] = artifact
        puts = [
            {"method": "PUT", "url": f"{self.url}/store/{name}/{number}", "headers": artifact.headers(number)}
            for number in range(len(artifact.wanted))
        ]
        if not artifact.promised.parts:
            return Answer(201, {"artifactId": name, "upload": puts[0]})
        sizes = [size for size, _ in artifact.wanted]
        places = [{"offset": sum(sizes[:number]), "size": size} for number, size in enumerate(sizes)]
        parts = [{**put, **place} for put, place in zip(puts, places, strict=True)]
        return Answer(201, {"artifactId": name, "parts": parts})

    def _put(self, request: Request) -> Answer:
        name, _, number = request.path.removeprefix("/store/").partition("/")
        artifact = self.artifacts.get(name)
        if artifact is None or number not in map(str, range(len(artifact.wanted))):
            return problem(404)
        headers = artifact.headers(int(number))
        if any(request.headers.get(header.lower()) != value for header, value in headers.items()):
            artifact.problem = "was uploaded without the headers that the promise names"
            return problem(403)
        artifact.parts[int(number)] = request.body
        return Answer(204)


def read_events(body: bytes, content_type: str, task: UUID) -> list[Event]:
    """The events of a body as they were sent, once the callback's own reader has found nothing wrong with them."""
    lines = content_type.partition(";")[0].strip().endswith(("ndjson", "jsonl"))
    bodies.reports(body, task, lines)
    if lines:
        return [json.loads(line) for line in body.split(b"\n") if line.strip()]
    read = json.loads(body)
    events: list[Event] = read if isinstance(read, list) else [read]
    return events


def ends(request: Request) -> bool:
    """Whether the report ends the attempt."""
    return any(event["eventType"] in ENDS for event in request.events)


def problem(status: int, **headers: str) -> Answer:
    """A refusal."""
    body = {"type": f"urn:facteur:problem:stand-in-{status}", "title": "refused", "status": status}
    return Answer(status, body, {"Content-Type": "application/problem+json", **headers})


_MEMORY = {
    "score": 0.5,
    "snippet": "An earlier task renamed the button and ran its tests.",
    "metadata": {"repository": "", "namespaces": [], "resourceKinds": [], "tags": [], "outcome": "succeeded"},
    "provenance": {
        "memoryId": "1",
        "taskId": "1",
        "kind": "prompt",
        "source": "prompt",
        "attempt": None,
        "trust": "caller",
        "createdAt": "2026-01-01T00:00:00+00:00",
    },
}
