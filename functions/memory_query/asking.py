"""Questions as HTTP brings them, and their answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Request, Response

from functions.memory_query import bodies
from functions.memory_query.access import Asker
from functions.memory_query.recall import Answer
from shared import telemetry
from shared.web.deferred import Deferred
from shared.web.edge import document
from shared.web.requests import bearer, parse_json, parse_query, query_integer, read_body

if TYPE_CHECKING:
    from functions.memory_query import wiring
else:
    wiring = Deferred("functions.memory_query.wiring")  # the database driver is half of a start


def nearest(request: Request, task_id: UUID) -> Response:
    """What is most like the task's own prompt."""
    asker = _asker(request, task_id)
    limit = query_integer(request, "limit", 5, 1, bodies.MAX_RESULTS)
    filters = bodies.filters(parse_query(request, bodies.NearestQuery), asker.tenant, task_id)
    return _show(asker, lambda wanted: wiring.recall().by_text(asker.prompt, filters, wanted), limit)


def query(request: Request, task_id: UUID) -> Response:
    """What is most like a text or a vector."""
    asker = _asker(request, task_id)
    body = parse_json(read_body(request), bodies.QueryBody)
    filters = bodies.filters(body.filters, asker.tenant, task_id)
    recall = wiring.recall()

    def find(wanted: int) -> Answer:
        if body.vector is not None:
            return recall.by_vector(body.vector, filters, wanted)
        return recall.by_text(body.text or "", filters, wanted)

    return _show(asker, find, body.limit)


def lift(request: Request) -> Response:
    """Whether memory helps the caller's tenant."""
    tenant = wiring.caller(bearer(request), "memory:read").tenant
    repository = parse_query(request, bodies.LiftQuery).repository
    return document(bodies.lift(wiring.learning.lift(tenant, repository)))


def _asker(request: Request, task_id: UUID) -> Asker:
    telemetry.about_task(task_id)
    return wiring.access(task_id, bearer(request))


def _show(asker: Asker, find: Callable[[int], Answer], limit: int) -> Response:
    return document(bodies.answer(wiring.choose(asker, find, limit)))
