"""A database for the demo alone, where the user's own server is to be used."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg

from shared.domain.errors import FacteurError

_NAME = "FACTEUR_POSTGRES_DSN"


class NoDatabase(FacteurError):
    """The user's server does not give the demo a database of its own."""


@contextmanager
def database_of_its_own() -> Iterator[None]:
    """Points FACTEUR_POSTGRES_DSN, if it is set, at a new database that is dropped at the end.

    The demo starts from nothing and its inputs are always the same: in a database that knows them
    they would be replays.
    """
    own = os.environ.get(_NAME)
    if not own:
        yield
        return
    name = f"facteur_demo_{secrets.token_hex(4)}"
    _administer(own, f'CREATE DATABASE "{name}"')
    os.environ[_NAME] = urlunsplit(urlsplit(own)._replace(path=f"/{name}"))
    try:
        yield
    finally:
        os.environ[_NAME] = own
        _administer(own, f'DROP DATABASE "{name}" WITH (FORCE)')


def _administer(dsn: str, statement: str) -> None:
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        raise NoDatabase(f"the demo needs a database of its own: let the role of {_NAME} create databases") from None
    except psycopg.Error:
        raise NoDatabase(
            f"cannot connect with {_NAME}: it must be a URL like postgresql://user:password@host/db"
        ) from None
