"""How lists and stories are served: by an index, and for what was there before positions were."""

from importlib.resources import files
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from shared.domain.cursors import TaskCursor
from shared.domain.timeline import Wanted
from shared.postgres.database import Database
from shared.postgres.migrations import _LEDGER, _RECORD, _digest, migrate
from shared.postgres.task_views import _LIST, PgTaskViews
from tests.patience import patient

MANY = """
WITH idea AS (
    INSERT INTO codex_kb.ideas (source_type, source_ref, status, payload) VALUES ('test', 'many', 'received', '{}')
    RETURNING id
), task AS (
    INSERT INTO codex_kb.tasks (idea_id, stage, state) SELECT id, 'implementation', 'queued' FROM idea RETURNING id
), run AS (
    INSERT INTO codex_kb.task_runs (task_id, status, delivery_id, created_at)
    SELECT task.id, 'queued', 'delivery ' || n, now() - n * interval '1 second' FROM task, generate_series(1, 5000) AS n
    RETURNING id, created_at
)
INSERT INTO codex_kb.codex_tasks (id, caller, tenant, prompt, stage, mode, deadline_seconds, body_hash, status,
    created_at)
SELECT id, 'alice', CASE WHEN random() < 0.5 THEN 'default' ELSE 'elsewhere' END, 'x', 'implementation', 'direct',
    60, '', 'accepted', created_at
FROM run
"""


def test_a_page_is_read_from_its_index_without_sorting(database: Database, dsn: str) -> None:
    database.do(MANY, {})
    page = PgTaskViews(database).list("default", Wanted(limit=50))
    assert page.next
    parameters = {"tenant": "default", "at": page.next.at.isoformat(), "id": page.next.id, "limit": 51}
    parameters |= {"statuses": ["accepted"], "caller": "alice", "repository": None}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE codex_kb.codex_tasks")
        row = connection.execute(b"EXPLAIN (FORMAT JSON) " + _LIST.encode(), parameters).fetchone()
    assert row
    (limit,) = [plan["Plan"] for plan in row[0]]
    (scan,) = limit["Plans"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "idx_codex_tasks_tenant_created")
    assert "created_at" in scan["Index Cond"] and "tenant" in scan["Index Cond"]


def test_pages_over_many_tasks_hold_each_once(database: Database) -> None:
    database.do(MANY, {})
    views = PgTaskViews(database)
    seen: list[str] = []
    before: TaskCursor | None = None
    while True:
        page = views.list("default", Wanted(limit=200, before=before))
        seen += [task["taskId"] for task in page.tasks]
        if page.next is None:
            break
        before = page.next
    rows = database.all(
        "SELECT id::text FROM codex_kb.codex_tasks WHERE tenant = 'default' ORDER BY created_at DESC, id DESC", {}
    )
    assert seen == [row["id"] for row in rows]


def migrate_before(dsn: str, last: str) -> None:
    """Applies what comes before a migration."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_LEDGER)
        for entry in sorted(files("migrations").iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".sql") and entry.name < last:
                text = entry.read_text()
                connection.execute(text.encode())
                connection.execute(_RECORD, (entry.name, _digest(text)))


def insert(connection: psycopg.Connection, table: str, **columns: Any) -> None:
    names = ", ".join(columns)
    values = [Jsonb(value) if isinstance(value, dict) else value for value in columns.values()]
    connection.execute(f"INSERT INTO codex_kb.{table} ({names}) VALUES ({', '.join(['%s'] * len(values))})", values)  # noqa: S608


def test_a_story_from_before_the_migration_is_told_in_the_order_of_its_times(empty_dsn: str) -> None:
    migrate_before(empty_dsn, "0006")
    idea, task, run, memory = uuid4(), uuid4(), uuid4(), uuid4()
    at = "2026-01-02T03:04:0{}Z".format
    with psycopg.connect(empty_dsn) as connection:
        insert(connection, "ideas", id=idea, source_type="t", source_ref="r", status="received", payload={})
        insert(connection, "tasks", id=task, idea_id=idea, stage="planning", state="failed")
        insert(connection, "task_runs", id=run, task_id=task, status="failed", delivery_id="d")
        insert(
            connection,
            "codex_tasks",
            id=run,
            caller="alice",
            tenant="default",
            prompt="x",
            stage="planning",
            mode="direct",
            deadline_seconds=60,
            body_hash=b"",
            status="failed",
            reason="broken",
            attempt=1,
            kubernetes_job_name="job",
            created_at=at(0),
            launched_at=at(2),
            finished_at=at(5),
        )
        for number, moment in ((2, 4), (1, 3)):
            insert(
                connection,
                "codex_task_events",
                task_id=run,
                attempt=1,
                event_id=str(number),
                sequence=number,
                event_type="progress",
                received_at=at(moment),
            )
        insert(
            connection,
            "codex_task_memory_index",
            id=memory,
            task_id=run,
            kind="prompt",
            source_ref="prompt",
            chunk=0,
            tenant="default",
            content="x",
            content_hash=b"",
            created_at=at(1),
        )
        exposure = {"task_id": run, "attempt": 1, "memory_id": memory, "channel": "query", "rank": 1, "score": 1}
        insert(connection, "memory_exposure", **exposure, shown_at=at(6))
    migrate(empty_dsn)
    database = patient(empty_dsn)
    told = PgTaskViews(database).timeline(run, "default")
    story = PgTaskViews(database).follow(run, "default", None, 100)
    database.close()
    whole = ["accepted", "remembered", "launched", "progress", "progress", "failed", "memory shown"]
    assert [entry.what for entry in told] == whole
    assert [entry.at.second for entry in told] == [0, 1, 2, 3, 4, 5, 6]
    assert [entry.detail for entry in told if entry.what in ("launched", "failed")] == [
        {"attempt": 1, "resource": "job"},
        {"reason": "broken", "result": ""},
    ]
    assert story
    assert (list(story.entries), story.over) == (list(told), True)
