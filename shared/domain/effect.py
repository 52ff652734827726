"""What showing a memory does to success: learned from tosses of known odds, and used to choose what is shown.

A share of tasks is held out and gets nothing. In the others each memory that is offered is shown by a toss with a
known probability, its propensity. What is logged with the answer is enough to learn from, by sums over finished tasks:

    of a memory  `information`  Σ propensity · (1 - propensity)
                 `credit`       Σ (shown - propensity) · (success - base)
    of a topic, and of a scope  `count` and `successes`, of every finished task, held out or not

where `shown` is 1 or 0, `success` lies in [0, 1], and `base` is the `base_rate` as it was when the answer was given.
Each pair of task and memory counts once, with the odds of its first toss; later answers to the task repeat that toss.

As shown - propensity is 0 on average whatever else is true of the task, `credit / information` estimates the effect
without bias by topic, time, similarity or what else was shown; a wrong base only makes it less precise. Counts of
successes with and without the memory mix these up once propensities have changed, and weights by inverse propensity
let a single rare toss count twenty times. (Robinson 1988, "Root-N-consistent semiparametric regression"; Greenewald,
Tewari, Klasnja and Murphy 2017, "Action centered contextual bandits".)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from uuid import UUID

# What is believed of a memory before anything is known: N(0, 0.1²). Nobody knows whether it helps, so a fair coin
# decides, which is also the toss that teaches most; effects beyond 20 points of success are hardly believed.
PRIOR_MEAN = 0.0
PRIOR_DEVIATION = 0.1

# No outcome in [0, 1] varies more around its mean.
OUTCOME_VARIANCE = 0.25

# Thompson sampling draws from what is believed with its deviation divided by this. The whole deviation explores for
# longer than a few thousand tasks repay. (Chapelle and Li 2011, "An empirical evaluation of Thompson sampling".)
SHARPNESS = 2.0

# Nothing is ever certain: what seems harmful may still be shown, and what seems helpful withheld, so that errors heal.
LEAST_PROPENSITY = 0.05
MOST_PROPENSITY = 0.95

# A topic has the rate of its scope until about so many of its own tasks have finished.
TOPIC_PSEUDO_COUNT = 10.0

_HOLD_OUT = b"hold-out"


@dataclass(frozen=True, slots=True)
class Tally:
    """Finished tasks of a topic or scope, and the sum of their successes."""

    count: int = 0
    successes: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What finished tasks say of one memory: the sums above."""

    information: float = 0.0
    credit: float = 0.0

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(self.information + other.information, self.credit + other.credit)


@dataclass(frozen=True, slots=True)
class Effect:
    """What is believed of a memory: a normal distribution of success if shown less success if withheld."""

    mean: float
    deviation: float

    @property
    def propensity(self) -> float:
        """With which probability it is shown: that of a draw above zero from what is believed, within limits."""
        above_zero = 0.5 * math.erfc(-SHARPNESS * self.mean / (self.deviation * math.sqrt(2)))
        return min(max(above_zero, LEAST_PROPENSITY), MOST_PROPENSITY)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that might be shown to a task."""

    memory: UUID
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Toss:
    """Whether a memory was shown to a task, and with which probability."""

    memory: UUID
    propensity: float
    shown: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task gets. The tosses are in the order in which they were made; a held-out task has none."""

    held_out: bool
    tosses: tuple[Toss, ...] = ()

    @property
    def shown(self) -> list[UUID]:
        return [toss.memory for toss in self.tosses if toss.shown]


def unit(task: UUID, subject: bytes) -> float:
    """A number in [0, 1), uniform over tasks and subjects: always the same for the same two, in every process."""
    return (int.from_bytes(sha256(task.bytes + subject).digest()[:8], "big") >> 11) / 2**53


def is_held_out(task: UUID, share: float) -> bool:
    """Whether the task is of the share that is shown nothing."""
    return unit(task, _HOLD_OUT) < share


def base_rate(topic: Tally, scope: Tally) -> float:
    """The success that is expected of a task before anything is known but its topic: in (0, 1)."""
    of_scope = (scope.successes + 1) / (scope.count + 2)
    return (topic.successes + TOPIC_PSEUDO_COUNT * of_scope) / (topic.count + TOPIC_PSEUDO_COUNT)


def learned(toss: Toss, success: float, base: float) -> Evidence:
    """What a finished task says of a memory that it was offered: one term of the sums."""
    return Evidence(toss.propensity * (1 - toss.propensity), (toss.shown - toss.propensity) * (success - base))


def effect(evidence: Evidence) -> Effect:
    """The prior, and what finished tasks say, weighed by how much each knows."""
    prior = 1 / PRIOR_DEVIATION**2
    precision = prior + evidence.information / OUTCOME_VARIANCE
    mean = (PRIOR_MEAN * prior + evidence.credit / OUTCOME_VARIANCE) / precision
    return Effect(mean, 1 / math.sqrt(precision))


def answer(
    task: UUID,
    candidates: Sequence[Candidate],
    places: int,
    share: float,
    earlier: Mapping[UUID, Toss] = MappingProxyType({}),
) -> Answer:
    """Which of the candidates, most similar first, the task is shown: at most `places`, and maybe none.

    `share` of the tasks is held out. With a share of 0 there is no trial: the most similar are shown, surely.
    `earlier` are the tosses of earlier answers to the task, by memory: they are repeated.
    """
    if share == 0:
        return Answer(False, tuple(Toss(one.memory, 1.0, True) for one in candidates[:places]))
    if is_held_out(task, share):
        return Answer(True)
    return Answer(False, tuple(_tosses(task, candidates, places, earlier)))


def _tosses(task: UUID, candidates: Sequence[Candidate], places: int, earlier: Mapping[UUID, Toss]) -> list[Toss]:
    """Tosses for the candidates, until the places are taken.

    What was tossed for earlier comes first, so that the same question has the same answer although more is known by
    now; then the best, so that none of them waits behind the doubtful. What is not reached was not offered, and
    teaches nothing: its toss would not have had the odds that it seems to have.
    """
    tosses: list[Toss] = []
    believed = [(effect(one.evidence), one.memory) for one in candidates]
    for its_effect, memory in sorted(believed, key=lambda pair: (pair[1] not in earlier, -pair[0].mean)):
        if places == 0:
            break
        toss = earlier.get(memory) or _toss(task, memory, its_effect.propensity)
        tosses.append(toss)
        places -= toss.shown
    return tosses


def _toss(task: UUID, memory: UUID, propensity: float) -> Toss:
    return Toss(memory, propensity, unit(task, memory.bytes) < propensity)
