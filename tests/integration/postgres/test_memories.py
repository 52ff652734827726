"""The memory index in Postgres: what the contract with the fakes cannot show."""

import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.events.catalogue import TaskAccepted, TaskPrepared, announce
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_migration import PgMigration
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from tests.integration.postgres.conftest import AcceptTask

MODEL = "model:3"
EAST = (1.0, 0.0, 0.0)


@pytest.fixture
def memories(database: Database) -> PgMemories:
    PgMemoryModels(database).in_use(MODEL)
    return PgMemories(database)


@pytest.fixture
def search(database: Database) -> PgMemorySearch:
    return PgMemorySearch(database)


def rows(text: Text, vector: tuple[float, ...] | None, *contents: str) -> list[MemoryRow]:
    def one(number: int, content: str) -> MemoryRow:
        identity = stable_id("memory", str(text.task_id), text.source_ref, str(number))
        return MemoryRow(identity, text, number, content, content.encode(), vector, MODEL if vector else None)

    return [one(number, content) for number, content in enumerate(contents)]


def remember(memories: PgMemories, task: UUID, vector: tuple[float, ...] | None, *contents: str) -> None:
    (text,) = memories.missing([task], 9)
    memories.store(rows(text, vector, *(contents or [text.text])), None, None)


def anything() -> Filters:
    return Filters("default", uuid4())


def test_vectors_of_models_with_other_dimensions_live_side_by_side(
    accept: AcceptTask, memories: PgMemories, search: PgMemorySearch, database: Database
) -> None:
    PgMigration(database).begin("large:3072")
    small, large = accept("small").run_id, accept("large").run_id
    remember(memories, small, EAST)
    (text,) = memories.missing([large], 9)
    identity = stable_id("memory", str(large))
    memories.store([MemoryRow(identity, text, 0, "large", b"", [0.1] * 3072, "large:3072")], None, None)
    assert [one.memory.task_id for one in search.search(Question(MODEL, vector=EAST), anything(), 9)] == [small]
    long = Question("large:3072", vector=[0.1] * 3072)
    assert [one.memory.task_id for one in search.search(long, anything(), 9)] == [large]


def test_the_vectors_of_two_models_are_kept_of_one_row(
    accept: AcceptTask, memories: PgMemories, search: PgMemorySearch, database: Database
) -> None:
    task = accept().run_id
    remember(memories, task, EAST)
    PgMemoryModels(database).switch("new:2")
    (text,) = memories.missing([task], 9)
    (again,) = rows(text, (1.0, 0.0), text.text)
    memories.store([replace(again, model="new:2")], None, None)
    for question in (Question(MODEL, vector=EAST), Question("new:2", vector=(1.0, 0.0))):
        assert [one.memory.id for one in search.search(question, anything(), 9)] == [again.id]
    assert len(database.all("SELECT FROM codex_kb.codex_task_memory_index", {})) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the of and",
        "&|!():*<->'\\\"",
        "a & b | !c <-> d:*",
        "back-off re-try",
        "https://example.com/a?b=1&c=2",
        "R&D AT&T",
        "ziggurat " * 5000,
        "\U0001f600",
    ],
    ids=lambda text: text[:20],
)
def test_any_text_can_be_asked_for_by_its_words(
    accept: AcceptTask, memories: PgMemories, search: PgMemorySearch, text: str
) -> None:
    remember(memories, accept(prompt="repair the ziggurat pumps").run_id, None)
    found = search.search(Question(MODEL, text), anything(), 9)
    assert len(found) == ("ziggurat" in text)


def test_words_are_compared_by_their_stems_and_more_matches_score_higher(
    accept: AcceptTask, memories: PgMemories, search: PgMemorySearch
) -> None:
    one = accept("one", prompt="Retrying failed deliveries").run_id
    two = accept("two", prompt="The delivery of flowers").run_id
    for task in (one, two):
        remember(memories, task, None)
    found = search.search(Question(MODEL, "retry a failing delivery"), anything(), 9)
    assert [recalled.memory.task_id for recalled in found] == [one, two]
    assert found[0].score > found[1].score


def test_only_the_best_piece_of_a_text_is_found(
    accept: AcceptTask, memories: PgMemories, search: PgMemorySearch
) -> None:
    remember(memories, accept().run_id, None, "pumps", "ziggurat pumps", "flowers")
    (found,) = search.search(Question(MODEL, "ziggurat pumps"), anything(), 9)
    assert found.memory.text == "ziggurat pumps"


def test_old_texts_are_caught_up_with_only_while_they_wait_for_a_vector(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    waiting, done = accept("waiting").run_id, accept("done").run_id
    remember(memories, waiting, None)
    remember(memories, done, EAST)
    database.do("UPDATE codex_kb.codex_tasks SET updated_at = now() - interval '2 days'", {})
    assert memories.waiting(9) == [waiting]
    PgMemoryModels(database).switch("new:2")
    assert set(memories.waiting(9)) == {waiting, done}


def test_large_texts_come_a_few_at_a_time_and_each_comes_in_the_end(accept: AcceptTask, memories: PgMemories) -> None:
    tasks = [accept(f"task {number}", prompt="x" * 1_000_000).run_id for number in range(9)]
    small = accept("small").run_id
    left = set(memories.waiting(99))
    assert left == {*tasks, small}
    while left:
        texts = memories.missing(list(left), 99)
        assert 1 <= len(texts) <= 5
        memories.store([row for text in texts for row in rows(text, EAST, "x")], None, None)
        left -= {text.task_id for text in texts}
    assert memories.waiting(99) == []


def test_a_text_of_white_space_alone_is_not_missing(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    task = accept().run_id
    database.do("UPDATE codex_kb.codex_tasks SET prompt = E' \\n\\t\\r\\n'", {})
    assert (memories.missing([task], 9), memories.waiting(9)) == ([], [])


def test_a_refused_text_keeps_the_vector_of_an_earlier_model(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    task = accept().run_id
    remember(memories, task, EAST)
    PgMemoryModels(database).switch("new:2")
    (text,) = memories.missing([task], 9)
    (refused,) = rows(text, None, text.text)
    memories.store([replace(refused, model="new:2")], None, None)
    assert memories.waiting(9) == []
    found = database.all("SELECT model, embedding IS NULL AS none FROM codex_kb.codex_task_memory_vectors", {})
    assert {row["model"]: row["none"] for row in found} == {MODEL: False, "new:2": True}


def test_one_event_delivered_many_times_at_once_is_acted_on_once(
    accept: AcceptTask, memories: PgMemories, outbox_types: Callable[[], list[str]]
) -> None:
    task = accept().run_id
    received, prepared = announce(TaskAccepted(task), "x", None), announce(TaskPrepared(task), "embedder", None)
    (text,) = memories.missing([task], 9)
    results: list[bool] = []
    start = threading.Barrier(8)

    def deliver() -> None:
        start.wait()
        results.append(memories.store(rows(text, EAST, "x"), received, prepared))

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert outbox_types() == ["task.accepted.v1", "task.prepared.v1"]


def test_an_effect_that_fails_is_not_marked_as_received(
    accept: AcceptTask, memories: PgMemories, database: Database
) -> None:
    task = accept().run_id
    received = announce(TaskAccepted(task), "x", None)
    (text,) = memories.missing([task], 9)
    broken = rows(Text(uuid4(), *[getattr(text, name) for name in Text.__slots__[1:]]), EAST, "of nobody")
    with pytest.raises(Exception, match="foreign key"):
        memories.store(broken, received, None)
    assert database.all("SELECT FROM codex_kb.inbox", {}) == []
    assert memories.store(rows(text, EAST, "x"), received, None)
