"""Search among a hundred thousand memories: whatever the filters leave, as many are found as match, and the nearest.

Vectors have 256 dimensions here, which a test can afford; `make bench-memory` has 3,072.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.memory_index import Filters, Question
from shared.postgres.database import Database
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.scratch import scratch_database
from tests.integration.postgres.generated_memories import generate, nearest, plan, question

pytestmark = pytest.mark.timeout(600)

ROWS, DIMENSION, WANTED = 100_000, 256, 10
MODEL = f"generated:{DIMENSION}"
QUESTIONS = range(0, 40_000, 4001)
# What is asked for, and the same in SQL.
FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "0.02%": ({"tags": ("thousandth",), "kind": "change"}, "n.tags @> '{thousandth}' AND n.kind = 'change'"),
    "0.1%": ({"tags": ("thousandth",)}, "n.tags @> '{thousandth}'"),
    "0.5%": ({"namespace": "area3"}, "n.namespaces @> '{area3}'"),
    "1%": ({"tags": ("hundredth",)}, "n.tags @> '{hundredth}'"),
    "5%": ({"outcome": "failed"}, "task.status = 'failed'"),
    "10%": ({"tags": ("tenth",)}, "n.tags @> '{tenth}'"),
    "25%": ({"kind": "change"}, "n.kind = 'change'"),
    "50%": ({"tags": ("half",)}, "n.tags @> '{half}'"),
    "100%": ({"max_age_days": 3, "resource_kind": "Deployment"}, "true"),
}


@pytest.fixture(scope="module")
def stock(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """The DSN of a database with a hundred thousand memories and their index."""
    with scratch_database(postgres_server, migrated_template) as dsn:
        generate(dsn, ROWS, DIMENSION)
        assert PgMemoryIndexes(dsn, MODEL).make()
        yield dsn


@pytest.fixture(scope="module")
def search(stock: str) -> Iterator[PgMemorySearch]:
    database = Database(stock)
    yield PgMemorySearch(database)
    database.close()


@pytest.fixture(scope="module")
def vectors(stock: str) -> list[list[float]]:
    return [question(stock, number, DIMENSION) for number in QUESTIONS]


def anything(tenant: str = "default", not_task: UUID | None = None, **more: Any) -> Filters:
    return Filters(tenant, not_task or uuid4(), **more)


@pytest.mark.parametrize("share", FILTERS)
def test_as_many_are_found_as_match_and_they_are_the_nearest(
    stock: str, search: PgMemorySearch, vectors: list[list[float]], share: str
) -> None:
    filters, condition = FILTERS[share]
    recalled: list[float] = []
    for vector in vectors:
        wanted = nearest(stock, MODEL, vector, condition, WANTED)
        found = [one.memory.id for one in search.search(Question(MODEL, None, vector), anything(**filters), WANTED)]
        assert len(found) == len(wanted)
        recalled.append(len(set(found) & set(wanted)) / max(1, len(wanted)))
    assert sum(recalled) / len(recalled) >= 0.98


@pytest.mark.parametrize("text", [None, "repair the subject17 of area50 before number4711"])
def test_no_filter_and_no_id_reaches_another_tenant(
    search: PgMemorySearch, vectors: list[list[float]], text: str | None
) -> None:
    hostile = ["' OR true --", "elsewhere", "%", "{}", "{area3}", "*", "default' OR tenant = 'elsewhere", "\\"]
    values: list[dict[str, Any]] = [{}, *(share[0] for share in FILTERS.values())]
    for value in hostile:
        values += [{"namespace": value}, {"resource_kind": value}, {"repository": value}, {"kind": value}]
        values += [{"tags": (value,)}, {"outcome": value}]
    for vector in (vectors[0], vectors[-1], None):
        for filters in values:
            for tenant in ("default", "elsewhere", "nobody' OR 'a' = 'a"):
                found = search.search(Question(MODEL, text, vector), anything(tenant=tenant, **filters), WANTED)
                assert {one.memory.tenant for one in found} <= {tenant}


def test_the_task_of_another_tenant_is_no_key_to_its_memories(stock: str, search: PgMemorySearch) -> None:
    with psycopg.connect(stock) as connection:
        strangers: list[tuple[UUID]] = connection.execute(
            "SELECT DISTINCT task_id FROM codex_kb.codex_task_memory_index WHERE tenant = 'elsewhere' LIMIT 20"
        ).fetchall()
    for (stranger,) in strangers:
        found = search.search(Question(MODEL, "repair"), anything(not_task=stranger), WANTED)
        assert {one.memory.tenant for one in found} == {"default"}
        assert {one.memory.tenant for one in search.nearest_to_task(stranger, WANTED)} <= {"elsewhere"}


def test_nearest_vectors_come_from_the_index_whatever_the_statistics_say(
    stock: str, vectors: list[list[float]]
) -> None:
    with psycopg.connect(stock) as connection:
        for filters in ({}, {"tags": ("half",)}, {"kind": "change"}):
            assert "Index Scan using idx_codex_task_memory_near_" in plan(
                connection, MODEL, vectors[0], anything(**filters)
            )
        connection.execute("DELETE FROM pg_statistic WHERE starelid = 'codex_kb.codex_task_memory_index'::regclass")
        connection.execute("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname = 'codex_task_memory_index'")
        for filters in ({}, {"tags": ("half",)}, {"kind": "change"}):
            assert "Index Scan using idx_codex_task_memory_near_" in plan(
                connection, MODEL, vectors[0], anything(**filters)
            )
        connection.rollback()


def test_one_task_with_most_of_the_memories_does_not_hide_the_others(dsn: str, database: Database) -> None:
    model = generate(dsn, 400, 64)
    crowd = "UPDATE codex_kb.codex_task_memory_index SET task_id = md5('task 1')::uuid WHERE source_ref::int < 300"
    database.do("SET session_replication_role = replica", {})
    database.do(crowd, {})
    vector = question(dsn, 5, 64)
    for exact in (0, 1000):
        found = PgMemorySearch(database, exact).search(Question(model, None, vector), anything(), WANTED)
        assert len({one.memory.task_id for one in found}) == WANTED


def test_one_content_that_is_everywhere_does_not_hide_the_others(dsn: str, database: Database) -> None:
    model = generate(dsn, 2000, 64)
    same = "UPDATE codex_kb.codex_task_memory_index SET content_hash = '' WHERE source_ref::int %% 20 > 0"
    database.do(same, {"": None})
    vector = question(dsn, 5, 64)
    for exact in (0, 10_000):
        found = PgMemorySearch(database, exact).search(Question(model, None, vector), anything(), WANTED)
        assert len(found) == WANTED
