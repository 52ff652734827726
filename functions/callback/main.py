"""callback.

In:     POST /v1/codex/tasks/{id}/events, POST /v1/codex/tasks/{id}/artifacts,
        POST /v1/codex/tasks/{id}/artifacts/{artifactId}/commit (task token);
        PUT /v1/artifacts/{key}, GET /v1/artifacts/{key} (signed link); broker: tick
Out:    run.reported, task.finished
Writes: codex_task_events, codex_task_snapshots, codex_task_uploads, artifacts, codex_tasks, task_runs, tasks,
        run_events, outbox; files
"""

from typing import TYPE_CHECKING
from uuid import UUID

import functions_framework
from flask import Request, Response

from functions.callback.artifacts import Artifacts
from functions.callback.reporting import Reporting
from functions.callback.settings import Settings
from shared import telemetry
from shared.domain.task_token import Scope, check_task_token
from shared.events.catalogue import PING
from shared.events.event import Event
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge
from shared.web.requests import bearer

if TYPE_CHECKING:
    from functions.callback import wiring
else:
    wiring = Deferred("functions.callback.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("callback", lambda: wiring.ready())
edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/events")(Reporting(settings.token_keys).report)


def _attempt(request: Request, task_id: UUID, scope: Scope) -> int:
    telemetry.about_task(task_id)
    return check_task_token(settings.token_keys, task_id, bearer(request), scope)


artifacts = Artifacts(_attempt)
edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/artifacts")(artifacts.begin)
edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/artifacts/<uuid:artifact_id>/commit")(artifacts.commit)
edge.route("PUT", "/v1/artifacts/<path:key>")(artifacts.put)
edge.route("GET", "/v1/artifacts/<path:key>")(artifacts.get)


@edge.event(PING)
def tick(_event: Event) -> None:
    wiring.sweep()


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
