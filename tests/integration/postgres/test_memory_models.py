"""Which model is in use: the first of many processes, a switch under load, and vectors from before."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.errors import InFlight
from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.migrations import migrate
from tests.integration.postgres.conftest import AcceptTask
from tests.integration.postgres.test_task_views import insert, migrate_before
from tests.patience import PATIENCE, patient

EAST, NORTH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
OLD, NEW = "old:3", "new:3"

# What is done, although the model in use has not made its vector.
_FORGOTTEN = """
SELECT memory.id FROM codex_kb.codex_task_memory_index AS memory
WHERE NOT waits AND NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made
    JOIN codex_kb.memory_models USING (model) WHERE made.content_hash = memory.content_hash AND state = 'active')
"""
_STATES = "SELECT model, state FROM codex_kb.memory_models"
_WAITING_FOR = (
    "SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event = %(on)s"
)


def row(text: Text, model: str = OLD, content: str = "") -> MemoryRow:
    piece = content or text.text
    return MemoryRow(stable_id("memory", str(text.task_id)), text, 0, piece, piece.encode(), EAST, model)


def at_once(*works: Callable[[], object]) -> None:
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait()
        work()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def until_one_waits(database: Database, on: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not database.all(_WAITING_FOR, {"on": on})[0]["count"]:
        assert time.monotonic() < deadline, f"nobody waits for {on}"


def test_processes_that_begin_at_once_with_other_settings_agree(database: Database) -> None:
    told: list[str] = []
    at_once(*[lambda name=f"model-{n}:3": told.append(PgMemoryModels(database).in_use(name)) for n in range(8)])
    assert len(told) == 8
    assert len(set(told)) == 1
    assert database.all(_STATES, {}) == [{"model": told[0], "state": "active"}]


def test_processes_that_begin_at_once_with_models_that_are_known_already_agree(database: Database) -> None:
    names = [f"model-{number}:3" for number in range(8)]
    for name in names:
        database.do("INSERT INTO codex_kb.memory_models (model, state) VALUES (%(model)s, 'retiring')", {"model": name})
    told: list[str] = []
    at_once(*[lambda name=name: told.append(PgMemoryModels(database).in_use(name)) for name in names])
    assert len(told) == 8
    assert {(told[0], "active")} == {(row["model"], row["state"]) for row in database.all(_STATES, {})} - {
        (name, "retiring") for name in names
    }
    assert len(set(told)) == 1


def test_the_first_model_has_what_it_made_before_and_the_rest_waits_for_it(
    accept: AcceptTask, database: Database
) -> None:
    memories, models = PgMemories(database), PgMemoryModels(database)
    models.in_use(OLD)
    made, missing = (accept(name, prompt=name).run_id for name in ("made", "missing"))
    texts = {text.task_id: text for text in memories.missing([made, missing], 9)}
    for task, model in ((made, OLD), (missing, None)):
        memories.store([replace(row(texts[task]), model=model, vector=EAST if model else None)], None, None)
    database.do("UPDATE codex_kb.memory_models SET state = 'retiring'", {})
    database.do("UPDATE codex_kb.codex_task_memory_index SET waits = NOT waits", {})
    assert models.in_use(OLD) == OLD
    assert memories.waiting(9) == [missing]


def test_the_model_before_retires_with_a_switch(database: Database) -> None:
    models = PgMemoryModels(database)
    models.in_use(OLD)
    models.switch(NEW)
    assert {row["model"]: row["state"] for row in database.all(_STATES, {})} == {OLD: "retiring", NEW: "active"}
    at_once(lambda: models.switch(OLD), lambda: models.switch(OLD), lambda: models.switch("third:3"))
    states = [row["state"] for row in database.all(_STATES, {})]
    assert sorted(states) == ["active", "retiring", "retiring"]


def test_a_switch_waits_for_what_is_being_stored_and_finds_it_waiting_for_the_new_model(
    accept: AcceptTask, database: Database, dsn: str
) -> None:
    """The store has found a vector of the old model, and cannot end yet: its task is locked."""
    memories, models = PgMemories(database), PgMemoryModels(database)
    models.in_use(OLD)
    task = accept().run_id
    (text,) = memories.missing([task], 9)
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM codex_kb.codex_tasks WHERE id = %s FOR UPDATE", [task])
        store = threading.Thread(target=memories.store, args=[[row(text)], None, None])
        store.start()
        until_one_waits(database, "transactionid")
        switch = threading.Thread(target=models.switch, args=[NEW])
        switch.start()
        until_one_waits(database, "advisory")
    for thread in (store, switch):
        thread.join()
    assert models.in_use(OLD) == NEW
    assert database.all(_FORGOTTEN, {}) == []
    assert memories.waiting(9) == [task]


def test_switches_while_memories_are_stored_leave_none_without_a_vector_that_does_not_wait(
    accept: AcceptTask, database: Database
) -> None:
    memories, models = PgMemories(database), PgMemoryModels(database)
    models.in_use(OLD)
    tasks = [accept(f"task {number}").run_id for number in range(60)]
    texts = {text.task_id: text for text in memories.missing(tasks, 99)}

    def store(model: str, share: list[UUID]) -> None:
        for task in share:
            memories.store([row(texts[task], model, content=f"one of {task.int % 7}")], None, None)

    def switch() -> None:
        for number in range(10):
            models.switch((NEW, OLD)[number % 2])

    at_once(lambda: store(OLD, tasks[::2]), lambda: store(NEW, tasks[1::2]), lambda: store(NEW, tasks[::3]), switch)
    assert database.all(_FORGOTTEN, {}) == []
    assert models.in_use(NEW) == OLD
    store(OLD, tasks)
    assert memories.waiting(99) == []


def test_a_switch_that_cannot_have_its_turn_is_in_flight_and_changes_nothing(hasty: Database, dsn: str) -> None:
    models = PgMemoryModels(hasty)
    models.in_use(OLD)
    with psycopg.connect(dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", [0x6661_6374_6D6F_6465])
        with pytest.raises(InFlight):
            models.switch(NEW)
    assert models.in_use(NEW) == OLD


def test_vectors_from_before_are_kept_once_a_content_and_refusals_stay(empty_dsn: str) -> None:
    migrate_before(empty_dsn, "0013")
    task = uuid4()
    shapes: dict[str, dict[str, Any]] = {
        "equal": {"content_hash": b"same", "model": OLD, "embedding": "[1,0,0]"},
        "twin": {"content_hash": b"same", "model": OLD, "embedding": "[1,0,0]"},
        "both": {"content_hash": b"both", "model": OLD, "embedding": "[0,1,0]", "refused_by": NEW},
        "refused": {"content_hash": b"refused", "refused_by": OLD},
        "newer": {"content_hash": b"newer", "model": NEW, "embedding": "[0,0,1]"},
        "pending": {"content_hash": b"pending"},
    }
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")  # the task stands alone
        fields = {
            "caller": "a",
            "tenant": "default",
            "prompt": "x",
            "stage": "s",
            "mode": "direct",
            "deadline_seconds": 60,
        }
        insert(connection, "codex_tasks", id=task, body_hash=b"", status="succeeded", **fields)
        for number, (name, shape) in enumerate(shapes.items()):
            about = {"task_id": task, "kind": "event", "source_ref": name, "chunk": 0, "tenant": "default"}
            insert(connection, "codex_task_memory_index", id=UUID(int=number), content=name, **about, **shape)
    migrate(empty_dsn)
    database = patient(empty_dsn)
    made = database.all(
        "SELECT content_hash, model, embedding::text AS vector FROM codex_kb.codex_task_memory_vectors", {}
    )
    assert {(bytes(one["content_hash"]), one["model"]): one["vector"] for one in made} == {
        (b"same", OLD): "[1,0,0]",
        (b"both", OLD): "[0,1,0]",
        (b"both", NEW): None,
        (b"refused", OLD): None,
        (b"newer", NEW): "[0,0,1]",
    }
    assert {one["model"]: one["state"] for one in database.all(_STATES, {})} == {OLD: "active", NEW: "retiring"}
    waiting = database.all("SELECT source_ref FROM codex_kb.codex_task_memory_index WHERE waits", {})
    assert {one["source_ref"] for one in waiting} == {"newer", "pending"}
    assert PgMemoryModels(database).in_use("configured:3") == OLD
    filters = Filters("default", uuid4(), per_task=False)
    found = PgMemorySearch(database).search(Question(OLD, vector=NORTH), filters, 9)
    assert found[0].memory.text == "both"
    assert {one.memory.text for one in found} == {"both", "equal"}
    database.close()
