"""Real servers for the tests: one PostgreSQL and one Valkey a test process, a fresh database a test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.postgres.database import Database
from shared.postgres.migrations import migrate

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of an empty server's own database."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    with server:
        yield server.url
    server.erase()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """The name of a migrated database to copy."""
    _administer(postgres_server, 'CREATE DATABASE "migrated"')
    migrate(_other_database(postgres_server, "migrated"))
    return "migrated"


@pytest.fixture
def empty_dsn(postgres_server: str) -> Iterator[str]:
    """A fresh database without any table."""
    yield from _fresh(postgres_server, "template0")


@pytest.fixture
def dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    yield from _fresh(postgres_server, migrated_template)


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    database = Database(dsn)
    yield database
    database.close()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey that this test process has for itself."""
    server = Redis(Path(tmp_path_factory.mktemp("redis")))
    with server:
        yield server.url


def _fresh(server: str, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield _other_database(server, name)
    _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _administer(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())


def _other_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
