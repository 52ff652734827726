"""Real servers for the tests: one PostgreSQL and one Valkey a test process, a fresh database a test."""

import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from shared.postgres.roles import generated
from shared.postgres.scratch import scratch_database
from tests.component.roles import remember
from tests.patience import patient

# The same examples at every run: what fails once fails always.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.load_profile("steady")

# Whoever starts the tests in the background may have them ignore SIGINT, and with them whatever they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of an empty server's own database."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    with server:
        yield server.url
    server.erase()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated database to copy, with the grants of the functions' roles."""
    with scratch_database(postgres_server) as dsn:
        migrate(dsn, make_roles=generated(lambda passwords: remember(dsn, passwords)))
        yield urlsplit(dsn).path.lstrip("/")


@pytest.fixture
def empty_dsn(postgres_server: str) -> Iterator[str]:
    """A fresh database without any table."""
    with scratch_database(postgres_server, "template0") as dsn:
        yield dsn


@pytest.fixture
def dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    with scratch_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    database = patient(dsn)
    yield database
    database.close()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey that this test process has for itself."""
    server = Redis(Path(tmp_path_factory.mktemp("redis")))
    with server:
        yield server.url
