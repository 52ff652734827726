"""SQL stands in one place, and every statement of it fits the migrated schema."""

import ast
import importlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest

from tests.architecture.statements import STATEMENT, numbered
from tests.architecture.tree import dotted, modules, tree

# What changes the schema outside of migrations, and why it may.
_DEFINITION = re.compile(r"\s*(CREATE|ALTER|DROP|TRUNCATE)\s")
DEFINITIONS = {
    # The ledger of the migrations has to be there before the first of them.
    "shared/postgres/migrations.py": r"CREATE TABLE IF NOT EXISTS public\.facteur_migrations .*",
    # The demo and the tests make databases of their own, which have no schema yet.
    "shared/postgres/scratch.py": r"(CREATE|DROP) DATABASE .*",
    # Roles belong to the server, and their passwords and timeouts to no file.
    "shared/postgres/roles.py": r"CREATE ROLE .*",
    "shared/postgres/grants.py": r"ALTER ROLE .*",
    # Which models are in use, and have rows enough for an index, no migration can know.
    "shared/postgres/memory_indexes.py": r"(CREATE|DROP) INDEX CONCURRENTLY .*",
}


class Statement(NamedTuple):
    where: str
    line: int
    sql: str


def _literals(path: str) -> Iterator[Statement]:
    """The strings that begin as SQL does; of an f-string its fixed beginning."""
    parts = {id(part) for node in ast.walk(tree(path)) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in parts and STATEMENT.match(_text(node)):
            yield Statement(path, node.lineno, _text(node))


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _constants() -> Iterator[Statement]:
    """Every statement of shared/postgres as it is sent, put together from its parts."""
    for path in modules("shared/postgres"):
        module = importlib.import_module(dotted(path))
        for node in tree(path).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                value = getattr(module, node.targets[0].id)
                if isinstance(value, str) and STATEMENT.match(value):
                    yield Statement(path, node.lineno, value)


CONSTANTS = list(_constants())
LITERALS = [statement for path in modules("functions", "shared", "migrations") for statement in _literals(path)]


def _where(statement: Statement) -> str:
    return f"{statement.where}:{statement.line}"


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_every_statement_fits_the_migrated_schema(connection: psycopg.Connection) -> None:
    misfits = []
    statements = {_where(statement): statement.sql for statement in [*LITERALS, *CONSTANTS]}
    for where, sql in statements.items():
        if _DEFINITION.match(sql):
            continue
        answer = connection.pgconn.prepare(b"", numbered(sql).encode())
        if answer.status != psycopg.pq.ExecStatus.COMMAND_OK:
            misfits.append(f"{where}: {answer.error_message.decode()}")
    assert len(statements) > 30
    assert not misfits, "\n".join(misfits)


def test_sql_stands_in_shared_postgres_and_nowhere_else() -> None:
    assert not [_where(statement) for statement in LITERALS if not statement.where.startswith("shared/postgres/")]


def test_tables_are_made_by_migrations_alone() -> None:
    found = [statement for statement in LITERALS if _DEFINITION.match(statement.sql)]
    astray = [
        _where(statement)
        for statement in found
        if not re.fullmatch(DEFINITIONS.get(statement.where, ""), statement.sql.strip(), re.DOTALL)
    ]
    assert not astray
    assert {statement.where for statement in found} == DEFINITIONS.keys()


def test_statements_are_constants_with_a_name() -> None:
    named = {_where(statement) for statement in CONSTANTS}
    lock = "SELECT pg_try_advisory_lock(%s)"  # one line, asked in one place
    unnamed = [
        _where(statement)
        for statement in LITERALS
        if not _DEFINITION.match(statement.sql) and statement.sql != lock and _where(statement) not in named
    ]
    assert not unnamed
