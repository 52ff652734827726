"""memory-query.

In:     GET /v1/codex/tasks/{id}/memory, POST /v1/codex/tasks/{id}/memory/query (task token or API token)
Out:    nothing
Writes: memory_exposure (what a run was shown); a cache of question vectors in Redis
"""

from typing import TYPE_CHECKING
from uuid import UUID

import functions_framework
from flask import Request, Response

from functions.memory_query import bodies
from functions.memory_query.access import Asker
from functions.memory_query.recall import Answer
from functions.memory_query.settings import Settings
from shared import telemetry
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge, document
from shared.web.requests import bearer, parse_json, parse_query, query_integer, read_body

if TYPE_CHECKING:
    from functions.memory_query import wiring
else:
    wiring = Deferred("functions.memory_query.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("memory-query", lambda: wiring.ready())


@edge.route("GET", "/v1/codex/tasks/<uuid:task_id>/memory")
def nearest(request: Request, task_id: UUID) -> Response:
    telemetry.about_task(task_id)
    asker = wiring.access(task_id, bearer(request))
    limit = query_integer(request, "limit", 5, 1, bodies.MAX_RESULTS)
    filters = bodies.filters(parse_query(request, bodies.NearestQuery), asker.tenant, task_id)
    return _show(asker, wiring.recall.by_text(asker.prompt, filters, limit))


@edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/memory/query")
def query(request: Request, task_id: UUID) -> Response:
    telemetry.about_task(task_id)
    asker = wiring.access(task_id, bearer(request))
    body = parse_json(read_body(request), bodies.QueryBody)
    filters = bodies.filters(body.filters, asker.tenant, task_id)
    if body.vector is not None:
        return _show(asker, wiring.recall.by_vector(body.vector, filters, body.limit))
    return _show(asker, wiring.recall.by_text(body.text or "", filters, body.limit))


def _show(asker: Asker, answer: Answer) -> Response:
    if asker.attempt is not None and answer.results:
        wiring.memories.expose(asker.task_id, asker.attempt, answer.results)
    return document(bodies.answer(answer))


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
