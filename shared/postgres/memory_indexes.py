"""The index of a model's sketches: made once there are rows enough, without holding anybody up."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import psycopg
from psycopg import sql

from shared.domain.errors import Unavailable
from shared.postgres.memory_candidates import EXACT

log = logging.getLogger(__name__)

# A number of our own among the advisory locks of the database.
_LOCK = 0x6661_6374_6E65_6172
# Edges of a node in the graph, and how many are weighed for them: with fewer, too many of the nearest are missed.
_EDGES, _WEIGHED = 24, 128
_STATE = """
SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(name)s)) AS valid,
    (SELECT count(*) > %(rows)s FROM (
        SELECT FROM codex_kb.codex_task_memory_vectors WHERE model = %(model)s LIMIT %(rows)s + 1
    ) AS counted) AS enough
"""
_NAMES = """
SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
WHERE indrelid = 'codex_kb.codex_task_memory_vectors'::regclass AND starts_with(relname, %(prefix)s) ORDER BY relname
"""
# Asked at every tick and never waited for: whoever waits for a lock holds up an index that is built concurrently.
_TAKE = "SELECT pg_try_advisory_lock(%(lock)s)"


def index_name(model: str) -> str:
    """The name of the index of a model's sketches, in the schema codex_kb: with other parameters it is another."""
    return f"{_prefix(model)}_{_EDGES}_{_WEIGHED}"


def _prefix(model: str) -> str:
    return f"idx_codex_task_memory_near_{sha256(model.encode()).hexdigest()[:12]}"


class PgMemoryIndexes:
    """Looks after the index of one model, `name:3072`. Any number of processes may do so at the same time."""

    def __init__(self, dsn: str, model: str, rows: int = EXACT) -> None:
        """`rows`: up to so many need no index."""
        self._dsn = dsn
        self._model = model
        self._rows = rows
        self._name = index_name(model)
        self._there = False
        self._thread: threading.Thread | None = None

    def look_after(self) -> None:
        """Makes the index behind the caller's back, if it is needed and missing: a large one takes minutes."""
        if not self._there and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._try, name="memory-index", daemon=True)
            self._thread.start()

    def make(self) -> bool:
        """Whether the index was made now. Killed in the middle it leaves one that is invalid; the next one drops it.

        One with other parameters is used until then, and dropped afterwards.
        """
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
            valid, enough = self._state(connection)
            others = self._others(connection)
            self._there = bool(valid) and not others
            if self._there or not (valid or enough) or not self._taken(connection):
                return False
            valid, _ = self._state(connection)
            if valid is not None and not valid:
                connection.execute(_drop(self._name))
            if not valid:
                connection.execute(_create(self._name, self._model))
            for name in self._others(connection):
                connection.execute(_drop(name))
            self._there = True
            return not valid

    def finish(self) -> bool:
        """Makes the index if it is needed and missing; False while another process is at one. Unavailable on errors."""
        with _told():
            self.make()
            with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                valid, enough = self._state(connection)
        return bool(valid) or not enough

    def drop(self) -> None:
        """The index is gone; waits for whoever uses it. Unavailable on errors."""
        with _told(), psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
            for name in [self._name, *self._others(connection)]:
                connection.execute(_drop(name))

    def _try(self) -> None:
        try:
            if self.make():
                log.info("memory index made", extra={"facts": {"model": self._model}})
        except psycopg.errors.InsufficientPrivilege:
            # Only who owns a table makes its indexes. Whoever may not says so once, and leaves it at that.
            self._there = True
            log.warning("memory index left to `facteur memory index`", extra={"facts": {"model": self._model}})
        except psycopg.Error as error:
            log.warning("memory index not made", extra={"facts": {"error": type(error).__name__}})

    def _state(self, connection: psycopg.Connection) -> tuple[bool | None, bool]:
        """Whether the index is valid, None if there is none; and whether it is needed."""
        parameters = {"name": f"codex_kb.{self._name}", "rows": self._rows, "model": self._model}
        valid, enough = connection.execute(_STATE, parameters).fetchone() or (None, False)
        return valid, enough

    def _others(self, connection: psycopg.Connection) -> list[str]:
        """The indexes of the model's sketches with other parameters."""
        names = connection.execute(_NAMES, {"prefix": _prefix(self._model)}).fetchall()
        return [name for (name,) in names if name != self._name]

    def _taken(self, connection: psycopg.Connection) -> bool:
        return connection.execute(_TAKE, {"lock": _LOCK}).fetchone() == (True,)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise Unavailable(f"the index of the vectors cannot be made or dropped: {type(error).__name__}") from None


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS codex_kb.{}").format(sql.Identifier(name))


def _create(name: str, model: str) -> sql.Composed:
    create = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON codex_kb.codex_task_memory_vectors"
        " USING hnsw ((sketch::bit({})) bit_hamming_ops)"
        " WITH (m = {}, ef_construction = {}) WHERE model = {}"
    )
    dimension = sql.Literal(int(model.rpartition(":")[2]))
    return create.format(
        sql.Identifier(name), dimension, sql.Literal(_EDGES), sql.Literal(_WEIGHED), sql.Literal(model)
    )
