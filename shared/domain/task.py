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
MAX_PROMPT_CHARACTERS = 1_000_000
MAX_COALESCE_SECONDS = 86_400
MIN_PRIORITY, MAX_PRIORITY = -(2**15), 2**15 - 1
# Both are keys of an index, whose rows have at most 2704 bytes.
MAX_KEY_BYTES = 2000


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
    request's canonical form: the same key with another hash is a conflict. `delivery` is the body of a
    protobuf delivery. `orchestration` is what the orchestrator's switches made of the request. A
    request with `coalesce_seconds` may become part of an open task for the same work that is not older.
    `answer` is what its caller is answered, without the token, if a replay must get the same bytes.
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
    delivery: bytes | None = None
    orchestration: Mapping[str, Any] = field(default_factory=dict)
    coalesce_seconds: int = 0
    answer: str | None = None

    def __post_init__(self) -> None:
        if not self.delivery_id.strip():
            raise Rejected("missing delivery_id")
        for name, key in (("delivery_id", self.delivery_id), ("the name of the source", self.source_ref)):
            if len(key) > MAX_KEY_BYTES or len(key.encode(errors="surrogatepass")) > MAX_KEY_BYTES:
                raise Rejected(f"{name} is longer than {MAX_KEY_BYTES} bytes")
        if not self.prompt.strip():
            raise Rejected("prompt is empty: say what the task is to do")
        if len(self.prompt) > MAX_PROMPT_CHARACTERS:
            raise Rejected(f"prompt is longer than {MAX_PROMPT_CHARACTERS} characters")
        if not 1 <= self.deadline_seconds <= MAX_DEADLINE_SECONDS:
            raise Rejected(f"deadlineSeconds must be from 1 to {MAX_DEADLINE_SECONDS}")
        if not 0 <= self.coalesce_seconds <= MAX_COALESCE_SECONDS:
            raise Rejected(f"coalesce must be from 0 to {MAX_COALESCE_SECONDS} seconds")
        if self.coalesce_seconds and not (self.repository and self.issue_number):
            raise Rejected("coalesce needs repository and issueNumber: they say which tasks are about the same work")
        if not MIN_PRIORITY <= self.priority <= MAX_PRIORITY:
            raise Rejected(f"priority must be from {MIN_PRIORITY} to {MAX_PRIORITY}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The ids of the stored task, the same for every replay, and what its caller was answered.

    `answer` is None for a task that was stored by an earlier version. A coalesced delivery has the ids
    of the task that it became part of.
    """

    run_id: UUID
    task_id: UUID
    idea_id: UUID
    stage: str
    status: str
    accepted_at: datetime
    body_hash: bytes | None
    orchestration: Mapping[str, Any]
    answer: str | None
    duplicate: bool
    coalesced: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of a task, as the dispatcher and the callback see it.

    `epoch` counts the hand-overs of its launch: who holds an earlier one is refused. `namespace` is
    where its job runs, "" where the door to jobs knows best.
    """

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
    epoch: int = 0
    namespace: str = ""
    targets: tuple[Target, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    orchestration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is neither queued nor finished, with what the database's clock says of it.

    `launch_due`: nobody is launching it any more, or yet. `expired`: its time is up. `waited_seconds`:
    how long ago it was launched, or its launch begun.
    """

    run: Run
    launch_due: bool
    expired: bool
    canceled_by: str | None = None
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that is over, and what follows its end is still to be done. `ended_seconds`: how long ago it ended."""

    run: Run
    launched: bool
    ended_seconds: float


@dataclass(frozen=True, slots=True)
class Caps:
    """How many runs may be launching or running at a time, together and each; 0 is any number.

    A branch is a repository and head; tasks without one are not counted for it.
    """

    total: int = 100
    per_namespace: int = 0
    per_caller: int = 0
    per_branch: int = 1


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The outcome of one wish to cancel; `fresh` unless it changed nothing."""

    status: RunState
    requested: bool
    fresh: bool
