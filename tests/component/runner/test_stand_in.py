"""The stand-in of the check answers as the real callback does, so that who passes it fits the other."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shared.local.conformance.server import served
from shared.local.conformance.stand_in import StandIn
from shared.local.state import free_port
from tests.component.conftest import Stage
from tests.component.functions import HTTP, Function, Sink, await_health, end, settings, start

LINES = {"Content-Type": "application/x-ndjson"}
GZIP = {"Content-Encoding": "gzip"}


def event(number: int, kind: str = "progress", **more: Any) -> dict[str, Any]:
    return {"eventId": f"e{number}", "sequence": number, "eventType": kind, "content": f"step {number}", **more}


# A whole attempt, request by request: body and headers of reports.
STORY: list[tuple[bytes, Mapping[str, str]]] = [
    (json.dumps(event(1)).encode(), {}),
    (json.dumps([event(1), event(3)]).encode(), {}),
    (json.dumps(event(1, content="changed")).encode(), {}),
    (b"\n".join(json.dumps(event(number)).encode() for number in (5, 6, 6)), LINES),
    (gzip.compress(json.dumps([event(2), event(4)]).encode(), mtime=0), GZIP),
    (json.dumps(event(7, "usage", usage={"inputTokens": 3, "costUsd": 0.5})).encode(), {}),
    (json.dumps(event(8, "snapshot", snapshot={"type": "before", "content": "clean"})).encode(), {}),
    # what is wrong for ever
    (b"", {}),
    (b"[]", {}),
    (b"{", {}),
    (b"\xff", {}),
    (b'{"eventId": "x"}', LINES),
    (json.dumps(event(9, "shout")).encode(), {}),
    (json.dumps(event(0)).encode(), {}),
    (json.dumps(event(9, content="\u0000")).encode(), {}),
    (json.dumps(event(9, eventId="")).encode(), {}),
    (json.dumps(event(9, "usage", usage={"": 1})).encode(), {}),
    (json.dumps(event(9, "snapshot", snapshot={"type": "later", "content": ""})).encode(), {}),
    (json.dumps([event(number) for number in range(10, 600)]).encode(), {}),
    (json.dumps(event(9, content="x" * 1024 * 1024)).encode(), {}),
    # tokens
    (json.dumps(event(9)).encode(), {"Authorization": "Bearer fct_1_" + "A" * 43}),
    (json.dumps(event(9)).encode(), {"Authorization": ""}),
    # the end, and after it
    (json.dumps([event(9), event(10, "completed")]).encode(), {}),
    (json.dumps([event(9), event(10, "completed")]).encode(), {}),
    (json.dumps(event(11)).encode(), {}),
    (json.dumps([event(10, "completed"), event(11)]).encode(), {}),
]


class Side:
    """One of the two, for one attempt."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        answer = HTTP.request("POST", self._url + path, body=body, headers={**self._headers, **headers})
        return answer.status, json.loads(answer.data)

    def put(self, upload: Mapping[str, Any], body: bytes, headers: Mapping[str, str]) -> int:
        return HTTP.request("PUT", upload["url"], body=body, headers={**upload["headers"], **headers}).status


@pytest.fixture(scope="module")
def callback(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    port = free_port()
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_CALLBACK_URL": f"http://127.0.0.1:{port}"}
    function = start("callback", env, folder / "log", port)
    try:
        await_health(function)
        yield function
    finally:
        end(function)


@pytest.fixture
def sides(stage: Stage, callback: Function) -> Iterator[list[Side]]:
    task, headers = stage.launch()
    with ExitStack() as stack:
        stand_in = stack.enter_context(served(StandIn()))
        known = {"Authorization": f"Bearer {stand_in.token}"}
        yield [
            Side(f"{callback.url}/v1/codex/tasks/{task}", headers),
            Side(f"{stand_in.url}{stand_in.path}", known),
        ]


def test_reports_are_answered_alike_from_the_first_to_what_comes_after_the_last(sides: list[Side]) -> None:
    for number, (body, headers) in enumerate(STORY):
        real, played = (side.post("/events", body, headers) for side in sides)
        assert played[0] == real[0], (number, real)
        if real[0] == 200:
            assert played == real, number


def test_artifacts_are_answered_alike_whole_and_in_parts(sides: list[Side]) -> None:
    content = b"hello, artifact"
    parts = [content[:8], content[8:]]
    promise = {"name": "a.txt", "size": len(content), "sha256": _sha256(content), "contentType": "text/plain"}
    pieces = [{"size": len(part), "sha256": _sha256(part)} for part in parts]
    for side in sides:
        status, told = side.post("/artifacts", json.dumps(promise).encode(), {})
        assert (status, told.keys() & {"artifactId", "upload", "parts"}) == (201, {"artifactId", "upload"})
        assert side.post(f"/artifacts/{told['artifactId']}/commit", b"{}", {})[0] in (404, 422)
        assert side.put(told["upload"], content, {}) in (200, 204)
        assert side.post(f"/artifacts/{told['artifactId']}/commit", b"{}", {})[0] == 200
        assert side.post(f"/artifacts/{told['artifactId']}/commit", b"{}", {})[0] == 200
        status, told = side.post("/artifacts", json.dumps({**promise, "name": "b", "parts": pieces}).encode(), {})
        assert (status, told.keys() & {"artifactId", "upload", "parts"}) == (201, {"artifactId", "parts"})
        assert [(part["offset"], part["size"]) for part in told["parts"]] == [(0, 8), (8, len(content) - 8)]
        assert [side.put(one, part, {}) for one, part in zip(told["parts"], parts, strict=True)] in (
            [200] * 2,
            [204] * 2,
        )
        status, kept = side.post(f"/artifacts/{told['artifactId']}/commit", b"{}", {})
        assert (status, kept["size"], kept["sha256"]) == (200, promise["size"], promise["sha256"])
        wrongs: list[Any] = [{**promise, "size": -1}, {**promise, "sha256": "no"}, {**promise, "more": 1}, []]
        for wrong in wrongs:
            assert side.post("/artifacts", json.dumps(wrong).encode(), {})[0] == 400


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
