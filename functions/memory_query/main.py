"""memory-query.

In:     GET /v1/codex/tasks/{id}/memory, POST /v1/codex/tasks/{id}/memory/query (task token or API token),
        GET /v1/memory/lift (API token)
Out:    nothing
Writes: memory_exposure, memory_trials (what a run was offered);
        memory_models, codex_task_memory_index (the first model, and what waits for it);
        vectors of questions and the pace of an API in Redis
"""

from typing import TYPE_CHECKING

import functions_framework
from flask import Request, Response

from functions.memory_query import asking
from functions.memory_query.settings import Settings
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge

if TYPE_CHECKING:
    from functions.memory_query import wiring
else:
    wiring = Deferred("functions.memory_query.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("memory-query", lambda: wiring.ready())
edge.route("GET", "/v1/codex/tasks/<uuid:task_id>/memory")(asking.nearest)
edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/memory/query")(asking.query)
edge.route("GET", "/v1/memory/lift")(asking.lift)


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
