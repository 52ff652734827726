"""What is told of tasks that were accepted: lists and stories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.cursors import EntryId, TaskCursor
from shared.domain.run import RunState


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks of a tenant to list, at most `limit` of them, older than `before`. Empty and None are any."""

    statuses: tuple[RunState, ...] = ()
    caller: str | None = None
    repository: str | None = None
    limit: int = 50
    before: TaskCursor | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks as the API lists them, newest first; `next` is where to go on, None after the last."""

    tasks: Sequence[Mapping[str, Any]]
    next: TaskCursor | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a task."""

    id: EntryId
    at: datetime
    what: str
    detail: Any


@dataclass(frozen=True, slots=True)
class Story:
    """What came after some entry; `over` once the task has ended and all of that is told."""

    entries: Sequence[Entry]
    over: bool
