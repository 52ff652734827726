"""What a container reports about its run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.run import RunState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of what the task works on, before or after; `content` is redacted text."""

    id: UUID
    type: str
    content: str
    digest: str


@dataclass(frozen=True, slots=True)
class Report:
    """One event of one attempt. The same `event_id` twice is once; `sequence` counts from 1."""

    event_id: str
    sequence: int
    event_type: str
    content: Any = None
    snapshot: Snapshot | None = None
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a batch ends its run: `reason` for people if it failed, `result` if it did not."""

    state: RunState
    reason: str
    result: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """The outcome of one batch. `gaps` are the sequence numbers that are missing, as closed ranges."""

    accepted: int
    duplicates: int
    gaps: tuple[tuple[int, int], ...]
    status: RunState
