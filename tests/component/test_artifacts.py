"""What containers leave is what they promised, stays in its place, and is found by whom it belongs to."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.artifacts.files import FileArtifacts
from shared.artifacts.links import FileLinks
from shared.domain.artifact import MAX_PART, MAX_SIZE, Piece, key
from shared.domain.errors import NotFound
from shared.domain.task_token import mint_task_token
from shared.local.state import free_port
from shared.runner.artifacts import PART, Leaving, measure
from shared.runner.client import Client
from tests.component.artifact_kit import Kit, Run, bucket, kit, measured, put
from tests.component.conftest import STRANGER_TOKEN, Stage, tick
from tests.component.functions import HTTP, READ_ONLY_TOKEN, TOKEN_SECRET, Sink, authorised, running, settings
from tests.contract.artifacts.conftest import MINIO
from tests.contract.artifacts.front import SECRET_KEY
from tests.patience import PATIENCE

TASK = UUID("11111111-2222-4333-8444-555555555555")
CONTENT = b"--- a\n+++ b\n" * 1000
PARTS = (CONTENT[:5000], CONTENT[5000:10_000], CONTENT[10_000:])


@pytest.fixture(scope="module", params=["folder", "bucket", *MINIO])
def made(request: pytest.FixtureRequest, stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Kit]:
    place = folder / request.param
    place.mkdir()
    with kit(request.param, stage, module_sink.url, place) as made:
        yield made


in_a_folder = pytest.mark.parametrize("made", ["folder"], indirect=True)
in_a_bucket = pytest.mark.parametrize("made", ["bucket"], indirect=True)


@pytest.fixture
def run(stage: Stage) -> Run:
    """A running task and the headers of its container."""
    return stage.launch()


def missing(made: Kit, where: str) -> bool:
    try:
        made.store.digest(where)
    except NotFound:
        return True
    return False


def ended(made: Kit, run: Run) -> None:
    last = {"eventId": "last", "sequence": 1, "eventType": "completed", "content": "done"}
    assert made.callback.post(f"/v1/codex/tasks/{run[0]}/events", json.dumps(last).encode(), run[1]).status == 200


# --- promised, sent, committed


def test_a_file_is_promised_sent_verified_and_kept_once(made: Kit, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(CONTENT)
    artifact, upload = promise["artifactId"], promise["upload"]
    assert container.promise(CONTENT)["artifactId"] == artifact
    assert container.commit(artifact).status == 404, "nothing was uploaded yet"
    for _ in range(2):
        assert put(upload, CONTENT) in (200, 204)
    first, again = container.commit(artifact), container.commit(artifact)
    assert (first.status, again.status) == (200, 200)
    assert first.data == again.data
    document = json.loads(first.data)
    assert document == {
        "artifactId": artifact,
        **measured(CONTENT),
        "uri": made.store.uri(key(run[0], 1, UUID(artifact))),
    }
    (row,) = made.kept(run)
    assert (row["uri"], row["checksum"]) == (document["uri"], document["sha256"])
    assert row["metadata"] == {
        "name": "change.patch",
        "size": len(CONTENT),
        "contentType": "text/x-diff",
        "key": key(run[0], 1, UUID(artifact)),
    }


def test_a_large_file_goes_in_parts_and_becomes_one(made: Kit, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(CONTENT, PARTS)
    artifact = promise["artifactId"]
    assert [(part["offset"], part["size"]) for part in promise["parts"]] == [
        (0, 5000), (5000, 5000), (10_000, len(CONTENT) - 10_000),
    ]  # fmt: skip
    for request, part in zip(promise["parts"][:2], PARTS, strict=False):
        assert put(request, part) in (200, 204)
    assert container.commit(artifact).status == 404, "a part is missing"
    assert put(promise["parts"][2], PARTS[0]) in (400, 401, 403), "another part"
    assert put(promise["parts"][2], PARTS[2]) in (200, 204)
    for _ in range(2):
        answer = container.commit(artifact)
        assert (answer.status, json.loads(answer.data)["sha256"]) == (200, measured(CONTENT)["sha256"])
    where = key(run[0], 1, UUID(artifact))
    assert made.store.digest(where) == tuple(measured(CONTENT).values())
    assert all(missing(made, f"{where}.{number}") for number in (1, 2, 3))
    assert len(made.kept(run)) == 1


def test_parts_of_something_else_never_become_an_artifact(made: Kit, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(CONTENT, PARTS, sha256="ab" * 32)
    for request, part in zip(promise["parts"], PARTS, strict=True):
        assert put(request, part) in (200, 204)
    assert container.commit(promise["artifactId"]).status == 422
    assert made.kept(run) == []


@pytest.mark.parametrize("sent", [b"1234", b"123456", b"54321", b""])
def test_other_bytes_than_those_promised_are_refused(made: Kit, run: Run, sent: bytes) -> None:
    container = made.of(run)
    promise = container.promise(b"12345")
    assert 400 <= put(promise["upload"], sent) < 500
    assert container.commit(promise["artifactId"]).status == 404
    assert made.kept(run) == []
    assert put(promise["upload"], b"12345") in (200, 204)
    assert 400 <= put(promise["upload"], sent) < 500, "what is there is not exchanged"
    assert container.commit(promise["artifactId"]).status == 200


def test_an_empty_file_is_an_artifact_too(made: Kit, run: Run) -> None:
    made.of(run).leave(b"")
    assert made.kept(run)[0]["metadata"]["size"] == 0


@pytest.mark.parametrize("size", [0, 999, 1000, 1001, 3000, 15_999])
def test_the_sdk_leaves_files_of_any_size(made: Kit, run: Run, tmp_path: Path, size: int) -> None:
    content = (CONTENT * 2)[:size]
    artifact = leaving(made, run, tmp_path, content, part=1000)()
    (row,) = made.kept(run)
    assert (str(row["id"]), row["checksum"]) == (artifact, measured(content)["sha256"])
    assert made.store.digest(key(run[0], 1, UUID(artifact))) == tuple(measured(content).values())


def test_the_sdk_leaves_a_file_that_is_really_large(made: Kit, run: Run, tmp_path: Path) -> None:
    content = bytes(1 << 20) * 64 + b"the rest"
    leaving(made, run, tmp_path, content, PART)()
    assert made.kept(run)[0]["metadata"]["size"] == PART + 8


def leaving(made: Kit, run: Run, folder: Path, content: bytes, part: int) -> Leaving:
    (folder / "token").write_text(run[1]["Authorization"].removeprefix("Bearer "))
    (folder / "core.dump").write_bytes(content)
    client = Client(folder / "token", None)
    url = f"{made.callback.url}/v1/codex/tasks/{run[0]}"
    return Leaving(client, url, measure(folder / "core.dump", None, None, part))


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": ""}, 400),
        ({"name": "x" * 256}, 400),
        ({"name": "x" * 4096}, 400),
        ({"name": "nul\x00"}, 400),
        ({"name": "line\nbreak"}, 422),
        ({"name": ".."}, 422),
        ({"name": "folder/"}, 422),
        ({"size": -1}, 400),
        ({"size": MAX_PART + 1}, 422),
        ({"size": MAX_SIZE + 1}, 400),
        ({"sha256": "AB" * 32}, 400),
        ({"sha256": "ab" * 32 + "\n"}, 400),
        ({"sha256": "short"}, 400),
        ({"contentType": "text/plain\r\nX-Evil: 1"}, 400),
        ({"contentType": "text"}, 400),
        ({"contentType": "text/plain\n"}, 400),
        ({"parts": [{"size": 1, "sha256": "ab" * 32}] * 17}, 400),
        ({"parts": [{"size": 2, "sha256": "ab" * 32}]}, 422),
        ({"parts": [{"size": 0, "sha256": "ab" * 32}]}, 400),
        ({"key": "../mine"}, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_promise_that_does_not_fit_is_refused(made: Kit, run: Run, changes: dict[str, Any], status: int) -> None:
    assert made.of(run).begin(b"x", **changes).status == status


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("../../../etc/cron.d/evil", "evil"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/absolute", "absolute"),
        ("%2e%2e%2fescaped", "%2e%2e%2fescaped"),
        ("🦊" * 60, "🦊" * 60),
        ("a" * 255, "a" * 255),
        ("ghp_" + "a1B2" * 9, "[redacted:"),
        ("'; DROP TABLE artifacts; --", "'; DROP TABLE artifacts; --"),
        ("<script>alert(1)<b>.html", "<script>alert(1)<b>.html"),
    ],
    ids=["traversal", "backslashes", "absolute", "quoted", "emoji", "long", "credential", "sql", "markup"],
)
def test_whatever_a_file_is_called_its_key_stays_inside_its_task(made: Kit, run: Run, said: str, name: str) -> None:
    artifact = made.of(run).leave(b"x", name=said)
    (row,) = made.kept(run)
    assert row["metadata"]["key"] == f"tasks/{run[0]}/1/{artifact}"
    assert row["metadata"]["name"].startswith(name)
    assert not missing(made, f"tasks/{run[0]}/1/{artifact}")
    location = followed(made, run, artifact)
    assert urlsplit(location).path.endswith(f"/tasks/{run[0]}/1/{artifact}")
    answer = HTTP.request("GET", location)
    assert (answer.status, answer.data) == (200, b"x")
    assert answer.headers["Content-Disposition"].isascii()


def test_artifacts_of_another_task_and_attempt_cannot_be_touched(made: Kit, stage: Stage, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(b"mine")
    artifact = promise["artifactId"]
    put(promise["upload"], b"mine")
    assert made.of(stage.launch()).commit(artifact).status == 404
    assert made.of((run[0], stage.launch()[1])).commit(artifact).status == 401
    later = made.of((run[0], authorised(mint_task_token(TOKEN_SECRET, run[0], 2))))
    assert later.begin(b"late").status == 409
    assert later.commit(artifact).status == 409
    nobody = uuid4()
    unknown = made.of((nobody, authorised(mint_task_token(TOKEN_SECRET, nobody, 1))))
    assert unknown.begin(b"who").status == 404
    assert made.kept(run) == []


def test_the_attempt_that_took_over_has_uploads_of_its_own(made: Kit, stage: Stage, run: Run) -> None:
    first = made.of(run).promise(b"same")
    stage.change("UPDATE codex_kb.codex_tasks SET attempt = 2 WHERE id = %(task)s", run[0])
    later = made.of((run[0], authorised(mint_task_token(TOKEN_SECRET, run[0], 2))))
    second = later.promise(b"same")
    assert second["artifactId"] != first["artifactId"]
    for artifact in (first, second):
        assert made.of(run).commit(artifact["artifactId"]).status == 409
    assert later.commit(first["artifactId"]).status == 404
    assert made.of(run).begin(b"more").status == 409
    put(second["upload"], b"same")
    assert later.commit(second["artifactId"]).status == 200
    assert [row["metadata"]["key"] for row in made.kept(run)] == [f"tasks/{run[0]}/2/{second['artifactId']}"]


def test_a_run_that_has_ended_promises_nothing_and_finishes_what_it_began(made: Kit, stage: Stage, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(b"in time")
    ended(made, run)
    assert put(promise["upload"], b"in time") in (200, 204)
    for _ in range(2):
        assert container.commit(promise["artifactId"]).status == 200
    assert container.begin(b"too late").status == 409
    stage.change("UPDATE codex_kb.codex_tasks SET finished_at = now() - interval '2 hours' WHERE id = %(task)s", run[0])
    assert container.commit(promise["artifactId"]).status == 401


@in_a_folder
def test_commits_that_hold_one_another_up_are_told_to_come_again(made: Kit, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(CONTENT)
    put(promise["upload"], CONTENT)
    with psycopg.connect(made.stage.dsn) as other:
        other.execute("SELECT FROM codex_kb.codex_task_uploads WHERE task_id = %s FOR UPDATE", [run[0]])
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(container.commit, [promise["artifactId"]] * 4))
    # 409 would say that the attempt is over.
    assert {(answer.status, answer.headers["Retry-After"]) for answer in answers} == {(429, "1")}
    assert container.commit(promise["artifactId"]).status == 200


# --- found again


def followed(made: Kit, run: Run, artifact: str) -> str:
    """Where the status document leads to."""
    status = made.intake.get(f"/v1/codex/tasks/{run[0]}", authorised(READ_ONLY_TOKEN))
    (shown,) = [one for one in json.loads(status.data)["artifacts"] if one["id"] == artifact]
    assert shown["link"] == f"/v1/codex/tasks/{run[0]}/artifacts/{artifact}"
    answer = HTTP.request("GET", made.intake.url + shown["link"], headers=authorised(READ_ONLY_TOKEN), redirect=False)
    assert (answer.status, answer.headers["Cache-Control"]) == (307, "private, no-store")
    return answer.headers["Location"]


def test_an_artifact_is_downloaded_by_a_link_that_says_how_to_save_it(made: Kit, run: Run) -> None:
    artifact = made.of(run).leave(CONTENT, contentType="text/html", name="page.html")
    answer = HTTP.request("GET", followed(made, run, artifact))
    assert (answer.status, answer.data, answer.headers["Content-Type"]) == (200, CONTENT, "text/html")
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"


def test_another_tenant_and_a_stranger_find_nothing(made: Kit, stage: Stage, run: Run) -> None:
    artifact = made.of(run).leave(b"mine")
    other, _ = stage.launch()
    path = f"/v1/codex/tasks/{run[0]}/artifacts/{artifact}"
    assert made.intake.get(path).status == 401
    assert made.intake.get(path, run[1]).status == 401
    for wrong, token in (
        (path, STRANGER_TOKEN),
        (f"/v1/codex/tasks/{other}/artifacts/{artifact}", READ_ONLY_TOKEN),
        (f"/v1/codex/tasks/{run[0]}/artifacts/{uuid4()}", READ_ONLY_TOKEN),
        (f"/v1/codex/tasks/{run[0]}/artifacts/nonsense", READ_ONLY_TOKEN),
    ):
        assert made.intake.get(wrong, authorised(token)).status == 404, wrong


def test_what_is_not_committed_is_not_shown(made: Kit, run: Run) -> None:
    promise = made.of(run).promise(b"secret plans")
    put(promise["upload"], b"secret plans")
    path = f"/v1/codex/tasks/{run[0]}/artifacts/{promise['artifactId']}"
    assert made.intake.get(path, authorised(READ_ONLY_TOKEN)).status == 404


# --- cleared away


def old(stage: Stage, run: Run) -> None:
    stage.change(
        "UPDATE codex_kb.codex_task_uploads SET open_since = now() - interval '2 days' WHERE task_id = %(task)s", run[0]
    )


def test_what_was_never_committed_is_gone_after_a_day(made: Kit, stage: Stage, run: Run) -> None:
    container = made.of(run)
    promise = container.promise(CONTENT, PARTS)
    where = key(run[0], 1, UUID(promise["artifactId"]))
    for request, part in zip(promise["parts"], PARTS, strict=True):
        put(request, part)
    assert made.callback.deliver(tick()).status == 204
    assert not missing(made, f"{where}.1"), "it is not old"
    old(stage, run)
    for _ in range(2):
        assert made.callback.deliver(tick()).status == 204
    assert all(missing(made, f"{where}.{number}") for number in (1, 2, 3))
    assert container.commit(promise["artifactId"]).status == 404
    assert made.of(run).leave(CONTENT, PARTS) == promise["artifactId"], "it may be sent once more"


def test_what_was_committed_stays(made: Kit, stage: Stage, run: Run) -> None:
    artifact = made.of(run).leave(CONTENT, PARTS)
    where = key(run[0], 1, UUID(artifact))
    for request, part in zip(made.of(run).promise(CONTENT, PARTS)["parts"], PARTS, strict=True):
        put(request, part)
    old(stage, run)
    assert made.callback.deliver(tick()).status == 204
    assert missing(made, f"{where}.1"), "sent again, and never committed again"
    assert made.store.digest(where) == tuple(measured(CONTENT).values())
    assert made.of(run).commit(artifact).status == 200


# --- the store is away


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_store_that_is_away_is_an_outage_and_says_no_secret(
    stage: Stage, module_sink: Sink, tmp_path: Path, run: Run, kind: str
) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    env = settings(stage.dsn, module_sink.url, tmp_path)
    if kind == "bucket":
        env |= bucket(f"http://127.0.0.1:{free_port()}")
    with running("callback", env, tmp_path / "log") as callback:
        container = Kit(callback, callback, FileArtifacts(tmp_path), stage).of(run)
        for parts in ((), PARTS):
            promise = container.promise(CONTENT, parts)
            answer = container.commit(promise["artifactId"])
            assert (answer.status, int(answer.headers["Retry-After"])) == (503, 1)
            assert SECRET_KEY.encode() not in answer.data
        aged = "UPDATE codex_kb.codex_task_uploads SET open_since = now() - interval '2 days' WHERE task_id = %(task)s"
        stage.database.do(aged, {"task": run[0]})
        assert callback.deliver(tick()).status == 204
    assert SECRET_KEY not in (tmp_path / "log").read_text()
    assert len(stage.rows("SELECT FROM codex_kb.codex_task_uploads WHERE task_id = %(task)s", run[0])) == 2
    stage.database.do("DELETE FROM codex_kb.codex_task_uploads WHERE task_id = %(task)s", {"task": run[0]})


def test_no_log_holds_a_credential(made: Kit, run: Run) -> None:
    made.of(run).leave(b"x")
    log = made.callback.log.read_text()
    assert log
    for secret in (SECRET_KEY, TOKEN_SECRET, run[1]["Authorization"], "signature=", "Signature="):
        assert secret not in log, secret


# --- files behind callback


@in_a_folder
def test_a_link_that_was_tampered_with_is_refused(made: Kit, run: Run) -> None:
    request = made.of(run).promise(b"12345")["upload"]
    url = request["url"]
    tampered = [
        url.replace("size=5", "size=6"),
        url.replace("expires=", "expires=9"),
        url.replace("sha256=", "sha256=0"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.partition("&signature")[0],
        url.replace("/1/", "/2/"),
        url.replace("size=5", "size=99999999999999"),
    ]
    statuses = [put({**request, "url": wrong}, b"12345") for wrong in tampered]
    assert statuses == [401, 401, 401, 401, 401, 401, 400]


@in_a_folder
@pytest.mark.parametrize(
    "where",
    [
        "../escaped",
        "../../../escaped",
        f"tasks/{TASK}/1/../../../escaped",
        "/etc/escaped",
        "nul\x00",
        "plain",
        f"tasks/{TASK}/1/{TASK}/x",
        f"tasks/{TASK}/1/{TASK}.1/../x",
    ],
)
def test_no_key_leads_out_of_the_folder_not_even_with_a_valid_signature(made: Kit, folder: Path, where: str) -> None:
    before = sorted(folder.rglob("*"))
    links = FileLinks(made.callback.url, [TOKEN_SECRET])
    link = links.upload(where, Piece(3, measured(b"bad")["sha256"]), "text/plain", 4_000_000_000)
    shown = links.download(where, "a", "text/plain", 4_000_000_000)
    # Quoted, and by the plainest client: others resolve the dots before they send the path.
    path = f"/v1/artifacts/{quote(where, safe='').replace('.', '%2E')}"
    for method, query in (("PUT", urlsplit(link.url).query), ("GET", urlsplit(shown).query)):
        client = HTTPConnection(urlsplit(made.callback.url).netloc, timeout=PATIENCE)
        client.request(method, f"{path}?{query}", body=b"bad" if method == "PUT" else None, headers=link.headers)
        assert client.getresponse().status == 404
        client.close()
    assert sorted(folder.rglob("*")) == before


@in_a_folder
def test_a_download_from_here_cannot_act_in_a_browser(made: Kit, run: Run) -> None:
    artifact = made.of(run).leave(b"<script>", contentType="text/html")
    headers = HTTP.request("GET", followed(made, run, artifact)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert (headers["Cache-Control"], headers["Content-Length"]) == ("private, no-store", "8")


@in_a_bucket
def test_a_bucket_leaves_nothing_to_be_had_from_callback(made: Kit, run: Run) -> None:
    links = FileLinks(made.callback.url, [TOKEN_SECRET])
    shown = links.download(key(run[0], 1, TASK), "a", "text/plain", 4_000_000_000)
    assert HTTP.request("GET", shown).status == 404
