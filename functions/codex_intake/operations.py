"""What clients may ask of codex-intake: one table, of which `docs/openapi.json` is made.

The broker's doors, `POST /` and `POST /dead-letters`, are not in it: they take CloudEvents from the
broker alone, by the triggers in `eventing/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from functions.codex_intake.producers import HeaderKey, Submission
from functions.codex_intake.questions import DeliveryQuery, LastEventHeader, ListQuery, TimelineQuery, VerdictBody
from functions.codex_intake.shapes import Canceled, Delivered, Health, Judged, Submitted, Task, TaskList, Timeline

JSON, STREAM, PROTOBUF = "application/json", "text/event-stream", "application/x-protobuf"

# What a body may get, beside what every operation may.
BODY = (400, 413, 415)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`content` has a type for each media type, None where it has no schema; so have headers."""

    about: str
    content: Mapping[str, Any]
    headers: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One route. Without a scope it needs no token. `errors` are those that not every operation has."""

    route: str
    name: str
    summary: str
    about: str = ""
    scope: str = ""
    query: type | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[int, Answer]
    errors: tuple[int, ...] = ()


def _task(pointer: str) -> dict[str, dict[str, str]]:
    """Links from an answer that holds the id of a task."""
    return {name: {"taskId": f"$response.body#/{pointer}"} for name in ("showTask", "showTimeline", "cancelTask")}


OPERATIONS = (
    Operation(
        route="POST /v1/codex/tasks",
        name="submitTask",
        summary="Submit a task",
        about="The same idempotency key with the same body is the same task, and gets the same answer. "
        "The body may be compressed by gzip; it holds at most 1 MiB.",
        scope="tasks:write",
        headers={"Idempotency-Key": HeaderKey},
        body={JSON: Submission},
        answers={
            202: Answer(about="The task is accepted.", content={JSON: Submitted}, links=_task("taskId")),
            200: Answer(
                about="The task was accepted before, under the same idempotency key.",
                content={JSON: Submitted},
                headers={"Idempotent-Replay": Literal["true"]},
                links=_task("taskId"),
            ),
        },
        errors=(*BODY, 409, 422),
    ),
    Operation(
        route="GET /v1/codex/tasks",
        name="listTasks",
        summary="List tasks, newest first",
        scope="tasks:read",
        query=ListQuery,
        answers={200: Answer(about="The tasks of the caller's tenant.", content={JSON: TaskList})},
        errors=(400,),
    ),
    Operation(
        route="GET /v1/codex/tasks/{taskId}",
        name="showTask",
        summary="Show a task",
        scope="tasks:read",
        answers={200: Answer(about="The task.", content={JSON: Task}, links=_task("taskId"))},
        errors=(404,),
    ),
    Operation(
        route="GET /v1/codex/tasks/{taskId}/timeline",
        name="showTimeline",
        summary="Show what happened to a task, or follow what happens",
        about="With `Accept: text/event-stream` what happened and what happens is told as server-sent events whose "
        "data are entries of the timeline. Last-Event-ID goes on after an entry; JSON always holds everything.",
        scope="tasks:read",
        query=TimelineQuery,
        headers={"Last-Event-ID": LastEventHeader},
        answers={
            200: Answer(about="The story of the task.", content={JSON: Timeline, STREAM: None}),
            204: Answer(about="For a stream: everything is told, and nothing more will happen.", content={}),
        },
        errors=(400, 404),
    ),
    Operation(
        route="GET /v1/codex/tasks/{taskId}/artifacts/{artifactId}",
        name="getArtifact",
        summary="Get a file that a run left",
        scope="tasks:read",
        answers={
            307: Answer(
                about="Where the file is, for 15 minutes. No token is to be sent there.",
                content={},
                headers={"Location": str, "Cache-Control": Literal["private, no-store"]},
            )
        },
        errors=(404,),
    ),
    Operation(
        route="POST /v1/codex/tasks/{taskId}/cancel",
        name="cancelTask",
        summary="Cancel a task, whatever state it is in",
        about="A second time changes nothing. A body is not needed, and not looked at.",
        scope="tasks:write",
        answers={
            202: Answer(
                about="The task has ended, or is being stopped.", content={JSON: Canceled}, links=_task("taskId")
            )
        },
        errors=(404, 413, 415),
    ),
    Operation(
        route="POST /v1/codex/tasks/{taskId}/verdict",
        name="judgeTask",
        summary="Say whether the work of a task was good or bad",
        about="The latest verdict counts, in place of how the task ended, when memories are judged by its outcome. "
        "The same one again changes nothing.",
        scope="tasks:write",
        body={JSON: VerdictBody},
        answers={200: Answer(about="It is noted.", content={JSON: Judged}, links=_task("taskId"))},
        errors=(*BODY, 404, 422),
    ),
    Operation(
        route="POST /codex/tasks",
        name="deliverTask",
        summary="Deliver a CodexTask protobuf",
        about="The body is a `proompteng.froussard.v1.CodexTask`, with any Content-Type; CloudEvents that hold one, "
        "binary or structured, are taken too. The same `delivery_id` is the same task, for ever.",
        scope="tasks:write",
        query=DeliveryQuery,
        body={PROTOBUF: None},
        answers={202: Answer(about="The task is accepted.", content={JSON: Delivered}, links=_task("taskRunId"))},
        errors=(*BODY, 409, 422),
    ),
    Operation(
        route="GET /openapi.json",
        name="showDocument",
        summary="Show this document",
        answers={200: Answer(about="OpenAPI 3.1.", content={JSON: dict[str, Any]})},
    ),
    Operation(
        route="GET /healthz",
        name="isAlive",
        summary="Is the process alive?",
        answers={200: Answer(about="It is.", content={JSON: Health})},
    ),
    Operation(
        route="GET /readyz",
        name="isReady",
        summary="Can tasks be accepted?",
        answers={200: Answer(about="They can.", content={JSON: Health})},
    ),
)
