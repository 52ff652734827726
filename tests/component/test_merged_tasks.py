"""Deliveries for the same work become one task when their caller asks for it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.component.conftest import COLLEAGUE_TOKEN, STRANGER_TOKEN, Stage, api_tokens
from tests.component.functions import API_TOKEN, Function, Sink, authorised, running, settings
from tests.component.test_codex_intake import example


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_API_TOKENS": api_tokens()}
    with running("codex-intake", env, folder / "log") as function:
        yield function


@pytest.fixture
def issue() -> int:
    """An issue that no other test has."""
    return uuid4().int % 2**40 + 1


def submit(intake: Function, issue: int, key: str, token: str = API_TOKEN, **changes: Any) -> tuple[int, Any]:
    body = {"prompt": f"for {key}", "repository": "o/r", "issueNumber": issue, "coalesce": 300} | changes
    answer = intake.post("/v1/codex/tasks", json.dumps(body).encode(), authorised(token, **{"Idempotency-Key": key}))
    return answer.status, json.loads(answer.data)


def deliver(intake: Function, issue: int, delivery: str, coalesce: int = 300) -> Any:
    body = example(delivery_id=delivery, issue_number=issue, repository="o/r")
    answer = intake.post(f"/codex/tasks?coalesce={coalesce}", body, authorised())
    assert answer.status == 202
    return json.loads(answer.data)


def runs(stage: Stage, issue: int) -> int:
    statement = (
        "SELECT task_runs.id FROM codex_kb.task_runs JOIN codex_kb.tasks ON tasks.id = task_id "
        "JOIN codex_kb.ideas ON ideas.id = idea_id WHERE source_ref = %(ref)s"
    )
    return len(stage.rows(statement, ref=f"o/r#{issue}"))


def finish(stage: Stage, task: str) -> None:
    statement = "UPDATE codex_kb.codex_tasks SET status = 'succeeded', finished_at = now() WHERE id = %(id)s"
    stage.database.do(statement, {"id": UUID(task)})


def age(stage: Stage, task: str) -> None:
    statement = "UPDATE codex_kb.codex_tasks SET created_at = created_at - interval '1 hour' WHERE id = %(id)s"
    stage.database.do(statement, {"id": UUID(task)})


def test_a_later_delivery_is_answered_with_the_id_of_the_first(intake: Function, stage: Stage, issue: int) -> None:
    (status, first), (later_status, later) = (submit(intake, issue, str(uuid4())) for _ in range(2))
    assert (status, later_status) == (202, 202)
    assert later["taskId"] == first["taskId"]
    assert (first["duplicate"], later["duplicate"]) == (False, True)
    assert runs(stage, issue) == 1


def test_both_doors_lead_to_the_same_task(intake: Function, stage: Stage, issue: int) -> None:
    _, first = submit(intake, issue, str(uuid4()))
    delivered = deliver(intake, issue, str(uuid4()))
    assert (delivered["taskRunId"], delivered["duplicate"]) == (first["taskId"], True)
    assert runs(stage, issue) == 1


def test_a_replay_of_a_merged_delivery_gets_the_same_for_ever(intake: Function, stage: Stage, issue: int) -> None:
    _, first = submit(intake, issue, str(uuid4()))
    key, delivery = str(uuid4()), str(uuid4())
    (_, merged), delivered = submit(intake, issue, key), deliver(intake, issue, delivery)
    finish(stage, first["taskId"])
    age(stage, first["taskId"])
    assert submit(intake, issue, key) == (200, merged)
    again = deliver(intake, issue, delivery)
    assert again == delivered | {"submittedAt": again["submittedAt"]}  # this test has just moved it
    assert submit(intake, issue, key, prompt="something else")[0] == 409
    assert runs(stage, issue) == 1


def test_after_the_end_of_the_first_task_there_is_a_new_one(intake: Function, stage: Stage, issue: int) -> None:
    _, first = submit(intake, issue, str(uuid4()))
    finish(stage, first["taskId"])
    assert submit(intake, issue, str(uuid4()))[1]["taskId"] != first["taskId"]
    assert runs(stage, issue) == 2


def test_after_the_window_there_is_a_new_one(intake: Function, stage: Stage, issue: int) -> None:
    _, first = submit(intake, issue, str(uuid4()))
    age(stage, first["taskId"])
    assert submit(intake, issue, str(uuid4()))[1]["taskId"] != first["taskId"]


@pytest.mark.parametrize(
    ("token", "changes"),
    [
        (COLLEAGUE_TOKEN, {}),
        (STRANGER_TOKEN, {}),
        (API_TOKEN, {"stage": "review"}),
        (API_TOKEN, {"coalesce": 0}),
    ],
    ids=["another caller", "another tenant", "another stage", "nobody asked"],
)
def test_what_is_not_the_same_work_of_the_same_caller_stays_apart(
    intake: Function, issue: int, token: str, changes: dict[str, Any]
) -> None:
    _, first = submit(intake, issue, str(uuid4()))
    status, other = submit(intake, issue, str(uuid4()), token, **changes)
    assert (status, other["duplicate"]) == (202, False)
    assert other["taskId"] != first["taskId"]


def test_sixteen_at_the_same_moment_are_one_task(intake: Function, stage: Stage, issue: int) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: submit(intake, issue, str(uuid4())), range(16)))
    assert {status for status, _ in answers} == {202}
    assert len({answer["taskId"] for _, answer in answers}) == 1
    assert [answer["duplicate"] for _, answer in answers].count(False) == 1
    assert runs(stage, issue) == 1
