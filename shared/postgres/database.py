"""Connections, opened at first use and never at import; driver errors become errors of the domain here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from shared.domain.errors import InFlight, Rejected, Unavailable

T = TypeVar("T")
Row = Mapping[str, Any]
Parameters = Mapping[str, Any]
Cursor = psycopg.Cursor[DictRow]


_PATIENCE = "SELECT set_config('lock_timeout', %(milliseconds)s, false)"
# The last migration that the statements of this package rest on; a later one does not disturb them.
_NEEDED = "0018_discord_cards.sql"
# The join has no rows: who may read the table has the grants of a migration, too.
_READY = """
SELECT FROM public.facteur_migrations LEFT JOIN codex_kb.codex_tasks ON false WHERE facteur_migrations.name = %(name)s
"""


class Database:
    """A pool of at most `size` connections in autocommit: one statement is one transaction.

    A statement that fails because its connection had died is sent once more on a fresh one: every
    method of this package is safe to repeat.
    """

    def __init__(self, dsn: str, size: int = 5, timeout: float = 2.0, lock_timeout: float = 2.0) -> None:
        """A connection is waited for `timeout` seconds, and what another transaction holds `lock_timeout` seconds.

        Unavailable for a `dsn` that cannot be parsed: the pool would log it, with its password.
        """
        _check(dsn)
        self._pool: ConnectionPool[psycopg.Connection[DictRow]] = ConnectionPool(
            dsn,
            min_size=0,
            max_size=size,
            timeout=timeout,
            open=False,
            kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": 5},
            configure=partial(_be_patient, seconds=lock_timeout),
            reconnect_timeout=timeout,
        )

    def one(self, statement: str, parameters: Parameters) -> Row | None:
        """The first row of the answer, None without one."""
        return self._twice(lambda cursor: _execute(cursor, statement, parameters).fetchone())

    def all(self, statement: str, parameters: Parameters) -> Sequence[Row]:
        """Every row of the answer."""
        return self._twice(lambda cursor: _execute(cursor, statement, parameters).fetchall())

    def do(self, statement: str, parameters: Parameters) -> int:
        """The number of rows that the statement touched."""
        return self._twice(lambda cursor: _execute(cursor, statement, parameters).rowcount)

    def transaction(self, work: Callable[[Cursor], T]) -> T:
        """What `work` returns, run inside one transaction."""

        def inside(cursor: Cursor) -> T:
            with cursor.connection.transaction():
                return work(cursor)

        return self._twice(inside)

    def together(self, *statements: tuple[str, Parameters]) -> list[Sequence[Row]]:
        """Every row of each answer; the statements are one transaction, sent in one round trip."""

        def work(cursor: Cursor) -> list[Sequence[Row]]:
            connection = cursor.connection
            with connection.pipeline():  # PostgreSQL commits it as a whole: one implicit transaction
                sent = [_execute(connection.cursor(), statement, parameters) for statement, parameters in statements]
            return [one.fetchall() for one in sent]

        return self._twice(work)

    def ready(self) -> None:
        """Unavailable while there is no connection, or behind it no schema that has what this version needs."""
        if not self.do(_READY, {"name": _NEEDED}):
            raise Unavailable(f"the database lacks the migration {_NEEDED}: run `facteur migrate`")

    def close(self) -> None:
        """Closes every connection."""
        self._pool.close()

    def _twice(self, work: Callable[[Cursor], T]) -> T:
        with _translated():
            self._pool.open()
            try:
                with self._pool.connection() as connection, connection.cursor() as cursor:
                    return work(cursor)
            except psycopg.OperationalError as error:
                if not _connection_died(error):
                    raise
            with self._pool.connection() as connection, connection.cursor() as cursor:
                return work(cursor)


def _check(dsn: str) -> None:
    try:
        psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise Unavailable("FACTEUR_POSTGRES_DSN must be like postgresql://user:password@host:5432/database") from None


def _be_patient(connection: psycopg.Connection[DictRow], seconds: float) -> None:
    # A row that a frozen or broken client holds must not hold up everybody else's request.
    connection.execute(_PATIENCE, {"milliseconds": f"{1000 * seconds:.0f}"})


def _execute(cursor: Cursor, statement: str, parameters: Parameters) -> Cursor:
    return cursor.execute(statement.encode(), parameters)


def _connection_died(error: psycopg.OperationalError) -> bool:
    # The server's own words for a connection that it ended have class 57P; a broken socket has none.
    # A pool that found no server within its timeout has waited long enough.
    if isinstance(error, PoolTimeout):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("57P")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        raise InFlight("another request is working on the same: try again") from None
    except psycopg.errors.ProgramLimitExceeded:
        raise Rejected("a value is too long to be stored") from None
    except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout):
        raise Unavailable("the database is away: try again") from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
        raise Unavailable("the database lacks tables or columns: run `facteur migrate`") from None
    except psycopg.errors.InsufficientPrivilege:
        raise Unavailable("the role of FACTEUR_POSTGRES_DSN may not do this: run `facteur migrate`") from None
    except psycopg.DataError:
        raise Rejected("a value cannot be stored: it is too long, out of range or holds U+0000") from None
