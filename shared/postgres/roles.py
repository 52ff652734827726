"""The database roles of functions, made with passwords of their own."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shared.domain.errors import FacteurError, Unavailable
from shared.postgres.privileges import FUNCTIONS, role

# What `migrate` does about roles before it grants them anything, inside its lock.
MakeRoles = Callable[[psycopg.Connection], None]

_MISSING = "SELECT name FROM unnest(%(names)s::text[]) AS name WHERE to_regrole(name) IS NULL"


class RoleError(FacteurError):
    """The roles of functions cannot be made; the message says why."""


def as_role(dsn: str, function: str, password: str) -> str:
    """The connection string with the function's role and its password, wherever it said those of the owner."""
    return make_conninfo(dsn, user=role(function), password=password)


def user(dsn: str) -> str:
    """The role that a connection string says; "" if it says none, or is none."""
    try:
        return str(conninfo_to_dict(dsn).get("user", ""))
    except psycopg.ProgrammingError:
        return ""


def generated(tell: Callable[[Mapping[str, str]], None]) -> MakeRoles:
    """Makes the roles that are missing. `tell` gets function and password of each before anybody can use them."""

    def make(connection: psycopg.Connection) -> None:
        passwords = {function: secrets.token_urlsafe(32) for function in _missing(connection)}
        with _allowed(connection):
            for function, password in passwords.items():
                _make(connection, function, password)
            tell(passwords)

    return make


def as_they_are(_: psycopg.Connection) -> None:
    """Makes no role; some may be missing, or all."""


def required(connection: psycopg.Connection) -> None:
    """Makes no role; Unavailable while one is missing, which would stay without grants when it comes later."""
    if missing := _missing(connection):
        raise Unavailable(f"the server lacks roles of functions: {', '.join(map(role, missing))}")


@contextmanager
def _allowed(connection: psycopg.Connection) -> Iterator[None]:
    try:
        with connection.transaction():
            yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise RoleError(f"roles cannot be made: {error.diag.message_primary}") from None


def _missing(connection: psycopg.Connection) -> list[str]:
    names = {role(function): function for function in FUNCTIONS}
    rows = connection.execute(_MISSING, {"names": list(names)}).fetchall()
    return [names[name] for (name,) in rows]


def _make(connection: psycopg.Connection, function: str, password: str) -> None:
    # What the server logs of the statement is no password.
    name = role(function)
    hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(hashed))
    connection.execute(create)
