"""Search among 120,000 memories: whatever the filters leave, as many are found as match, and the nearest.

Vectors have 256 dimensions here, which a test can afford; `make bench-memory` has 3,072.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.memory_index import Filters, Question
from shared.postgres.database import Database
from shared.postgres.half_vector import HalfVector
from shared.postgres.memory_candidates import EXACT
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.scratch import scratch_database
from tests.integration.postgres.generated_memories import (
    BUT,
    CLASSES,
    far,
    generate,
    plan,
    question,
    recall,
    rows_read,
)
from tests.patience import patient

pytestmark = pytest.mark.timeout(600)

ROWS, DIMENSION, WANTED = 120_000, 256, 10
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
_LEFT = "SELECT count(*) FROM codex_kb.codex_task_memory_index WHERE tenant = 'default' AND tags @> %s"

_CROWD = """
UPDATE codex_kb.codex_task_memory_index SET task_id = md5('task 1')::uuid WHERE source_ref::int < %(rows)s
"""
_NEARER = """
UPDATE codex_kb.codex_task_memory_vectors SET embedding = l2_normalize(embedding + %(vector)s::halfvec)
WHERE content_hash IN (SELECT content_hash FROM codex_kb.codex_task_memory_index WHERE source_ref::int < %(rows)s)
"""
_POPULAR = "UPDATE codex_kb.codex_task_memory_index SET content_hash = '' WHERE source_ref::int < 5000"
_ITS_VECTOR = """
INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding)
VALUES (%(model)s, '', %(vector)s)
"""
_NEAREST = """
SELECT content_hash FROM codex_kb.codex_task_memory_vectors AS made
WHERE EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS memory
    WHERE memory.content_hash = made.content_hash AND tenant = 'default')
ORDER BY embedding <=> %(vector)s LIMIT 10
"""
_FOUND = "SELECT content_hash FROM codex_kb.codex_task_memory_index WHERE id = ANY(%(ids)s)"


@pytest.fixture(scope="module")
def stock(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """The DSN of a database with 120,000 memories and their index."""
    with scratch_database(postgres_server, migrated_template) as dsn:
        generate(dsn, ROWS, DIMENSION)
        assert PgMemoryIndexes(dsn, MODEL).make()
        yield dsn


@pytest.fixture(scope="module")
def search(stock: str) -> Iterator[PgMemorySearch]:
    database = patient(stock)
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
    recalled = [found_of(stock, search, vector, condition, **filters) for vector in vectors]
    assert sum(recalled) / len(recalled) >= 0.98


@pytest.mark.parametrize("tag", [*CLASSES, BUT])
def test_where_filters_take_away_the_neighbourhood_the_nearest_of_the_others_are_found(
    stock: str, search: PgMemorySearch, vectors: list[list[float]], tag: str
) -> None:
    tags = [far(tag, number) for number in QUESTIONS]
    with psycopg.connect(stock) as connection:
        for some in set(tags):
            (left,) = connection.execute(_LEFT, [[some]]).fetchone() or (0,)
            assert left > EXACT, "so many are looked at one by one"
    recalled = [
        found_of(stock, search, vector, f"n.tags @> '{{{some}}}'", tags=(some,))
        for vector, some in zip(vectors, tags, strict=True)
    ]
    assert sum(recalled) / len(recalled) >= 0.98


@pytest.mark.parametrize("tag", ["par", BUT])
def test_where_filters_take_away_the_neighbourhood_no_vector_is_looked_up_for_each_row_that_matches(
    stock: str, vectors: list[list[float]], tag: str
) -> None:
    some = far(tag, QUESTIONS[1])
    with psycopg.connect(stock) as connection:
        (left,) = connection.execute(_LEFT, [[some]]).fetchone() or (0,)
    _, looked_up = rows_read(stock, MODEL, vectors[1], anything(tags=(some,)), EXACT)
    # The index was followed before it was given up.
    assert 0 < looked_up < left


def found_of(stock: str, search: PgMemorySearch, vector: list[float], condition: str, **filters: Any) -> float:
    """How much of the nearest is found; there are always as many answers as match."""
    found = [one.memory.id for one in search.search(Question(MODEL, None, vector), anything(**filters), WANTED)]
    wanted, recalled = recall(stock, MODEL, vector, condition, found, WANTED)
    assert len(found) == wanted
    return recalled


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
        for table in ("codex_task_memory_index", "codex_task_memory_vectors"):
            connection.execute("DELETE FROM pg_statistic WHERE starelid = %s::regclass", [f"codex_kb.{table}"])
            connection.execute("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname = %s", [table])
        for filters in ({}, {"tags": ("half",)}, {"kind": "change"}):
            assert "Index Scan using idx_codex_task_memory_near_" in plan(
                connection, MODEL, vectors[0], anything(**filters)
            )
        connection.rollback()


def test_the_sketch_of_a_question_is_made_once(stock: str, vectors: list[list[float]]) -> None:
    with psycopg.connect(stock) as connection:
        assert "binary_quantize" not in plan(connection, MODEL, vectors[0], anything())


def test_a_task_with_all_the_nearest_memories_does_not_hide_the_others(dsn: str, database: Database) -> None:
    # More dimensions than elsewhere: the fewer there are, the more contents are looked at.
    model, rows = generate(dsn, 4400, 1024), 4000
    vector = question(dsn, 5, 1024)
    database.do("SET session_replication_role = replica", {})
    database.do(_CROWD, {"rows": rows})
    database.do(_NEARER, {"rows": rows, "vector": HalfVector(vector)})
    found = PgMemorySearch(database, 0).search(Question(model, None, vector), anything(), WANTED)
    assert len({one.memory.task_id for one in found}) == WANTED
    assert all(one.score <= 1 for one in found), "a memory is counted once"
    wanted, recalled = recall(dsn, model, vector, "true", [one.memory.id for one in found], WANTED)
    assert (wanted, recalled) == (WANTED, 1)


def test_one_task_with_most_of_the_memories_does_not_hide_the_others(dsn: str, database: Database) -> None:
    model = generate(dsn, 400, 64)
    database.do("SET session_replication_role = replica", {})
    database.do(_CROWD, {"rows": 300})
    vector = question(dsn, 5, 64)
    for exact in (0, 1000):
        found = PgMemorySearch(database, exact).search(Question(model, None, vector), anything(), WANTED)
        assert len({one.memory.task_id for one in found}) == WANTED


def test_one_content_that_is_everywhere_does_not_hide_the_others(dsn: str, database: Database) -> None:
    model = generate(dsn, 2000, 64)
    same = "UPDATE codex_kb.codex_task_memory_index SET content_hash = '' WHERE source_ref::int %% 20 > 0"
    database.do(same, {"": None})
    # It is most like what is asked for.
    nearest = (
        "INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding) SELECT model, '', embedding "
        "FROM codex_kb.codex_task_memory_vectors WHERE content_hash = sha256(int8send(5))"
    )
    database.do(nearest, {})
    vector = question(dsn, 5, 64)
    for exact in (0, 10_000):
        found = PgMemorySearch(database, exact).search(Question(model, None, vector), anything(), WANTED)
        assert len(found) == WANTED


def test_of_a_content_that_thousands_of_rows_share_a_few_are_read(dsn: str, database: Database) -> None:
    model = generate(dsn, 7000, DIMENSION)
    vector = question(dsn, 5500, DIMENSION)
    database.do(_POPULAR, {})
    # It is the nearest of all.
    database.do(_ITS_VECTOR, {"model": model, "vector": HalfVector(vector)})
    assert PgMemoryIndexes(dsn, model, 1000).make()
    database.do("ANALYZE codex_kb.codex_task_memory_index, codex_kb.codex_task_memory_vectors", {})
    filters = anything(per_task=False)
    found = PgMemorySearch(database, 1000).search(Question(model, None, vector), filters, WANTED)
    ids = [one.memory.id for one in found]
    assert database.all(_FOUND, {"ids": ids[:1]}) == [{"content_hash": b""}]
    contents = {row["content_hash"] for row in database.all(_FOUND, {"ids": ids})}
    assert contents == {row["content_hash"] for row in database.all(_NEAREST, {"vector": HalfVector(vector)})}
    memories, _ = rows_read(dsn, model, vector, filters, 1000)
    assert memories < 4000
