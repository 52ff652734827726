"""A database of one's own on a server that is there: for the demo and for tests, gone at the end."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.domain.errors import FacteurError, Unavailable


class NoDatabase(FacteurError):
    """The server does not give us a database of our own; the message says what to change."""


@contextmanager
def scratch_database(dsn: str, template: str = "template1") -> Iterator[str]:
    """The DSN of a new database on the server of `dsn`, a copy of `template`; dropped at the end."""
    name = f"facteur_scratch_{secrets.token_hex(6)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    _administer(dsn, create)
    try:
        yield _other_database(dsn, name)
    finally:
        _administer(dsn, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _other_database(dsn: str, name: str) -> str:
    # What the query says of it would count for more than the path.
    if "://" in dsn and "dbname" not in parse_qs(urlsplit(dsn).query):
        return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    return make_conninfo(dsn, dbname=name)


def _administer(dsn: str, statement: sql.Composed) -> None:
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        raise NoDatabase("the role of FACTEUR_POSTGRES_DSN may not create databases: allow it, or unset it") from None
    except psycopg.OperationalError:
        raise Unavailable(
            "cannot connect with FACTEUR_POSTGRES_DSN: is the server up, are user and password right?"
        ) from None
    except psycopg.ProgrammingError:
        raise NoDatabase("FACTEUR_POSTGRES_DSN is not a connection string") from None
