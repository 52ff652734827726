"""The shapes of what intake answers. `docs/openapi.json` is made of them, as the answers are."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from shared.domain.outcome import Judgement
from shared.domain.run import RunState
from shared.domain.task import Mode, Stage

Natural = Annotated[int, msgspec.Meta(ge=0)]


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """An object of an answer."""


class Callback(Shape, frozen=True):
    """Where the task's container reports, and the token that it does so with."""

    url: str
    token: str


class MemoryEndpoint(Shape, frozen=True):
    """Where the task's container asks what earlier tasks left."""

    url: str


class Links(Shape, frozen=True, rename={"self_": "self"}):
    """Paths of the task."""

    self_: str
    timeline: str
    cancel: str


class Submitted(Shape, frozen=True):
    """A task that was accepted. `duplicate`: it became part of a task that was there already."""

    task_id: UUID
    status: Literal["accepted"]
    callback: Callback
    memory_endpoint: MemoryEndpoint
    links: Links
    duplicate: bool


class Delivered(Shape, frozen=True):
    """A delivery that was accepted. `taskRunId` is what the other routes call the id of the task."""

    stage: Stage
    namespace: str
    workflow_name: str
    submitted_at: datetime
    duplicate: bool
    idea_id: UUID
    task_id: UUID
    task_run_id: UUID


class Target(Shape, frozen=True):
    """A cluster object that the task said it will touch."""

    api_version: str
    kind: str
    namespace: str
    name: str


class Artifact(Shape, frozen=True):
    """A file that a run left."""

    id: UUID
    name: str | None
    size: Natural | None
    sha256: str | None
    uri: str
    link: Annotated[str, msgspec.Meta(description="The path that leads to its content, for some minutes at a time.")]


class Memory(Shape, frozen=True):
    """How many texts are kept of the task for later ones, how many have a vector, and by which models."""

    stored: Natural
    embedded: Natural
    models: list[str]


class Task(Shape, frozen=True):
    """A task with everything that is known of it."""

    task_id: UUID
    status: RunState
    cancel_requested: bool
    reason: str
    result: str
    stage: Stage
    mode: Mode
    caller: str
    repository: str
    base: str
    head: str
    priority: int
    deadline_seconds: int
    tags: list[str]
    targets: list[Target]
    metadata: dict[str, Any]
    attempts: Natural
    usage: dict[str, Any]
    orchestration: dict[str, Any]
    job_name: str | None
    workflow_name: str | None
    accepted_at: datetime
    launched_at: datetime | None
    last_report_at: Annotated[datetime | None, msgspec.Meta(description="When its container was last heard of.")]
    finished_at: datetime | None
    artifacts: list[Artifact]
    memory: Memory
    links: Links
    held: Annotated[str, msgspec.Meta(description="Why the task waits and nobody launches it.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class ListedTask(Shape, frozen=True):
    """A task as it is listed."""

    task_id: UUID
    status: RunState
    cancel_requested: bool
    reason: str
    stage: Stage
    mode: Mode
    caller: str
    repository: str
    priority: int
    accepted_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None
    links: Links


class TaskList(Shape, frozen=True):
    """Tasks, newest first. `next` is the cursor to go on with, null after the last."""

    tasks: list[ListedTask]
    next: str | None


class Entry(Shape, frozen=True):
    """One thing that happened to a task. Its id is the place to go on from."""

    id: str
    at: datetime
    what: str
    detail: Any


class Timeline(Shape, frozen=True):
    """What happened to a task, oldest first."""

    entries: list[Entry]


class Canceled(Shape, frozen=True):
    """A task that was to end. While `status` is not final yet, its container is being stopped."""

    task_id: UUID
    status: RunState
    cancel_requested: bool


class Judged(Shape, frozen=True):
    """A task of whose work somebody has said what it is worth."""

    task_id: UUID
    verdict: Judgement


class Health(Shape, frozen=True):
    """What a probe is told."""

    status: Literal["ok", "ready"]
