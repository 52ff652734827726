"""The use case: of what was found for a run, what it is shown; whoever else asks is shown everything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from functions.memory_query.access import Asker
from functions.memory_query.recall import Answer
from shared.domain.memory import Recalled
from shared.domain.offer import Offer, Offered


class Trials(Protocol):
    """Decides and notes what runs are shown."""

    def choose(self, task: UUID, attempt: int, found: Sequence[Recalled], places: int, share: float) -> Offered: ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """An answer as it goes; `offer` is None for a caller of the API."""

    answer: Answer
    offer: Offer | None


class Choose:
    """Chooses what is shown, and notes it. `share` of the tasks is held out."""

    def __init__(self, trials: Trials, share: float) -> None:
        self._trials = trials
        self._share = share

    def __call__(self, asker: Asker, find: Callable[[int], Answer], limit: int) -> Chosen:
        """`find` finds so many memories."""
        if asker.attempt is None:
            return Chosen(find(limit), None)
        # Some are withheld: as many again are looked at.
        found = find(2 * limit)
        offered = self._trials.choose(asker.task_id, asker.attempt, found.results, limit, self._share)
        return Chosen(replace(found, results=offered.answer), offered.offer)
