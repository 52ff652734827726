"""Which model makes the vectors that are searched: a fact of the database, the same for every process."""

from shared.postgres.database import Cursor, Database

_ACTIVE = "SELECT model FROM codex_kb.memory_models WHERE state = 'active'"

# A number of our own among the advisory locks of the database.
_LOCK = 0x6661_6374_6D6F_6465
_HOLD = "SELECT pg_advisory_xact_lock_shared(%(lock)s)"
_CHANGE = "SELECT pg_advisory_xact_lock(%(lock)s)"

_RETIRE = """
UPDATE codex_kb.memory_models SET state = 'retiring', since = now() WHERE state = 'active' AND model <> %(model)s
"""
_ACTIVATE = """
INSERT INTO codex_kb.memory_models AS known (model, state) VALUES (%(model)s, 'active')
ON CONFLICT (model) DO UPDATE SET state = 'active', since = now() WHERE known.state <> 'active'
"""
_WAITS = """
UPDATE codex_kb.codex_task_memory_index AS memory SET waits = true
WHERE NOT waits AND NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made
    WHERE made.content_hash = memory.content_hash AND made.model = %(model)s)
"""
_HAS = """
UPDATE codex_kb.codex_task_memory_index AS memory SET waits = false
WHERE waits AND EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made
    WHERE made.content_hash = memory.content_hash AND made.model = %(model)s)
"""


def hold(cursor: Cursor) -> None:
    """The model in use stays the same until the transaction ends; what is read afterwards fits it."""
    cursor.execute(_HOLD.encode(), {"lock": _LOCK})


def alone(cursor: Cursor) -> None:
    """Nobody else stores memories, or changes the model, until the transaction ends."""
    cursor.execute(_CHANGE.encode(), {"lock": _LOCK})


class PgMemoryModels:
    """The models in `memory_models`, each as `name:3072`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def active(self) -> str | None:
        """The model in use, None where there is none yet."""
        row = self._database.one(_ACTIVE, {})
        return str(row["model"]) if row else None

    def in_use(self, configured: str) -> str:
        """The model in use; where there is none yet, that is `configured` from now on, for whoever asks."""
        return self.active() or self._database.transaction(lambda cursor: _begin(cursor, configured))

    def switch(self, to: str) -> None:
        """`to` is in use, the one before retires, and what has no vector of `to` waits for one.

        Waits for whoever stores memories at the moment, and they for it; InFlight after two seconds.
        """

        def work(cursor: Cursor) -> None:
            alone(cursor)
            _use(cursor, to)

        self._database.transaction(work)


def _begin(cursor: Cursor, model: str) -> str:
    """The model in use: that of whoever came first, or else this one, whether it was known before or not."""
    alone(cursor)
    row = cursor.execute(_ACTIVE.encode()).fetchone()
    if row is None:
        _use(cursor, model)
    return str(row["model"]) if row else model


def _use(cursor: Cursor, model: str) -> None:
    for statement in (_RETIRE, _ACTIVATE, _WAITS, _HAS):
        cursor.execute(statement.encode(), {"model": model})
