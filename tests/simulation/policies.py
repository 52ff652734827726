"""Ways to choose what a task is shown: two that are common, and ours, which is the code that is deployed."""

import random
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from shared.domain.effect import Answer, Candidate, Evidence, Tally, answer, base_rate, learned
from tests.simulation.world import PLACES, Memory, Outcome, Task

HOLD_OUT = 0.1


class Policy(Protocol):
    """Answers tasks, and is told later what became of them, in the same order."""

    def show(self, task: Task) -> Sequence[Memory]:
        """What the task is shown, at most `PLACES`."""

    def learn(self, task: Task, outcome: Outcome) -> None:
        """Know what became of a task that was answered."""


class SimilarityAlone:
    """Shows what is most similar, and learns nothing."""

    def show(self, task: Task) -> Sequence[Memory]:
        return task.candidates[:PLACES]

    def learn(self, task: Task, outcome: Outcome) -> None:
        pass


class JointCrediting:
    """Gives the outcome of a task to every memory that it was shown, and shows what then succeeds most: Thompson
    sampling of a Beta distribution per memory, that begins uniform."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311
        self._credit: dict[UUID, tuple[float, float]] = {}
        self._shown: dict[UUID, Sequence[Memory]] = {}

    def show(self, task: Task) -> Sequence[Memory]:
        drawn = {one.id: self._dice.betavariate(*self._credit.get(one.id, (1.0, 1.0))) for one in task.candidates}
        shown = sorted(task.candidates, key=lambda one: -drawn[one.id])[:PLACES]
        self._shown[task.id] = shown
        return shown

    def learn(self, task: Task, outcome: Outcome) -> None:
        for memory in self._shown.pop(task.id):
            good, bad = self._credit.get(memory.id, (1.0, 1.0))
            self._credit[memory.id] = (good + outcome.success, bad + 1 - outcome.success)


class Ours:
    """The deployed code, with the sums that the log would give kept as they grow."""

    def __init__(self) -> None:
        self._candidates: dict[UUID, Candidate] = {}
        self._topics: dict[int, Tally] = {}
        self._scope = Tally()
        self._log: dict[UUID, tuple[Answer, float]] = {}

    def show(self, task: Task) -> Sequence[Memory]:
        candidates = [self._candidates.get(one.id) or Candidate(one.id, Evidence()) for one in task.candidates]
        given = answer(task.id, candidates, PLACES, HOLD_OUT)
        self._log[task.id] = given, base_rate(self._topics.get(task.topic, Tally()), self._scope)
        shown = set(given.shown)
        return [one for one in task.candidates if one.id in shown]

    def learn(self, task: Task, outcome: Outcome) -> None:
        given, base = self._log.pop(task.id)
        for toss in given.tosses:
            known = self._candidates.get(toss.memory) or Candidate(toss.memory, Evidence())
            evidence = known.evidence + learned(toss, outcome.success, base)
            self._candidates[toss.memory] = Candidate(toss.memory, evidence)
        self._topics[task.topic] = _counted(self._topics.get(task.topic, Tally()), outcome)
        self._scope = _counted(self._scope, outcome)


def _counted(tally: Tally, outcome: Outcome) -> Tally:
    return Tally(tally.count + 1, tally.successes + outcome.success)
