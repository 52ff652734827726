"""The routes of artifacts."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Request, Response

from functions.callback import artifact_bodies
from functions.callback.pressure import Pressure
from shared.domain.artifact import MAX_PART, Piece
from shared.domain.task_token import Scope
from shared.web.deferred import Deferred
from shared.web.downloads import attachment
from shared.web.edge import document, no_content
from shared.web.requests import body_stream, parse_json, query_integer, read_body

if TYPE_CHECKING:
    from functions.callback import wiring
else:
    wiring = Deferred("functions.callback.wiring")  # the database driver is half of a start


# A commit reads all of a file, and may take as long as that takes.
COMMITS_AT_ONCE = 8
COMMITS_OF_ONE_TASK = 2


class Artifacts:
    """Handlers. `attempt` finds whose container asks, and whether it may."""

    def __init__(self, attempt: Callable[[Request, UUID, Scope], int]) -> None:
        self._attempt = attempt
        self._commits = Pressure(COMMITS_AT_ONCE, COMMITS_OF_ONE_TASK)

    def begin(self, request: Request, task_id: UUID) -> Response:
        attempt = self._attempt(request, task_id, Scope.ARTIFACTS)
        body = parse_json(read_body(request), artifact_bodies.ArtifactBody)
        parts = body.pieces
        artifact, links = wiring.keep.begin(task_id, attempt, body.name, body.whole, body.content_type, parts)
        return document(artifact_bodies.promised(artifact, links, parts), HTTPStatus.CREATED)

    def commit(self, request: Request, task_id: UUID, artifact_id: UUID) -> Response:
        attempt = self._attempt(request, task_id, Scope.ARTIFACTS)
        read_body(request)
        with self._commits.admitted(task_id):
            upload, uri = wiring.keep.commit(task_id, attempt, artifact_id)
        return document(artifact_bodies.kept(upload, uri))

    def put(self, request: Request, key: str) -> Response:
        files, links = wiring.files()
        promised = Piece(query_integer(request, "size", 0, 0, MAX_PART), request.args.get("sha256", ""))
        content_type = request.headers.get("Content-Type", "")
        links.check_upload(key, promised, content_type, _expires(request), _signature(request), time.time())
        files.save(key, promised, body_stream(request))
        return no_content()

    def get(self, request: Request, key: str) -> Response:
        files, links = wiring.files()
        name, content_type = request.args.get("name", ""), request.args.get("type", "")
        links.check_download(key, name, content_type, _expires(request), _signature(request), time.time())
        file, size = files.open(key)
        return attachment(file, size, name, content_type)


def _expires(request: Request) -> int:
    return query_integer(request, "expires", 0, 0, 99_999_999_999)


def _signature(request: Request) -> str:
    return request.args.get("signature", "")
