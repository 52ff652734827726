"""Search in Postgres: what the contract with the fakes cannot show."""

from uuid import UUID, uuid4

import pytest

from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from tests.integration.postgres.conftest import AcceptTask

MODEL = "model:3"
EAST, NORTH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
_AGE = "UPDATE codex_kb.codex_task_memory_index SET created_at = now() - interval '90 days' WHERE task_id = %(task)s"


@pytest.fixture
def search(database: Database) -> PgMemorySearch:
    return PgMemorySearch(database)


def remember(accept: AcceptTask, database: Database, name: str, vector: tuple[float, ...]) -> UUID:
    task = accept(name).run_id
    memories = PgMemories(database)
    PgMemoryModels(database).in_use(MODEL)
    (text,) = memories.missing([task], 1)
    row = MemoryRow(stable_id("memory", name), text, 0, text.text, name.encode(), vector, MODEL)
    memories.store([row], None, None)
    return task


def anything(max_age_days: int | None = None) -> Filters:
    return Filters("default", uuid4(), max_age_days=max_age_days)


def test_of_two_alike_the_younger_comes_first(accept: AcceptTask, database: Database, search: PgMemorySearch) -> None:
    old, young = (remember(accept, database, name, EAST) for name in ("old", "young"))
    database.do(_AGE, {"task": old})
    found = search.search(Question(MODEL, None, EAST), anything(), 9)
    assert [one.memory.task_id for one in found] == [young, old]
    assert [one.parts["age"] for one in found] == pytest.approx([1.0, 0.975], abs=1e-3)
    (only,) = search.search(Question(MODEL, None, EAST), anything(89), 9)
    assert only.memory.task_id == young
    assert len(search.search(Question(MODEL, None, EAST), anything(91), 9)) == 2


def test_age_buries_nothing(accept: AcceptTask, database: Database, search: PgMemorySearch) -> None:
    old = remember(accept, database, "old", EAST)
    database.do(_AGE, {"task": old})
    for number in range(20):
        remember(accept, database, f"young {number}", (number / 100, 1.0, 0.0))
    found = search.search(Question(MODEL, None, EAST), anything(), 3)
    assert old in [one.memory.task_id for one in found]


def test_what_only_shares_words_with_a_prompt_is_not_shown_to_its_task(
    accept: AcceptTask, database: Database, search: PgMemorySearch
) -> None:
    asking = remember(accept, database, "asking", EAST)
    for number in range(3):
        remember(accept, database, f"asking {number}", NORTH)
    near = remember(accept, database, "near", (0.9, 0.1, 0.0))
    (found,) = search.nearest_to_task(asking, 1)
    assert found.memory.task_id == near
