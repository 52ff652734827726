"""Every event type of the system: one class each. A type exists only if a Trigger subscribes to it.

Facts carry ids and small facts, never prompts, manifests or secrets. The one command among them,
`TaskRequested`, carries what a producer may also POST to `/v1/codex/tasks`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, TypeVar
from uuid import UUID

import msgspec

from shared.domain.errors import Malformed
from shared.domain.ids import stable_id
from shared.events.event import Event

PREFIX = "ai.proompteng.codex."
PING = "dev.knative.sources.ping"
JOB_CHANGED = "dev.knative.apiserver.ref.update"
JOB_DELETED = "dev.knative.apiserver.ref.delete"
KAFKA_RECORD = "dev.knative.kafka.event"
UNKNOWN = "(unknown)"


class Fact(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the facts about one run. `key` makes the event id: same type, run and key, same event."""

    type: ClassVar[str]
    task_id: UUID

    @property
    def key(self) -> str:
        return ""


class TaskAccepted(Fact, frozen=True):
    """A task is stored and will be run once."""

    type = PREFIX + "task.accepted.v1"


class TaskPrepared(Fact, frozen=True):
    """The task's texts went through the embedder, with or without a vector: it may be launched."""

    type = PREFIX + "task.prepared.v1"


class RunLaunched(Fact, frozen=True):
    """The container of one attempt was created."""

    type = PREFIX + "run.launched.v1"
    attempt: int
    resource: str

    @property
    def key(self) -> str:
        return str(self.attempt)


class RunReported(Fact, frozen=True):
    """The container of one attempt reported something worth remembering, up to `sequence`."""

    type = PREFIX + "run.reported.v1"
    attempt: int
    sequence: int

    @property
    def key(self) -> str:
        return f"{self.attempt}/{self.sequence}"


class TaskFinished(Fact, frozen=True):
    """The task has reached a final state."""

    type = PREFIX + "task.finished.v1"
    status: str


class TaskCancelRequested(Fact, frozen=True):
    """Somebody wants a task to end whose job may exist already."""

    type = PREFIX + "task.cancel-requested.v1"


class ObjectReference(msgspec.Struct, frozen=True, rename="camel"):
    """The data of JOB_CHANGED and JOB_DELETED: which object it is, as the Knative ApiServerSource says it."""

    kind: str
    name: str
    namespace: str = ""


FACTS: tuple[type[Fact], ...] = (
    TaskAccepted,
    TaskPrepared,
    RunLaunched,
    RunReported,
    TaskFinished,
    TaskCancelRequested,
)
TASK_REQUESTED = PREFIX + "task.requested.v1"
# A CommandEvent that discord-interaction parked: once redriven, the broker brings it back there.
COMMAND_PARKED = PREFIX + "command.parked.v1"

# What people call each type.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        **{
            type_: type_.removeprefix(PREFIX).removesuffix(".v1")
            for type_ in (*(fact.type for fact in FACTS), TASK_REQUESTED, COMMAND_PARKED)
        },
        PING: "tick",
        JOB_CHANGED: "a job changed",
        JOB_DELETED: "a job deleted",
        KAFKA_RECORD: "a Kafka record",
    }
)

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


def announce(fact: Fact, source: str, traceparent: str | None) -> Event:
    """The fact as an event from the function `source`; announcing it twice gives the same event."""
    return Event(
        id=str(stable_id(fact.type, str(fact.task_id), fact.key)),
        source=f"/facteur/{source}",
        type=fact.type,
        subject=str(fact.task_id),
        datacontenttype="application/json",
        extensions={"traceparent": traceparent} if traceparent else {},
        data=msgspec.json.encode(fact),
    )


def read(event: Event, shape: type[AnyStruct]) -> AnyStruct:
    """The event's data as `shape`; Malformed if it does not fit."""
    try:
        return msgspec.json.decode(event.data or b"", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed(f"the data of {shape.__name__} does not have the expected fields") from None
