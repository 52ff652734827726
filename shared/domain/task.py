"""A task as a producer asked for it, whatever door it came through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.domain.errors import Rejected
from shared.domain.run import RunState

DEFAULT_DEADLINE_SECONDS = 3600
MAX_DEADLINE_SECONDS = 86_400
MAX_PROMPT_CHARACTERS = 200_000


class Stage(StrEnum):
    PLANNING = "planning"
    IMPLEMENTATION = "implementation"
    REVIEW = "review"


class Mode(StrEnum):
    DIRECT = "direct"
    ARGO = "argo"
    TEMPORAL = "temporal"


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster object that a task says it will touch."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One task to accept. `delivery_id` is the business key: the same one is the same task.

    `payload` is the document as it came, kept in `ideas.payload`. `body_hash` is the SHA-256 of the
    request's canonical form: the same key with another hash is a conflict.
    """

    delivery_id: str
    source_type: str
    source_ref: str
    caller: str
    prompt: str
    payload: Mapping[str, Any]
    body_hash: bytes
    tenant: str = "default"
    stage: Stage = Stage.IMPLEMENTATION
    mode: Mode = Mode.DIRECT
    repository: str = ""
    base: str = ""
    head: str = ""
    issue_number: int = 0
    priority: int = 0
    deadline_seconds: int = DEFAULT_DEADLINE_SECONDS
    targets: tuple[Target, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.delivery_id.strip():
            raise Rejected("missing delivery_id")
        if not self.prompt.strip():
            raise Rejected("prompt is empty: say what the task is to do")
        if len(self.prompt) > MAX_PROMPT_CHARACTERS:
            raise Rejected(f"prompt is longer than {MAX_PROMPT_CHARACTERS} characters")
        if not 1 <= self.deadline_seconds <= MAX_DEADLINE_SECONDS:
            raise Rejected(f"deadlineSeconds must be from 1 to {MAX_DEADLINE_SECONDS}")
        if not -32768 <= self.priority <= 32767:
            raise Rejected("priority must be from -32768 to 32767")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What intake answers: the ids of the stored task, the same for every replay."""

    run_id: UUID
    task_id: UUID
    idea_id: UUID
    stage: str
    status: str
    accepted_at: datetime
    body_hash: bytes | None
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of a task, as the dispatcher and the callback see it."""

    id: UUID
    attempt: int
    status: RunState
    caller: str
    tenant: str
    stage: str
    mode: str
    prompt: str
    repository: str
    base: str
    head: str
    deadline_seconds: int
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is not finished: whether its launch is overdue, and whether its time is up."""

    run: Run
    launch_due: bool
    expired: bool
