"""codex-intake over HTTP: tasks listed page by page, and canceled in any state."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from shared.domain.cursors import TaskCursor
from shared.domain.run import RunState
from shared.events.catalogue import TaskFinished, announce
from shared.postgres.runs import PgRuns
from tests.component.conftest import COLLEAGUE_TOKEN, STRANGER_TOKEN, Stage, api_tokens, until
from tests.component.functions import READ_ONLY_TOKEN, Function, Sink, authorised, running, settings

pytestmark = pytest.mark.usefixtures("announced")

KEYS = {"taskId", "status", "reason", "stage", "mode", "caller", "repository", "priority", "acceptedAt", "launchedAt"}
KEYS |= {"finishedAt", "cancelRequested", "links"}


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_API_TOKENS": api_tokens()}
    with running("codex-intake", env, folder / "log") as function:
        yield function


def look(intake: Function, query: str = "") -> Any:
    answer = intake.get(f"/v1/codex/tasks{query}", authorised(READ_ONLY_TOKEN))
    assert answer.status == 200, answer.data
    return json.loads(answer.data)


def ids(intake: Function, query: str) -> list[UUID]:
    return [UUID(task["taskId"]) for task in look(intake, query)["tasks"]]


def cancel(intake: Function, task: UUID, token: str | None = None) -> Any:
    return intake.post(f"/v1/codex/tasks/{task}/cancel", b"", authorised(token) if token else authorised())


# --- lists


def test_a_list_is_newest_first_with_links(intake: Function, stage: Stage) -> None:
    older, newer = stage.accept(repository="o/list"), stage.accept(repository="o/list", priority=2)
    found = look(intake, "?repository=o/list")
    assert [task["taskId"] for task in found["tasks"]] == [str(newer), str(older)]
    assert found["next"] is None
    task = found["tasks"][0]
    assert task.keys() == KEYS
    assert (task["status"], task["caller"], task["priority"], task["cancelRequested"]) == (
        "accepted",
        "alice",
        2,
        False,
    )
    assert task["acceptedAt"].endswith("Z")
    path = f"/v1/codex/tasks/{newer}"
    assert task["links"] == {"self": path, "timeline": f"{path}/timeline", "cancel": f"{path}/cancel"}
    shown = json.loads(intake.get(task["links"]["self"], authorised()).data)
    assert (shown["links"], shown["cancelRequested"]) == (task["links"], False)


def test_a_list_holds_what_is_asked_for(intake: Function, stage: Stage) -> None:
    waiting, (active, _) = stage.accept(caller="carol & co"), stage.launch(caller="carol & co")
    over = stage.accept(caller="carol & co")
    assert cancel(intake, over).status == 202
    own = f"?caller={quote('carol & co')}"
    assert ids(intake, own) == [over, active, waiting]
    for query in (
        "&status=running&status=accepted",
        "&status=running,accepted",
        "&status=accepted&status=running,failed",
    ):
        assert ids(intake, own + query) == [active, waiting]
    assert ids(intake, f"{own}&status=canceled&limit=200") == [over]
    assert ids(intake, f"{own}&repository=nothing") == []


def test_pages_hold_every_task_once_while_others_come_in(intake: Function, stage: Stage) -> None:
    known = [stage.accept(repository="o/pages") for _ in range(25)]
    stop = threading.Event()

    def insert() -> None:
        while not stop.is_set():
            stage.accept(repository="o/pages")

    inserting = threading.Thread(target=insert)
    inserting.start()
    try:
        found: list[UUID] = []
        query = "?repository=o/pages&limit=4"
        page = look(intake, query)
        while page["next"]:
            found += [UUID(task["taskId"]) for task in page["tasks"]]
            page = look(intake, f"{query}&cursor={page['next']}")
        found += [UUID(task["taskId"]) for task in page["tasks"]]
    finally:
        stop.set()
        inserting.join()
    assert len(found) == len(set(found))
    assert found[-25:] == known[::-1]


def test_a_list_is_for_the_tenant_alone(intake: Function, stage: Stage) -> None:
    task = stage.accept(repository="o/mine")
    for token, tasks in ((COLLEAGUE_TOKEN, [str(task)]), (STRANGER_TOKEN, [])):
        answer = intake.get("/v1/codex/tasks?repository=o/mine", authorised(token))
        assert [found["taskId"] for found in json.loads(answer.data)["tasks"]] == tasks
    assert intake.get("/v1/codex/tasks").status == 401


ODD = str(TaskCursor.parse("A" * 32))


@pytest.mark.parametrize(
    "query",
    [
        *("status=", "status=Running", "status=running,", "status=running&status=done", "status=%00", "state=running"),
        *("limit=0", "limit=201", "limit=-1", "limit=1e3", "limit=%D9%A3", "limit=5&limit=5", "limit="),
        *("cursor=", "cursor=x", f"cursor={ODD}A", f"cursor={ODD[:-1]}%0A", f"cursor={'_' * 32}", "cursor=%FF%FE"),
        *("caller=%00", f"caller={'x' * 1001}", "caller=a&caller=b", "repository=a&repository=b", "q=' OR 1=1 --"),
    ],
)
def test_a_question_that_makes_no_sense_is_400_and_not_echoed(intake: Function, query: str) -> None:
    answer = intake.get(f"/v1/codex/tasks?{quote(query, safe='=&%')}", authorised())
    assert answer.status == 400
    assert json.loads(answer.data)["type"] == "urn:facteur:problem:malformed"
    assert query.encode() not in answer.data


# --- cancel


def answered(answer: Any) -> tuple[int, str, bool]:
    document = json.loads(answer.data)
    assert document.keys() == {"taskId", "status", "cancelRequested"}
    return answer.status, document["status"], document["cancelRequested"]


def test_a_task_that_waits_is_canceled_at_once_by_its_tenants_callers(
    intake: Function, stage: Stage, broker: Sink
) -> None:
    task = stage.accept()
    assert answered(cancel(intake, task, COLLEAGUE_TOKEN)) == (202, "canceled", True)
    assert answered(cancel(intake, task)) == (202, "canceled", True)
    assert stage.status(task) == ("canceled", "canceled by colleague")
    until(lambda: stage.heard(broker, task))
    assert [(event.type.split(".", 3)[3], event.subject) for event in broker.events] == [
        ("task.finished.v1", str(task))
    ]
    assert json.loads(broker.events[0].data or b"") == {"taskId": str(task), "status": "canceled"}
    (row,) = stage.rows(
        "SELECT task_runs.status, task_runs.completed_at IS NOT NULL AS over, tasks.state, codex_tasks.finished_at "
        "FROM codex_kb.task_runs JOIN codex_kb.codex_tasks USING (id) "
        "JOIN codex_kb.tasks ON tasks.id = task_runs.task_id WHERE task_runs.id = %(task)s",
        task,
    )
    assert (row["status"], row["over"], row["state"]) == ("canceled", True, "canceled")
    assert row["finished_at"] is not None


def test_a_task_that_runs_is_asked_to_end_once(intake: Function, stage: Stage, broker: Sink) -> None:
    task, _ = stage.launch()
    for _ in range(2):
        assert answered(cancel(intake, task)) == (202, "running", True)
    until(lambda: stage.heard(broker, task))
    assert broker.types() == ["task.cancel-requested.v1"]
    assert json.loads(intake.get(f"/v1/codex/tasks/{task}", authorised()).data)["cancelRequested"] is True
    entries = json.loads(intake.get(f"/v1/codex/tasks/{task}/timeline", authorised()).data)["entries"]
    assert [entry["what"] for entry in entries] == ["accepted", "launched", "cancel requested"]
    assert entries[-1]["detail"] == {"caller": "tests"}


def test_a_task_that_is_over_is_left_as_it_is(intake: Function, stage: Stage, broker: Sink) -> None:
    task = stage.accept()
    run = stage.claim(task)
    finished = announce(TaskFinished(task, "failed"), "dispatcher", None)
    PgRuns(stage.database).finish(run, RunState.FAILED, "the quota was exceeded", finished)
    stage.clear_outbox()
    assert answered(cancel(intake, task)) == (202, "failed", False)
    assert broker.events == []


def test_ten_callers_at_the_same_moment_cancel_once(intake: Function, stage: Stage, broker: Sink) -> None:
    waiting, (active, _) = stage.accept(), stage.launch()
    start, answers = threading.Barrier(20), []

    def send(task: UUID) -> None:
        start.wait()
        answers.append((task, *answered(cancel(intake, task))))

    threads = [threading.Thread(target=send, args=(task,)) for task in (waiting, active) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {(waiting, 202, "canceled", True), (active, 202, "running", True)}
    until(lambda: stage.heard(broker, waiting, active))
    assert sorted(broker.types()) == ["task.cancel-requested.v1", "task.finished.v1"]


def test_cancelling_needs_the_scope_and_the_tenant(intake: Function, stage: Stage) -> None:
    task = stage.accept()
    assert cancel(intake, task, READ_ONLY_TOKEN).status == 403
    assert cancel(intake, task, STRANGER_TOKEN).status == 404
    assert cancel(intake, task, "wrong").status == 401
    assert cancel(intake, uuid4()).status == 404
    assert intake.get(f"/v1/codex/tasks/{task}/cancel", authorised()).status == 405
    assert stage.status(task) == ("accepted", "")


def test_a_broker_that_is_away_does_not_keep_anybody_from_cancelling(
    intake: Function, stage: Stage, broker: Sink
) -> None:
    task, _ = stage.launch()
    broker.status = 503
    assert answered(cancel(intake, task)) == (202, "running", True)
    assert stage.outbox(task) == ["task.cancel-requested.v1"]
