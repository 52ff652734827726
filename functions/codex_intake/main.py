"""codex-intake.

In:     POST /codex/tasks (CodexTask protobuf), POST /v1/codex/tasks (JSON), GET /v1/codex/tasks,
        GET /v1/codex/tasks/{id}, GET /v1/codex/tasks/{id}/timeline (JSON, or followed as text/event-stream),
        GET /v1/codex/tasks/{id}/artifacts/{artifactId}, POST /v1/codex/tasks/{id}/cancel,
        POST /v1/codex/tasks/{id}/verdict (API token);
        broker: task.requested, a Kafka record; POST /dead-letters (the broker); GET /openapi.json
Out:    task.accepted, task.cancel-requested, task.finished
Writes: ideas, tasks, task_runs, codex_tasks, run_events, coalesced_deliveries, outbox, dead_letters;
        memory_trials, memory_sums, memory_effects, memory_scopes (what verdicts teach)
"""

from typing import TYPE_CHECKING

import functions_framework
from flask import Request, Response

from functions.codex_intake.doors import Doors
from functions.codex_intake.settings import Settings
from functions.codex_intake.views import Views
from shared.events.catalogue import KAFKA_RECORD, TASK_REQUESTED
from shared.settings import load
from shared.web.callers import Callers
from shared.web.deferred import Deferred
from shared.web.edge import Edge

if TYPE_CHECKING:
    from functions.codex_intake import openapi, wiring
else:
    openapi = Deferred("functions.codex_intake.openapi")
    wiring = Deferred("functions.codex_intake.wiring")  # the database driver is half of a start

settings = load(Settings)
callers = Callers(settings.callers)
doors = Doors(settings, callers)
views = Views(settings, callers)

edge = Edge("codex-intake", lambda: wiring.ready())
edge.route("POST", "/codex/tasks")(doors.deliver)
edge.route("POST", "/v1/codex/tasks")(doors.submit)
edge.event(TASK_REQUESTED)(doors.requested)
edge.event(KAFKA_RECORD)(doors.requested)
edge.route("POST", "/dead-letters")(doors.bury)
edge.route("GET", "/v1/codex/tasks")(views.list)
edge.route("GET", "/v1/codex/tasks/<uuid:task_id>")(views.status)
edge.route("GET", "/v1/codex/tasks/<uuid:task_id>/timeline")(views.timeline)
edge.route("GET", "/v1/codex/tasks/<uuid:task_id>/artifacts/<uuid:artifact_id>")(views.artifact)
edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/cancel")(views.cancel)
edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/verdict")(views.verdict)
edge.route("GET", "/openapi.json")(lambda _request: Response(openapi.document(), content_type="application/json"))


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
