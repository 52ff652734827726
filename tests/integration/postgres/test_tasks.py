"""Intake's door: a delivery is accepted once, whoever else delivers it at the same time."""

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

from shared.domain.errors import Rejected
from shared.domain.ids import run_id
from shared.domain.task import Accepted, Target
from shared.postgres.database import Database
from shared.postgres.task_views import PgTaskViews
from tests.integration.postgres.conftest import AcceptTask

OutboxTypes = Callable[[], list[str]]


def count(database: Database, table: str) -> int:
    row = database.one(f"SELECT count(*) AS n FROM codex_kb.{table}", {})  # noqa: S608
    assert row
    return int(row["n"])


def test_a_task_is_stored_in_its_four_tables_with_its_announcement(
    accept: AcceptTask, database: Database, outbox_types: OutboxTypes
) -> None:
    accepted = accept()
    assert accepted.run_id == run_id("delivery-1")
    assert not accepted.duplicate
    assert [count(database, t) for t in ("ideas", "tasks", "task_runs", "codex_tasks")] == [1, 1, 1, 1]
    assert outbox_types() == ["task.accepted.v1"]


def test_a_replayed_delivery_finds_the_same_ids_and_announces_nothing(
    accept: AcceptTask, database: Database, outbox_types: OutboxTypes
) -> None:
    first, again = accept(), accept(prompt="something else", body_hash=b"\x02" * 32)
    assert again.duplicate
    assert (again.run_id, again.task_id, again.idea_id) == (first.run_id, first.task_id, first.idea_id)
    assert again.body_hash == b"\x01" * 32
    assert again.accepted_at == first.accepted_at
    assert count(database, "task_runs") == 1
    assert outbox_types() == ["task.accepted.v1"]
    row = database.one("SELECT prompt FROM codex_kb.codex_tasks", {})
    assert row
    assert row["prompt"] == "Do what delivery-1 says"


def test_eight_deliveries_at_the_same_moment_are_one_task(accept: AcceptTask, database: Database) -> None:
    results: list[Accepted] = []
    start = threading.Barrier(8)

    def deliver() -> None:
        start.wait()
        results.append(accept("delivery-race"))

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.duplicate for result in results].count(False) == 1
    assert {result.run_id for result in results} == {run_id("delivery-race")}
    assert count(database, "codex_tasks") == 1


def test_two_deliveries_for_one_issue_are_two_runs_of_one_task(accept: AcceptTask, database: Database) -> None:
    first = accept("one", source_type="github_issue", source_ref="o/r#1")
    second = accept("two", source_type="github_issue", source_ref="o/r#1")
    assert first.task_id == second.task_id
    assert first.run_id != second.run_id
    assert count(database, "ideas") == 1
    assert count(database, "task_runs") == 2


def test_a_delivery_of_the_earlier_system_is_a_duplicate(accept: AcceptTask, database: Database) -> None:
    database.do(
        "WITH idea AS (INSERT INTO codex_kb.ideas (source_type, source_ref, status, payload) "
        "VALUES ('github_issue', 'o/r#7', 'received', '{}') RETURNING id), task AS (INSERT INTO codex_kb.tasks "
        "(idea_id, stage, state) SELECT id, 'implementation', 'queued' FROM idea RETURNING id) "
        "INSERT INTO codex_kb.task_runs (task_id, status, delivery_id) SELECT id, 'queued', 'old' FROM task",
        {},
    )
    accepted = accept("old", source_type="github_issue", source_ref="o/r#7")
    assert accepted.duplicate
    assert accepted.status == "queued"
    assert accepted.body_hash is None


def test_text_that_postgres_cannot_hold_is_refused_for_ever(accept: AcceptTask) -> None:
    with pytest.raises(Rejected):
        accept(prompt="nul \x00 here")


def test_status_and_timeline_are_for_the_tenant_alone(accept: AcceptTask, database: Database) -> None:
    views = PgTaskViews(database)
    run = accept(targets=(Target("v1", "ConfigMap", "demo", "settings"),), tags=("a", "b")).run_id
    shown = views.status(run, "default")
    assert shown
    assert shown["status"] == "accepted"
    assert shown["targets"] == [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "demo", "name": "settings"}]
    assert shown["artifacts"] == []
    assert shown["memory"] == {"stored": 0, "embedded": 0, "models": []}
    assert [entry.what for entry in views.timeline(run, "default")] == ["accepted"]
    assert views.status(run, "someone else") is None
    assert views.timeline(run, "someone else") == []
    assert views.status(uuid4(), "default") is None
