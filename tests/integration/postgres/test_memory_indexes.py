"""The index of a model's sketches: who makes it, and what a kill in the middle leaves."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from shared.cli.main import app
from shared.domain.errors import Unavailable
from shared.postgres.memory_candidates import EXACT
from shared.postgres.memory_indexes import PgMemoryIndexes, index_name
from tests.component.roles import dsn_of
from tests.integration.postgres.generated_memories import generate

_INDEXES = """
SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relname LIKE 'idx_codex_task_memory_near_%'
"""
# What is left of an index whose maker was killed.
_INVALIDATE = """
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN (
    SELECT oid FROM pg_class WHERE relname LIKE 'idx_codex_task_memory_near_%')
"""
_NAMES = "SELECT relname FROM pg_class WHERE relname LIKE 'idx_codex_task_memory_near_%' ORDER BY relname"
# As it was made before, with the parameters of pgvector.
_BEFORE = """
CREATE INDEX {name} ON codex_kb.codex_task_memory_vectors
USING hnsw ((sketch::bit(64)) bit_hamming_ops) WHERE model = '{model}'
"""


@pytest.fixture
def model(dsn: str) -> str:
    return generate(dsn, 300, 64)


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def valid(connection: psycopg.Connection) -> list[bool]:
    return [row[0] for row in connection.execute(_INDEXES)]


def test_there_is_no_index_until_there_are_rows_enough(dsn: str, model: str, connection: psycopg.Connection) -> None:
    assert not PgMemoryIndexes(dsn, model, 300).make()
    assert not PgMemoryIndexes(dsn, "another:64", 10).make()
    assert valid(connection) == []
    assert PgMemoryIndexes(dsn, model, 299).make()
    assert valid(connection) == [True]


def test_an_index_is_made_once_however_many_look_after_it(dsn: str, model: str, connection: psycopg.Connection) -> None:
    made: list[bool] = []
    start = threading.Barrier(4)

    def make() -> None:
        start.wait()
        made.append(PgMemoryIndexes(dsn, model, 10).make())

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 3 + [True]
    assert valid(connection) == [True]


def test_what_a_killed_maker_has_left_is_made_anew(dsn: str, model: str, connection: psycopg.Connection) -> None:
    indexes = PgMemoryIndexes(dsn, model, 10)
    assert indexes.make()
    connection.execute(_INVALIDATE)
    assert valid(connection) == [False]
    assert indexes.make()
    assert valid(connection) == [True]


def names(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute(_NAMES)]


def make_as_before(connection: psycopg.Connection, model: str) -> str:
    """The name of an index with other parameters."""
    name = index_name(model).rsplit("_", 2)[0]
    connection.execute(_BEFORE.format(name=name, model=model).encode())
    return name


def test_one_with_other_parameters_is_replaced(dsn: str, model: str, connection: psycopg.Connection) -> None:
    make_as_before(connection, model)
    of_another = make_as_before(connection, "another:64")
    assert PgMemoryIndexes(dsn, model, 10).make()
    assert names(connection) == sorted([index_name(model), of_another])
    assert all(valid(connection))


def test_one_with_other_parameters_is_dropped_by_whoever_finds_it(
    dsn: str, model: str, connection: psycopg.Connection
) -> None:
    """A maker was killed after the new one was there."""
    assert PgMemoryIndexes(dsn, model, 10).make()
    make_as_before(connection, model)
    indexes = PgMemoryIndexes(dsn, model, 10)
    assert not indexes.make()
    assert names(connection) == [index_name(model)]
    make_as_before(connection, model)
    indexes.drop()
    assert names(connection) == []


def test_one_that_is_being_made_is_left_alone(dsn: str, model: str, connection: psycopg.Connection) -> None:
    """The maker waits for an old transaction meanwhile: nobody waits for the maker."""
    with psycopg.connect(dsn) as old:
        old.execute("LOCK TABLE codex_kb.codex_task_memory_vectors IN ROW EXCLUSIVE MODE")
        maker = threading.Thread(target=PgMemoryIndexes(dsn, model, 10).make)
        maker.start()
        while not valid(connection):
            assert maker.is_alive()
        assert not PgMemoryIndexes(dsn, model, 10).make()
        assert valid(connection) == [False]
    maker.join()
    assert valid(connection) == [True]


def test_the_caller_does_not_wait(dsn: str, model: str, connection: psycopg.Connection) -> None:
    with psycopg.connect(dsn) as old:
        old.execute("LOCK TABLE codex_kb.codex_task_memory_vectors IN ROW EXCLUSIVE MODE")
        indexes = PgMemoryIndexes(dsn, model, 10)
        for _ in range(3):
            indexes.look_after()
        assert indexes._thread is not None
        assert indexes._thread.is_alive()
    indexes._thread.join()
    assert valid(connection) == [True]


def test_a_database_that_is_away_is_told_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    indexes = PgMemoryIndexes("postgresql://facteur:a-secret@127.0.0.1:1/facteur", "m:64")
    indexes.look_after()
    assert indexes._thread is not None
    indexes._thread.join()
    assert "memory index not made" in caplog.text
    assert "a-secret" not in caplog.text


def test_the_role_of_embedder_leaves_the_index_to_the_owner(
    dsn: str, model: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    indexes = PgMemoryIndexes(dsn_of("embedder", dsn), model, 10)
    for _ in range(3):
        indexes.look_after()
        assert indexes._thread is not None
        indexes._thread.join()
    assert [record.message for record in caplog.records] == ["memory index left to `facteur memory index`"]
    assert valid(connection) == []
    with pytest.raises(Unavailable):
        indexes.finish()


def test_the_command_makes_the_index_once_it_is_needed(dsn: str, connection: psycopg.Connection) -> None:
    command = ["memory", "index", "--dsn", dsn]
    assert CliRunner().invoke(app, command).stdout == "no model is in use yet\n"
    model = generate(dsn, EXACT + 1, 64)
    for _ in range(2):
        done = CliRunner().invoke(app, command)
        assert (done.exit_code, done.stdout) == (0, f"{model} has the index that it needs\n")
        assert names(connection) == [index_name(model)]
    refused = CliRunner().invoke(app, ["memory", "index", "--dsn", "postgresql://facteur:a-secret@127.0.0.1:1/x"])
    assert refused.exit_code == 1
    assert "a-secret" not in refused.output
