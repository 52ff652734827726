"""What is still to be done for somebody whose interaction was acknowledged."""

from dataclasses import dataclass
from uuid import UUID

from shared.domain.card import Opened
from shared.events.event import Event


@dataclass(frozen=True, slots=True)
class Requested:
    """A task was asked for, by `event`; `taken` if the broker has it."""

    event: Event
    task: UUID
    taken: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How a task is doing; None is what the user asked for last."""

    task: UUID | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a task."""

    task: UUID


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered that is like a task."""

    task: UUID


@dataclass(frozen=True, slots=True)
class Search:
    """What is remembered that a text fits to; "" of repository or namespace is any."""

    text: str
    repository: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A task is to end."""

    task: UUID


Wish = Requested | Status | Timeline | Remembered | Search | Ended


@dataclass(frozen=True, slots=True)
class Errand:
    """A wish, and the interaction that it came with.

    `named`: the role map names who may have this wish, and the user is one of them. Of others each may look at
    what they or their server asked for, and end what they asked for themselves.
    """

    wish: Wish
    opened: Opened
    named: bool
    traceparent: str | None


@dataclass(slots=True)
class Progress:
    """What the user was told of an errand so far: whether they know that it waits."""

    admitted: bool = False
