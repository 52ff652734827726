"""What a change of the model works with, and how it clears up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from shared.domain.errors import InFlight
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_migration import PgMigration
from shared.postgres.memory_model_views import PgModelViews
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch

_DROPPED_AT_ONCE = 1000
_TRIES = 30


class View(Protocol):
    """Shows how far it is."""

    def begin(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...

    def at(self, share: float, doing: str) -> None: ...

    def note(self, why: str) -> None: ...

    def end(self, result: str) -> None: ...


@dataclass(frozen=True)
class Parts:
    """What a migration is made of."""

    store: PgMigration
    models: PgMemoryModels
    views: PgModelViews
    search: PgMemorySearch
    indexes: Callable[[str], PgMemoryIndexes]


def patiently(work: Callable[[], None], view: View) -> None:
    """Tries again while others hold what it needs; each try waits for two seconds."""
    for _ in range(_TRIES):
        try:
            work()
        except InFlight as error:
            view.note(str(error))
        else:
            return
    work()


def drop_retired(parts: Parts, view: View) -> None:
    """Drops what models have made that are not in use, each with its index."""
    for model in parts.store.retired():
        view.begin(f"vectors of {model} dropped", 0)
        # Without an index there is less to do for each vector.
        parts.indexes(model).drop()
        dropped = _drop_all(parts, model, view)
        patiently(partial(parts.store.forget, model), view)
        # What was kept until then by a process that has not noticed.
        dropped += _drop_all(parts, model, view)
        view.end(f"{dropped:,}")


def _drop_all(parts: Parts, model: str, view: View) -> int:
    dropped = 0
    while gone := parts.store.drop(model, _DROPPED_AT_ONCE):
        dropped += gone
        view.advance(gone)
    return dropped
