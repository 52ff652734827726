"""callback over HTTP: what a container reports is recorded once, and what it leaves is what it promised."""

import hashlib
import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

import pytest
from urllib3 import BaseHTTPResponse

from shared.artifacts.files import FileArtifacts
from shared.domain.token import mint_task_token
from tests.component.conftest import Stage
from tests.component.functions import HTTP, TOKEN_SECRET, Function, Sink, authorised, running, settings

Run = tuple[UUID, dict[str, str]]
TASK = UUID("11111111-2222-4333-8444-555555555555")


@pytest.fixture(scope="module")
def callback(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("callback", settings(stage.dsn, module_sink.url, folder), folder / "log") as function:
        yield function


@pytest.fixture
def run(stage: Stage) -> Run:
    """A running task and the headers of its container."""
    return stage.launch()


def event(number: int, kind: str = "progress", **more: Any) -> dict[str, Any]:
    return {"eventId": f"e{number}", "sequence": number, "eventType": kind, "content": f"step {number}", **more}


def send(callback: Function, run: Run, *events: Any) -> BaseHTTPResponse:
    body = json.dumps(events[0] if len(events) == 1 else events).encode()
    return callback.post(f"/v1/codex/tasks/{run[0]}/events", body, run[1])


def recorded(callback: Function, run: Run, *events: Any) -> dict[str, Any]:
    answer = send(callback, run, *events)
    assert answer.status == 200, answer.data
    document: dict[str, Any] = json.loads(answer.data)
    return document


def contents(stage: Stage, run: Run) -> list[Any]:
    rows = stage.rows(
        "SELECT content FROM codex_kb.codex_task_events WHERE task_id = %(task)s ORDER BY sequence, id", run[0]
    )
    return [row["content"] for row in rows]


# --- events


def test_one_event_and_a_list_are_both_recorded(callback: Function, stage: Stage, run: Run, broker: Sink) -> None:
    assert recorded(callback, run, event(1)) == {"accepted": 1, "duplicates": 0, "gaps": [], "status": "running"}
    assert recorded(callback, run, event(2), event(3))["accepted"] == 2
    assert contents(stage, run) == ["step 1", "step 2", "step 3"]
    assert broker.types() == ["run.reported.v1", "run.reported.v1"]
    assert stage.outbox(run[0]) == []


def test_repeats_change_nothing_and_are_counted(callback: Function, stage: Stage, run: Run, broker: Sink) -> None:
    recorded(callback, run, event(1), event(2))
    again = recorded(callback, run, event(1, content="changed"), event(2), event(2))
    assert again == {"accepted": 0, "duplicates": 2, "gaps": [], "status": "running"}
    assert contents(stage, run) == ["step 1", "step 2"]
    assert len(broker.events) == 1


def test_gaps_are_told_until_they_are_closed(callback: Function, run: Run) -> None:
    assert recorded(callback, run, event(3), event(7))["gaps"] == [[1, 2], [4, 6]]
    assert recorded(callback, run, event(1), event(2), event(5))["gaps"] == [[4, 4], [6, 6]]
    assert recorded(callback, run, event(6), event(4))["gaps"] == []


def test_heartbeats_and_logs_wake_nobody(callback: Function, run: Run, broker: Sink) -> None:
    recorded(callback, run, event(1, "heartbeat"), event(2, "log"))
    assert broker.events == []


def test_a_run_completes_once_and_is_fenced_afterwards(
    callback: Function, stage: Stage, run: Run, broker: Sink
) -> None:
    last = event(2, "completed", content="all is well")
    assert recorded(callback, run, event(1), last)["status"] == "succeeded"
    assert recorded(callback, run, event(1), last) == {
        "accepted": 0,
        "duplicates": 2,
        "gaps": [],
        "status": "succeeded",
    }
    late = send(callback, run, event(3))
    assert (late.status, json.loads(late.data)["type"]) == (409, "urn:facteur:problem:conflict")
    assert send(callback, run, event(4, "failed")).status == 409
    assert broker.types() == ["task.finished.v1"]
    assert stage.status(run[0]) == ("succeeded", "")
    (row,) = stage.rows("SELECT result FROM codex_kb.codex_tasks WHERE id = %(task)s", run[0])
    assert row["result"] == "all is well"


def test_a_failure_keeps_its_reason(callback: Function, stage: Stage, run: Run, broker: Sink) -> None:
    recorded(callback, run, event(1, "failed", content="no such branch"))
    assert stage.status(run[0]) == ("failed", "no such branch")
    assert json.loads(broker.events[0].data or b"")["status"] == "failed"


def test_a_silent_failure_gets_a_reason(callback: Function, stage: Stage, run: Run) -> None:
    recorded(callback, run, event(1, "failed", content=None))
    assert stage.status(run[0]) == ("failed", "the container said that it failed")


def test_tokens_of_another_attempt_or_task_do_not_fit(callback: Function, stage: Stage, run: Run) -> None:
    other, headers = stage.launch()
    assert send(callback, (run[0], headers), event(1)).status == 401
    later = authorised(mint_task_token(TOKEN_SECRET, run[0], 2))
    assert send(callback, (run[0], later), event(1)).status == 409
    assert contents(stage, run) == contents(stage, (other, headers)) == []
    nobody = uuid4()
    unknown = authorised(mint_task_token(TOKEN_SECRET, nobody, 1))
    assert send(callback, (nobody, unknown), event(1)).status == 404


def test_no_credential_is_recorded_whatever_the_form_of_the_content(callback: Function, stage: Stage, run: Run) -> None:
    token = "ghp_" + "a1B2" * 9
    manifest = "kind: Secret\nstringData:\n  colour: ultramarine-1\n"
    recorded(
        callback,
        run,
        event(1, "log", content=f"cloned with {token}"),
        event(2, content={"env": {"DB_PASSWORD": "correct-horse-7"}, "seen": [f"Bearer {token}"]}),
        event(3, content={"kind": "Secret", "data": {"colour": "dWx0cmFtYXJpbmUtMg=="}, "password": 12345678}),
        event(4, content={"applied": manifest}),
        event(5, "snapshot", content=None, snapshot={"type": "after", "content": manifest}),
        event(6, "completed", content=f"pushed with {token}"),
    )
    stored = json.dumps(contents(stage, run))
    rows = stage.rows(
        "SELECT result, content FROM codex_kb.codex_tasks JOIN codex_kb.codex_task_snapshots "
        "ON task_id = codex_tasks.id WHERE task_id = %(task)s",
        run[0],
    )
    stored += json.dumps(list(rows)) + callback.log.read_text()
    for secret in (token, "correct-horse-7", "dWx0cmFtYXJpbmUtMg==", "12345678", "ultramarine"):
        assert secret not in stored, secret
    assert "cloned with" in stored


def test_snapshots_and_usage_are_stored_beside_the_events(callback: Function, stage: Stage, run: Run) -> None:
    before = event(1, "snapshot", content=None, snapshot={"type": "before", "content": "a: 1"})
    after = event(2, "snapshot", content=None, snapshot={"type": "after", "content": "a: 2"})
    for _ in range(2):
        recorded(callback, run, before, after, event(3, "usage", usage={"inputTokens": 10, "seconds": 1.5}))
    recorded(callback, run, event(4, "usage", usage={"inputTokens": 20}))
    rows = stage.rows(
        "SELECT type, content, digest FROM codex_kb.codex_task_snapshots WHERE task_id = %(task)s ORDER BY type DESC",
        run[0],
    )
    assert [(row["type"], row["content"]) for row in rows] == [("before", "a: 1"), ("after", "a: 2")]
    assert rows[0]["digest"] == hashlib.sha256(b"a: 1").hexdigest()
    (row,) = stage.rows("SELECT usage FROM codex_kb.codex_tasks WHERE id = %(task)s", run[0])
    assert row["usage"] == {"inputTokens": 20, "seconds": 1.5}


@pytest.mark.parametrize(
    "body",
    [
        [],
        [event(number) for number in range(1, 502)],
        event(0),
        event(1, "surprise"),
        event(1, eventId=""),
        event(1, eventId="x" * 201),
        event(1, snapshot={"type": "during", "content": "x"}),
        event(1, usage={"tokens": "many"}),
        event(1, content="nul \x00 here"),
        event(1, content={"deep": json.loads("[" * 500 + "]" * 500)}),
        [event(1), "not an event"],
        "text",
        None,
    ],
    ids=lambda body: json.dumps(body)[:40],
)
def test_a_body_that_does_not_fit_is_refused_and_nothing_of_it_recorded(
    callback: Function, stage: Stage, run: Run, body: Any
) -> None:
    assert callback.post(f"/v1/codex/tasks/{run[0]}/events", json.dumps(body).encode(), run[1]).status == 400
    assert contents(stage, run) == []


def test_a_broker_that_is_away_leaves_the_end_in_the_outbox(
    callback: Function, stage: Stage, run: Run, broker: Sink
) -> None:
    broker.status = 503
    assert recorded(callback, run, event(1, "completed"))["status"] == "succeeded"
    assert stage.outbox(run[0]) == ["task.finished.v1"]


# --- artifacts


class Artifacts:
    """The steps of an upload, as the container takes them."""

    def __init__(self, callback: Function, run: Run) -> None:
        self._callback = callback
        self._task, self._headers = run

    def begin(self, content: bytes, **changes: Any) -> BaseHTTPResponse:
        body = {
            "name": "change.patch",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "contentType": "text/x-diff",
        }
        path = f"/v1/codex/tasks/{self._task}/artifacts"
        return self._callback.post(path, json.dumps(body | changes).encode(), self._headers)

    def promise(self, content: bytes, **changes: Any) -> tuple[str, str]:
        """The artifact's id and the path to PUT it to."""
        answer = self.begin(content, **changes)
        assert answer.status == 201, answer.data
        document = json.loads(answer.data)
        assert document["upload"]["method"] == "PUT"
        url = urlsplit(document["upload"]["url"])
        assert f"{url.scheme}://{url.netloc}" == "http://callback.test"
        return document["artifactId"], f"{url.path}?{url.query}"

    def put(self, path: str, content: bytes) -> int:
        return HTTP.request("PUT", self._callback.url + path, body=content, headers={"Connection": "close"}).status

    def commit(self, artifact: str) -> BaseHTTPResponse:
        return self._callback.post(f"/v1/codex/tasks/{self._task}/artifacts/{artifact}/commit", b"", self._headers)


@pytest.fixture
def artifacts(callback: Function, run: Run) -> Artifacts:
    return Artifacts(callback, run)


def kept(stage: Stage, run: Run) -> list[Any]:
    return list(
        stage.rows("SELECT uri, checksum, metadata FROM codex_kb.artifacts WHERE task_run_id = %(task)s", run[0])
    )


def test_an_artifact_is_promised_uploaded_verified_and_kept_once(
    artifacts: Artifacts, stage: Stage, run: Run, folder: Path
) -> None:
    content = b"--- a\n+++ b\n" * 1000
    artifact, path = artifacts.promise(content)
    assert artifacts.promise(content)[0] == artifact
    assert artifacts.commit(artifact).status == 404, "nothing was uploaded yet"
    assert artifacts.put(path, content) == 204
    assert artifacts.put(path, content) == 204
    first, again = artifacts.commit(artifact), artifacts.commit(artifact)
    assert (first.status, again.status) == (200, 200)
    assert first.data == again.data
    document = json.loads(first.data)
    digest = hashlib.sha256(content).hexdigest()
    assert (document["artifactId"], document["size"], document["sha256"]) == (artifact, len(content), digest)
    (row,) = kept(stage, run)
    assert (row["uri"], row["checksum"]) == (document["uri"], digest)
    assert row["metadata"]["name"] == "change.patch"
    (file,) = (folder / "artifacts" / str(run[0])).rglob(artifact)
    assert file.read_bytes() == content


def test_an_upload_of_another_size_is_refused(artifacts: Artifacts, stage: Stage, run: Run) -> None:
    artifact, path = artifacts.promise(b"12345")
    assert artifacts.put(path, b"1234") == 400
    assert artifacts.put(path, b"123456") == 400
    assert artifacts.commit(artifact).status == 404
    assert kept(stage, run) == []


def test_an_upload_with_another_checksum_never_becomes_an_artifact(
    artifacts: Artifacts, stage: Stage, run: Run
) -> None:
    artifact, path = artifacts.promise(b"12345")
    assert artifacts.put(path, b"54321") == 400
    assert artifacts.commit(artifact).status == 404
    assert kept(stage, run) == []
    assert artifacts.put(path, b"12345") == 204
    assert artifacts.commit(artifact).status == 200


def test_what_was_uploaded_cannot_be_exchanged_while_its_link_lives(artifacts: Artifacts) -> None:
    artifact, path = artifacts.promise(b"12345")
    assert artifacts.put(path, b"12345") == 204
    assert artifacts.put(path, b"54321") == 400
    assert artifacts.put(path, b"12345") == 204
    assert artifacts.commit(artifact).status == 200


def test_an_empty_file_is_an_artifact_too(artifacts: Artifacts) -> None:
    artifact, path = artifacts.promise(b"")
    assert artifacts.put(path, b"") == 204
    assert artifacts.commit(artifact).status == 200


def test_a_tampered_link_is_refused(artifacts: Artifacts) -> None:
    _, path = artifacts.promise(b"12345")
    tampered = [
        path.replace("size=5", "size=6"),
        path.replace("expires=", "expires=9"),
        path.replace("sha256=", "sha256=0"),
        path[:-1] + ("0" if path[-1] != "0" else "1"),
        path.partition("&signature")[0],
        path.replace("/1/", "/2/"),
        path.replace("size=5", "size=99999999999999"),
    ]
    statuses = [artifacts.put(wrong, b"12345") for wrong in tampered]
    assert statuses == [401, 401, 401, 401, 401, 401, 400]


def test_a_link_lives_for_a_while(callback: Function, artifacts: Artifacts, folder: Path) -> None:
    content = b"read me"
    _, path = artifacts.promise(content)
    store = FileArtifacts(folder / "artifacts", callback.url, TOKEN_SECRET)
    key = path.removeprefix("/v1/artifacts/").partition("?")[0]
    expired = urlsplit(store.upload_url(key, len(content), hashlib.sha256(content).hexdigest(), int(time.time()) - 1))
    assert artifacts.put(f"{expired.path}?{expired.query}", content) == 401
    assert callback.get(path).status == 405


@pytest.mark.parametrize(
    "key",
    [
        "../escaped",
        "../../../escaped",
        f"{TASK}/1/../../../escaped",
        "/etc/escaped",
        "nul\x00",
        "plain",
        f"{TASK}/1/{TASK}/x",
    ],
)
def test_no_key_leads_out_of_the_folder_not_even_with_a_valid_signature(
    callback: Function, folder: Path, key: str
) -> None:
    before = sorted(folder.rglob("*"))
    store = FileArtifacts(folder / "artifacts", callback.url, TOKEN_SECRET)
    query = urlsplit(store.upload_url(key, 3, "ab" * 32, int(time.time()) + 60)).query
    # Quoted, and by the plainest client: others resolve the dots before they send the path.
    client = HTTPConnection(urlsplit(callback.url).netloc, timeout=15)
    client.request("PUT", f"/v1/artifacts/{quote(key, safe='').replace('.', '%2E')}?{query}", body=b"bad")
    assert client.getresponse().status == 404
    client.close()
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 256},
        {"name": "nul\x00"},
        {"size": -1},
        {"size": 64 * 1024 * 1024 + 1},
        {"sha256": "AB" * 32},
        {"sha256": "short"},
        {"key": "../mine"},
    ],
    ids=str,
)
def test_a_promise_that_does_not_fit_is_refused(artifacts: Artifacts, changes: dict[str, Any]) -> None:
    assert artifacts.begin(b"x", **changes).status == 400


def test_a_name_is_a_name_and_never_a_path(artifacts: Artifacts, stage: Stage, run: Run, folder: Path) -> None:
    artifact, path = artifacts.promise(b"x", name="../../../etc/cron.d/evil")
    assert ".." not in path
    artifacts.put(path, b"x")
    assert artifacts.commit(artifact).status == 200
    assert kept(stage, run)[0]["metadata"]["name"] == "../../../etc/cron.d/evil"


def test_artifacts_of_another_task_and_attempt_cannot_be_touched(
    callback: Function, stage: Stage, artifacts: Artifacts, run: Run
) -> None:
    artifact, path = artifacts.promise(b"mine")
    artifacts.put(path, b"mine")
    assert Artifacts(callback, stage.launch()).commit(artifact).status == 404
    assert Artifacts(callback, (run[0], stage.launch()[1])).commit(artifact).status == 401
    later = authorised(mint_task_token(TOKEN_SECRET, run[0], 2))
    assert Artifacts(callback, (run[0], later)).begin(b"late").status == 409
    nobody = uuid4()
    unknown = authorised(mint_task_token(TOKEN_SECRET, nobody, 1))
    assert Artifacts(callback, (nobody, unknown)).begin(b"who").status == 404


def test_a_run_that_has_ended_leaves_nothing_more(callback: Function, artifacts: Artifacts, run: Run) -> None:
    artifact, path = artifacts.promise(b"in time")
    artifacts.put(path, b"in time")
    assert artifacts.commit(artifact).status == 200
    recorded(callback, run, event(1, "completed"))
    assert artifacts.commit(artifact).status == 200, "a repeated answer stays the same"
    assert artifacts.begin(b"too late").status == 409
