"""Which privileges the statements of a function need, as PostgreSQL itself sees it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.architecture.statements import STATEMENT, numbered
from tests.architecture.writes import spoken_sql

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TABLE = re.compile(r"\bcodex_kb\.(\w+)")

Privileges = set[tuple[str, str]]


def statements(function: str) -> list[str]:
    """The whole statements that a function sends."""
    return sorted(text for text in spoken_sql(function) if STATEMENT.match(text))


def needed(connection: psycopg.Connection, function: str) -> Privileges:
    """Verb and table of each privilege without which one of the function's statements is refused."""
    found: Privileges = set()
    with _undone(connection):
        connection.execute("CREATE ROLE facteur_probe")
        connection.execute("GRANT USAGE ON SCHEMA codex_kb TO facteur_probe")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA codex_kb TO facteur_probe")
        # Every role may ask the ledger what was applied: that belongs to no function.
        connection.execute("GRANT SELECT (name) ON public.facteur_migrations TO facteur_probe")
        for statement in statements(function):
            assert allowed(connection, "facteur_probe", statement), statement
            for table in set(_TABLE.findall(statement)):
                found |= {(verb, table) for verb in VERBS if _needs(connection, statement, verb, table)}
    return found


def _needs(connection: psycopg.Connection, statement: str, verb: str, table: str) -> bool:
    with _undone(connection):
        revoke = sql.SQL("REVOKE {} ON codex_kb.{} FROM facteur_probe")
        connection.execute(revoke.format(sql.SQL(verb), sql.Identifier(table)))
        return not allowed(connection, "facteur_probe", statement)


def allowed(connection: psycopg.Connection, role: str, statement: str) -> bool:
    """Whether PostgreSQL would let a role execute the statement; nothing is executed."""
    with _undone(connection):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        try:
            connection.execute(b"EXPLAIN (GENERIC_PLAN) " + numbered(statement).encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True


@contextmanager
def _undone(connection: psycopg.Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        yield
