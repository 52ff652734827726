"""callback.

In:     POST /v1/codex/tasks/{id}/events, POST /v1/codex/tasks/{id}/artifacts,
        POST /v1/codex/tasks/{id}/artifacts/{artifactId}/commit (task token);
        PUT /v1/artifacts/{key} (signed link)
Out:    run.reported, task.finished
Writes: codex_task_events, codex_task_snapshots, codex_task_uploads, artifacts, codex_tasks, task_runs, tasks,
        run_events, outbox; files
"""

import time
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

import functions_framework
from flask import Request, Response

from functions.callback import bodies
from functions.callback.settings import Settings
from shared import telemetry
from shared.domain.token import check_task_token
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge, document, no_content
from shared.web.requests import bearer, body_stream, parse_json, query_integer, read_body

if TYPE_CHECKING:
    from functions.callback import wiring
else:
    wiring = Deferred("functions.callback.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("callback", lambda: wiring.ready())


def _attempt(request: Request, task_id: UUID) -> int:
    telemetry.about_task(task_id)
    return check_task_token(settings.token_secret, task_id, bearer(request))


@edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/events")
def report(request: Request, task_id: UUID) -> Response:
    attempt = _attempt(request, task_id)
    batch = bodies.reports(read_body(request), task_id)
    recorded = wiring.record(task_id, attempt, batch, telemetry.traceparent())
    return document(asdict(recorded))


@edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/artifacts")
def begin(request: Request, task_id: UUID) -> Response:
    attempt = _attempt(request, task_id)
    body = parse_json(read_body(request), bodies.ArtifactBody)
    artifact, url = wiring.keep.begin(task_id, attempt, body.name, body.size, body.sha256, body.content_type)
    upload = {"method": "PUT", "url": url, "headers": {}}
    return document({"artifactId": artifact, "upload": upload}, HTTPStatus.CREATED)


@edge.route("POST", "/v1/codex/tasks/<uuid:task_id>/artifacts/<uuid:artifact_id>/commit")
def commit(request: Request, task_id: UUID, artifact_id: UUID) -> Response:
    _attempt(request, task_id)
    upload, uri = wiring.keep.commit(task_id, artifact_id)
    return document({"artifactId": upload.id, "size": upload.size, "sha256": upload.sha256, "uri": uri})


@edge.route("PUT", "/v1/artifacts/<path:key>")
def put(request: Request, key: str) -> Response:
    size = query_integer(request, "size", 0, 0, bodies.MAX_ARTIFACT)
    expires = query_integer(request, "expires", 0, 0, 99_999_999_999)
    sha256, signature = request.args.get("sha256", ""), request.args.get("signature", "")
    wiring.store.check(key, size, sha256, expires, signature, time.time())
    wiring.store.save(key, size, sha256, body_stream(request))
    return no_content()


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
