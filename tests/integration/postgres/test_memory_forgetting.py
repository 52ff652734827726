"""Forgetting in Postgres: what the contract with the fakes cannot show. Who stores at the same moment loses nothing."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

import psycopg
import pytest

from shared.domain.errors import InFlight
from shared.domain.forgetting import KINDS, Choice
from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.domain.offer import Offered, Standing, offer
from shared.domain.policy import Verdict
from shared.domain.run import RunState
from shared.events.catalogue import TaskFinished, announce
from shared.postgres import memory_retention
from shared.postgres.database import Cursor, Database
from shared.postgres.launches import PgLaunches
from shared.postgres.memories import PgMemories
from shared.postgres.memory_forgetting import PgMemoryForgetting
from shared.postgres.memory_migration import PgMigration
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_retention import PgMemoryRetention
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.memory_sources import SOURCES
from shared.postgres.memory_trials import PgMemoryTrials
from shared.postgres.runs import PgRuns
from tests.component.conftest import until
from tests.integration.postgres.conftest import AcceptTask, claim, launch
from tests.patience import PATIENCE

T = TypeVar("T")
MODEL = "model:2"
WORDS = "the same words"
WAITING_FOR_ROWS = "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
WAITING = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


class Held(Database):
    """A database whose transactions wait at their end until the test lets them commit."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, timeout=PATIENCE, lock_timeout=PATIENCE)
        self.at_the_end, self.go = threading.Event(), threading.Event()

    def transaction(self, work: Callable[[Cursor], T]) -> T:
        def inside(cursor: Cursor) -> T:
            result = work(cursor)
            self.at_the_end.set()
            assert self.go.wait(PATIENCE)
            return result

        return super().transaction(inside)


@pytest.fixture
def memories(database: Database) -> PgMemories:
    PgMemoryModels(database).in_use(MODEL)
    return PgMemories(database)


@pytest.fixture
def held(dsn: str) -> Iterator[Held]:
    database = Held(dsn)
    yield database
    database.go.set()
    database.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def row(text: Text, content: str = WORDS, vector: bool = True) -> MemoryRow:
    identity = stable_id("memory", str(text.task_id), text.kind, text.source_ref)
    made = ((1.0, 0.0), MODEL) if vector else (None, None)
    return MemoryRow(identity, text, 0, content, content.encode(), *made)


def remember(memories: PgMemories, task: UUID, vector: bool = True) -> None:
    (text,) = memories.missing([task], 9)
    memories.store([row(text, vector=vector)], None, None)


def old(database: Database, task: UUID) -> None:
    grow = "UPDATE codex_kb.codex_task_memory_index SET created_at = now() - interval '9 days' WHERE task_id = %(task)s"
    assert database.do(grow, {"task": task}) > 0


def unmade(database: Database) -> None:
    """The vector stays, and nobody has its content."""
    database.do("DELETE FROM codex_kb.codex_task_memory_index", {})


# Each takes the vector of a content away unless somebody needs it; the first task is the one that has it.
TAKERS: dict[str, Callable[[Database, UUID], object]] = {
    "forget": lambda database, task: PgMemoryForgetting(database).forget(Choice(task), "me", purge_prompts=False),
    "age": lambda database, _: PgMemoryRetention(database).forget_old({"*": 5}, 99),
    "unneeded": lambda database, _: PgMemoryRetention(database).drop_unneeded(b"", 99),
}


def prepared(taker: str, accept: AcceptTask, memories: PgMemories, database: Database) -> tuple[UUID, Text]:
    """A task whose vector is to be taken, and the text of one of another tenant that is the same."""
    first = accept("first").run_id
    remember(memories, first)
    old(database, first)
    if taker == "unneeded":
        unmade(database)
    (text,) = memories.missing([accept("second", tenant="elsewhere").run_id], 9)
    assert memories.known([WORDS.encode()], MODEL), "it is not embedded again"
    return first, text


def consistent(database: Database) -> bool:
    """Each memory has a vector or waits for one."""
    broken = """
    SELECT FROM codex_kb.codex_task_memory_index AS memory WHERE NOT waits AND NOT EXISTS (
        SELECT FROM codex_kb.codex_task_memory_vectors AS made WHERE made.content_hash = memory.content_hash)
    """
    return not database.all(broken, {})


@pytest.mark.parametrize("taker", TAKERS)
def test_who_is_about_to_store_an_equal_text_keeps_its_vector(
    taker: str, accept: AcceptTask, memories: PgMemories, database: Database, held: Held, threads: ThreadPoolExecutor
) -> None:
    first, text = prepared(taker, accept, memories, database)
    storing = threads.submit(PgMemories(held).store, [row(text, vector=False)], None, None)
    assert held.at_the_end.wait(PATIENCE)
    taking = threads.submit(TAKERS[taker], database, first)
    until(lambda: taking.done() or database.all(WAITING, {}))
    held.go.set()
    assert storing.result(PATIENCE)
    taking.result(PATIENCE)
    assert memories.known([WORDS.encode()], MODEL)
    assert memories.waiting(9) == ([first] if taker == "unneeded" else [])
    assert consistent(database)


@pytest.mark.parametrize("taker", TAKERS)
def test_who_stores_an_equal_text_while_its_vector_is_taken_waits_for_another(
    taker: str, accept: AcceptTask, memories: PgMemories, database: Database, held: Held, threads: ThreadPoolExecutor
) -> None:
    first, text = prepared(taker, accept, memories, database)
    taking = threads.submit(TAKERS[taker], held, first)
    assert held.at_the_end.wait(PATIENCE)
    storing = threads.submit(memories.store, [row(text, vector=False)], None, None)
    until(lambda: storing.done() or database.all(WAITING, {}))
    held.go.set()
    taking.result(PATIENCE)
    assert storing.result(PATIENCE)
    assert not memories.known([WORDS.encode()], MODEL)
    assert text.task_id in memories.waiting(9)
    assert consistent(database)


@pytest.mark.parametrize("taker", ["forget", "age"])
def test_what_is_stored_while_it_is_forgotten_does_not_come_back(
    taker: str, accept: AcceptTask, memories: PgMemories, database: Database, held: Held, threads: ThreadPoolExecutor
) -> None:
    task = accept().run_id
    (text,) = memories.missing([task], 9)
    memories.store([row(text)], None, None)
    old(database, task)
    taking = threads.submit(TAKERS[taker], held, task)
    assert held.at_the_end.wait(PATIENCE)
    storing = threads.submit(memories.store, [row(text)], None, None)
    until(lambda: storing.done() or database.all(WAITING, {}))
    held.go.set()
    taking.result(PATIENCE)
    assert storing.result(PATIENCE)
    assert database.all("SELECT FROM codex_kb.codex_task_memory_index", {}) == []
    assert database.all("SELECT FROM codex_kb.codex_task_memory_vectors", {}) == []


def test_storms_of_storing_and_forgetting_leave_nothing_without_vector_and_no_vector_unneeded(
    accept: AcceptTask, memories: PgMemories, database: Database, threads: ThreadPoolExecutor
) -> None:
    forgetting, retention = PgMemoryForgetting(database), PgMemoryRetention(database)
    tasks = [accept(f"task {number}", tenant="ab"[number % 2]).run_id for number in range(60)]

    def live(number: int) -> None:
        """A task is remembered, with the vector if nobody has made it; every other one is forgotten at once."""
        (text,) = memories.missing([tasks[number]], 9)
        known = memories.known([WORDS.encode()], MODEL)
        memories.store([row(text, vector=not known)], None, None)
        if number % 2:
            forgetting.forget(Choice(tasks[number]), "me", purge_prompts=False)
        retention.drop_unneeded(b"", 99)

    futures: list[Future[None]] = [threads.submit(live, number) for number in range(len(tasks))]
    for future in futures:
        future.result(PATIENCE)
    assert consistent(database)
    kept = database.all("SELECT task_id FROM codex_kb.codex_task_memory_index", {})
    assert {one["task_id"] for one in kept} == set(tasks[::2])
    for task in tasks[::2]:
        forgetting.forget(Choice(task), "me", purge_prompts=False)
    assert database.all("SELECT FROM codex_kb.codex_task_memory_vectors", {}) == []


def test_what_is_forgotten_while_it_is_to_be_shown_is_shown_to_nobody(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    task, asking = accept("first").run_id, accept("second").run_id
    remember(memories, task)
    found = PgMemorySearch(database).search(Question(MODEL, WORDS), Filters("default", asking), 9)
    run, ids = claim(database, asking), [one.memory.id for one in found]
    offered = Offered(offer(asking, ids, 9, 0, Standing()), found, found)
    PgMemoryForgetting(database).forget(Choice(task), "me", purge_prompts=False)
    with pytest.raises(InFlight, match="forgotten"):
        PgMemoryTrials(database).choose(asking, 1, found, 9, 0)
    with pytest.raises(InFlight, match="forgotten"):
        PgLaunches(database).brief(run, WORDS, offered, None, Verdict(True, "ci", "", "v1"))
    assert PgLaunches(database).brief(run, "without it", None, None, Verdict(True, "ci", "", "v1")) == "without it"


def test_who_is_being_shown_a_memory_is_told_to_whoever_has_it_forgotten(
    accept: AcceptTask, memories: PgMemories, database: Database, held: Held, threads: ThreadPoolExecutor
) -> None:
    task, asking = accept("first").run_id, accept("second").run_id
    remember(memories, task)
    found = PgMemorySearch(database).search(Question(MODEL, WORDS), Filters("default", asking), 9)
    showing = threads.submit(PgMemoryTrials(held).choose, asking, 1, found, 9, 0)
    assert held.at_the_end.wait(PATIENCE)
    forgetting = threads.submit(PgMemoryForgetting(database).forget, Choice(task), "me", purge_prompts=False)
    until(lambda: forgetting.done() or database.all(WAITING_FOR_ROWS, {}))
    held.go.set()
    assert len(showing.result(PATIENCE).answer) == 1
    assert [one.task_id for one in forgetting.result(PATIENCE).seen_by] == [asking]


def test_a_migration_keeps_no_vector_of_what_was_forgotten_meanwhile(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    task = accept().run_id
    remember(memories, task)
    migration = PgMigration(database)
    migration.begin("other:2")
    ((content_hash, _),) = migration.missing("other:2", b"", 9)
    PgMemoryForgetting(database).forget(Choice(task), "me", purge_prompts=False)
    migration.keep([("other:2", content_hash, (1.0, 0.0))])
    assert database.all("SELECT FROM codex_kb.codex_task_memory_vectors", {}) == []


def test_what_was_forgotten_is_noted_without_its_text(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    task = accept(caller="mallory").run_id
    remember(memories, task)
    for _ in range(2):
        PgMemoryForgetting(database).forget(Choice(caller="mallory"), "operator", purge_prompts=False)
    (noted,) = database.all("SELECT * FROM codex_kb.memory_forgettings", {})
    assert (noted["forgotten_by"], noted["choice"], noted["memories"]) == (
        "operator",
        {"caller": "mallory"},
        {"prompt": 1},
    )
    assert (noted["tasks"], noted["vectors"], noted["seen_by"]) == (1, 1, [])
    assert WORDS not in str(noted)


def test_every_kind_that_is_made_has_a_name_in_the_settings(accept: AcceptTask, database: Database) -> None:
    run = launch(database, accept().run_id)
    PgRuns(database).finish(run, RunState.FAILED, "no", announce(TaskFinished(run.id, "failed"), "dispatcher", None))
    snapshot = """
    INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest)
    SELECT gen_random_uuid(), %(task)s, 1, type, '', '' FROM unnest(ARRAY['before', 'after']) AS type
    """
    database.do(snapshot, {"task": run.id})
    rows = database.all(f"SELECT DISTINCT kind FROM ({SOURCES}) AS sources", {})  # noqa: S608  # a constant
    made = {row["kind"] for row in rows}
    assert made <= KINDS
    assert KINDS - made <= {"final-message"}, "a success has one"


def test_what_is_old_and_what_is_unneeded_is_found_by_indexes(
    accept: AcceptTask, memories: PgMemories, database: Database, dsn: str
) -> None:
    remember(memories, accept().run_id)
    copies = """
    INSERT INTO codex_kb.codex_task_memory_index (id, task_id, kind, source_ref, chunk, tenant, content, content_hash,
        created_at)
    SELECT gen_random_uuid(), task_id, (ARRAY['prompt', 'events', 'outcome'])[n %% 3 + 1], n, 0, 'default', '',
        sha256(int8send(n)), now() - n * interval '1 hour'
    FROM codex_kb.codex_task_memory_index, generate_series(1::bigint, 20000) AS n
    """
    vectors = """
    INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding)
    SELECT model, memory.content_hash, embedding FROM codex_kb.codex_task_memory_index AS memory,
        codex_kb.codex_task_memory_vectors WHERE source_ref <> 'prompt'
    """
    for statement in (copies, vectors):
        assert database.do(statement, {}) == 20_000
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE codex_kb.codex_task_memory_index, codex_kb.codex_task_memory_vectors")
        for statement, parameters in (
            (memory_retention._OLD, {"days": '{"events": 30, "*": 900}', "limit": 250}),
            (memory_retention._UNNEEDED, {"start": b"\x80", "limit": 500}),
        ):
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}".encode(), parameters))
            assert "Seq Scan" not in plan, plan
