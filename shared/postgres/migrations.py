"""Applies `migrations/*.sql`: each file once, whole, in order, whoever else tries at the same time; then grants."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files

import psycopg

from shared.domain.errors import FacteurError, Unavailable
from shared.postgres.grants import grant
from shared.postgres.roles import MakeRoles, as_they_are

# A number of our own among the advisory locks of the database.
_LOCK = 0x6661_6374_6575_72
# How long somebody else may be migrating.
PATIENCE_SECONDS = 120.0
_LEDGER = """
CREATE TABLE IF NOT EXISTS public.facteur_migrations (
    name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())
"""
_APPLIED = "SELECT name, sha256 FROM public.facteur_migrations"
_RECORD = "INSERT INTO public.facteur_migrations (name, sha256) VALUES (%s, %s)"


class MigrationError(FacteurError):
    """The database cannot be brought to this version; the message says why."""


def migrate(
    dsn: str,
    say: Callable[[str], None] = lambda _: None,
    patience: float = PATIENCE_SECONDS,
    make_roles: MakeRoles = as_they_are,
    revoke: bool = False,
) -> list[str]:
    """Applies what is missing and returns the names applied; afterwards the roles of functions may what they need.

    With `revoke` they may nothing else, which functions of an earlier release might still do.

    Each file is one transaction together with its row in the ledger, so a kill at any statement
    leaves either all of it or nothing. Raises MigrationError if a released file has changed or if
    another process migrates for longer than `patience` seconds, and what `make_roles` raises.
    """
    with _connected(dsn) as connection:
        _take_lock(connection, patience)
        connection.execute(_LEDGER)
        known: dict[str, str] = dict(connection.execute(_APPLIED).fetchall())
        wanted = list(_files())
        _refuse_changes(known, {name: _digest(text) for name, text in wanted})
        applied = []
        for name, text in wanted:
            if name not in known:
                _apply(connection, name, text)
                say(f"applied {name}")
                applied.append(name)
        make_roles(connection)
        grant(connection, say, revoke)
        return applied


def shipped() -> list[tuple[str, str, str]]:
    """Name, text and digest of every migration of this version, in their order."""
    return [(name, text, _digest(text)) for name, text in _files()]


def _files() -> Iterator[tuple[str, str]]:
    folder = files("migrations")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            yield entry.name, entry.read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_changes(known: dict[str, str], wanted: dict[str, str]) -> None:
    changed = sorted(name for name in known.keys() & wanted.keys() if known[name] != wanted[name])
    if changed:
        raise MigrationError(f"{', '.join(changed)} changed after it was applied: put the change into a new file")
    ahead = sorted(known.keys() - wanted.keys())
    if ahead:
        raise MigrationError(f"the database has {', '.join(ahead)}, which this version does not know: upgrade facteur")


def _apply(connection: psycopg.Connection, name: str, text: str) -> None:
    try:
        with connection.transaction():
            connection.execute(text.encode())
            connection.execute(_RECORD, (name, _digest(text)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"{name}: {error.diag.message_primary}") from None
    except psycopg.errors.FeatureNotSupported as error:
        raise MigrationError(f"{name}: {error.diag.message_primary} (is pgvector installed?)") from None


def _take_lock(connection: psycopg.Connection, patience: float) -> None:
    # Asked for again and again: a session that waits inside the lock holds a snapshot, and blocks
    # every CREATE INDEX CONCURRENTLY of the one that has it.
    give_up = time.monotonic() + patience
    while not _locked(connection):
        if time.monotonic() > give_up:
            raise MigrationError("another process has been migrating for too long: try again later")
        time.sleep(0.1)


def _locked(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection]:
    try:
        connection = psycopg.connect(dsn, autocommit=True, connect_timeout=5)
    except psycopg.ProgrammingError:
        raise MigrationError("FACTEUR_POSTGRES_DSN is not a connection string") from None
    except psycopg.OperationalError:
        raise Unavailable(
            "cannot connect with FACTEUR_POSTGRES_DSN: is the server up, are user and password right?"
        ) from None
    try:
        with connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        reason = error.diag.message_primary
        raise MigrationError(f"the role of FACTEUR_POSTGRES_DSN may not migrate: {reason}") from None
    except psycopg.OperationalError as error:
        reason = error.diag.message_primary or "the connection was lost"
        raise Unavailable(f"the server of FACTEUR_POSTGRES_DSN ended the migration: {reason}") from None
