"""codex-intake.

In:     POST /codex/tasks (CodexTask protobuf), POST /v1/codex/tasks (JSON), GET /v1/codex/tasks/{id},
        GET /v1/codex/tasks/{id}/timeline (API token); broker: task.requested; POST /dead-letters (the broker)
Out:    task.accepted
Writes: ideas, tasks, task_runs, codex_tasks, outbox, dead_letters
"""

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import functions_framework
from flask import Request, Response

from functions.codex_intake import answers, producers
from functions.codex_intake.settings import Settings
from shared import telemetry
from shared.domain.errors import NotFound
from shared.domain.token import Caller, check_api_token
from shared.events import codec
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge, document, no_content
from shared.web.requests import bearer, read_body

if TYPE_CHECKING:
    from functions.codex_intake import wiring
else:
    wiring = Deferred("functions.codex_intake.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("codex-intake", lambda: wiring.ready())


def _caller(request: Request, scope: str) -> Caller:
    return check_api_token(settings.api_tokens, bearer(request), scope)


@edge.route("POST", "/codex/tasks")
def deliver(request: Request) -> Response:
    # Only these requests need the protobuf runtime.
    from functions.codex_intake.deliveries import from_protobuf

    caller = _caller(request, "tasks:write")
    accepted = wiring.accept(from_protobuf(read_body(request), caller), telemetry.traceparent())
    telemetry.about_task(accepted.run_id)
    return document(answers.delivered(accepted), 202)


@edge.route("POST", "/v1/codex/tasks")
def submit(request: Request) -> Response:
    caller = _caller(request, "tasks:write")
    key = request.headers.get("Idempotency-Key")
    task = producers.from_json(read_body(request), caller, key, str(uuid4()))
    accepted = wiring.accept(task, telemetry.traceparent(), strict=True)
    telemetry.about_task(accepted.run_id)
    response = document(answers.submitted(accepted, settings), 200 if accepted.duplicate else 202)
    if accepted.duplicate:
        response.headers["Idempotent-Replay"] = "true"
    return response


@edge.route("GET", "/v1/codex/tasks/<uuid:task_id>")
def status(request: Request, task_id: UUID) -> Response:
    task = wiring.tasks.status(task_id, _caller(request, "tasks:read").tenant)
    if task is None:
        raise NotFound("there is no such task")
    return document(answers.shown(task))


@edge.route("GET", "/v1/codex/tasks/<uuid:task_id>/timeline")
def timeline(request: Request, task_id: UUID) -> Response:
    story = wiring.tasks.timeline(task_id, _caller(request, "tasks:read").tenant)
    if not story:
        raise NotFound("there is no such task")
    return document({"entries": [answers.shown(entry) for entry in story]})


@edge.event(TASK_REQUESTED)
def requested(event: Event) -> None:
    accepted = wiring.accept(producers.from_event(event), telemetry.traceparent())
    telemetry.about_task(accepted.run_id)


@edge.route("POST", "/dead-letters")
def bury(request: Request) -> Response:
    wiring.dead_letters.keep(codec.decode_one(dict(request.headers), read_body(request)))
    return no_content()


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
