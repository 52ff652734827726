"""What a task is offered of the memories that were found for it: decided once for a task, whatever asks for it.

A scope is a tenant and a repository. A task keeps the arm in which it was when memories were first found for it: until
then no arm differs from another, so that the arms differ in nothing but what is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from shared.domain.effect import Answer, Candidate, Evidence, Tally, Toss, answer, base_rate, is_held_out
from shared.domain.memory import Recalled


class Arm(StrEnum):
    """What was decided for a task: `ALL` where there is no trial, `OFF` while its scope is switched off."""

    TREATED = "treated"
    HELD_OUT = "holdout"
    ALL = "all"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known before an offer: of the scope, of the task if it had one before, and of the memories."""

    off: bool = False
    arm: Arm | None = None
    share: float | None = None
    topic: Tally = Tally()
    scope: Tally = Tally()
    evidence: Mapping[UUID, Evidence] = field(default_factory=dict)
    tosses: Mapping[UUID, Toss] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a task is offered. `share` and `base` are those of its first offer; `off`: nothing, the scope is off."""

    arm: Arm
    share: float
    base: float
    off: bool = False
    tosses: tuple[Toss, ...] = ()

    @property
    def held_out(self) -> bool:
        return self.arm is Arm.HELD_OUT

    @property
    def shown(self) -> set[UUID]:
        return {toss.memory for toss in self.tosses if toss.shown}


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer, the memories that were found for it, and those of them that stand in the answer, best first."""

    offer: Offer
    found: Sequence[Recalled]
    answer: Sequence[Recalled]


def offer(task: UUID, memories: Sequence[UUID], places: int, share: float, known: Standing) -> Offer:
    """At most `places` of the memories, most similar first. `share` of the tasks is held out, 0 for no trial."""
    share = share if known.share is None else known.share
    arm = known.arm or _arm(task, share, known.off)
    off = known.off or arm is Arm.OFF
    given = Answer(False)
    if not off:
        candidates = [Candidate(memory, known.evidence.get(memory, Evidence())) for memory in memories]
        given = answer(task, candidates, places, share, known.tosses)
    return Offer(arm, share, base_rate(known.topic, known.scope), off, given.tosses)


def _arm(task: UUID, share: float, off: bool) -> Arm:
    if off:
        return Arm.OFF
    if share == 0:
        return Arm.ALL
    return Arm.HELD_OUT if is_held_out(task, share) else Arm.TREATED
