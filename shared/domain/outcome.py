"""What became of a task, as memories are judged by it."""

import math
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.lift import Sums
from shared.domain.run import RunState


class Judgement(StrEnum):
    """What a person says of a task's work."""

    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a finished task: success in [0, 1], and what it took, None where that is not known."""

    success: float
    seconds: float | None
    dollars: float | None

    @property
    def sums(self) -> tuple[Sums, Sums, Sums]:
        """Success, and the logarithms of duration and cost, as sums over this one task."""
        return _one(self.success), _logarithm(self.seconds), _logarithm(self.dollars)


def success(state: RunState, *, failed_gate: bool, undone: bool, verdict: Judgement | None) -> float:
    """1 for a task that succeeded, was not undone and failed no gate, else 0; a person's verdict outweighs all that."""
    if verdict is not None:
        return float(verdict is Judgement.GOOD)
    return float(state is RunState.SUCCEEDED and not failed_gate and not undone)


def _one(value: float) -> Sums:
    return Sums(1, value, value**2)


def _logarithm(amount: float | None) -> Sums:
    # What took nothing has no logarithm, and is rather not known.
    return Sums() if amount is None or amount <= 0 else _one(math.log(amount))
