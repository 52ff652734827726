"""The index of a model's sketches: made once there are rows enough, without holding anybody up."""

import logging
import threading
from hashlib import sha256

import psycopg
from psycopg import sql

from shared.postgres.memory_search import EXACT

log = logging.getLogger(__name__)

# A number of our own among the advisory locks of the database.
_LOCK = 0x6661_6374_6E65_6172
_STATE = """
SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(name)s)) AS valid,
    (SELECT count(*) > %(rows)s FROM (
        SELECT FROM codex_kb.codex_task_memory_index WHERE model = %(model)s LIMIT %(rows)s + 1
    ) AS counted) AS enough
"""
# Asked at every tick and never waited for: whoever waits for a lock holds up an index that is built concurrently.
_TAKE = "SELECT pg_try_advisory_lock(%(lock)s)"


class PgMemoryIndexes:
    """Looks after the index of one model, `name:3072`. Any number of processes may do so at the same time."""

    def __init__(self, dsn: str, model: str, rows: int = EXACT) -> None:
        """`rows`: up to so many need no index."""
        self._dsn = dsn
        self._model = model
        self._rows = rows
        self._name = f"idx_codex_task_memory_near_{sha256(model.encode()).hexdigest()[:12]}"
        self._there = False
        self._thread: threading.Thread | None = None

    def look_after(self) -> None:
        """Makes the index behind the caller's back, if it is needed and missing: a large one takes minutes."""
        if not self._there and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._try, name="memory-index", daemon=True)
            self._thread.start()

    def make(self) -> bool:
        """Whether the index was made now. Killed in the middle it leaves one that is invalid; the next one drops it."""
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
            valid, enough = self._state(connection)
            self._there = bool(valid)
            if valid or not enough or not self._taken(connection):
                return False
            valid, _ = self._state(connection)
            if valid is not None and not valid:
                connection.execute(_drop(self._name))
            if not valid:
                connection.execute(_create(self._name, self._model))
            self._there = True
            return not valid

    def _try(self) -> None:
        try:
            if self.make():
                log.info("memory index made", extra={"facts": {"model": self._model}})
        except psycopg.Error as error:
            log.warning("memory index not made", extra={"facts": {"error": type(error).__name__}})

    def _state(self, connection: psycopg.Connection) -> tuple[bool | None, bool]:
        """Whether the index is valid, None if there is none; and whether it is needed."""
        parameters = {"name": f"codex_kb.{self._name}", "rows": self._rows, "model": self._model}
        valid, enough = connection.execute(_STATE, parameters).fetchone() or (None, False)
        return valid, enough

    def _taken(self, connection: psycopg.Connection) -> bool:
        return connection.execute(_TAKE, {"lock": _LOCK}).fetchone() == (True,)


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS codex_kb.{}").format(sql.Identifier(name))


def _create(name: str, model: str) -> sql.Composed:
    create = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON codex_kb.codex_task_memory_index"
        " USING hnsw ((sketch::bit({})) bit_hamming_ops) WHERE model = {}"
    )
    return create.format(sql.Identifier(name), sql.Literal(int(model.rpartition(":")[2])), sql.Literal(model))
