"""What may be asked about tasks that were accepted, and done about them, over HTTP."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Request, Response

from functions.codex_intake import answers, questions, shapes
from functions.codex_intake.settings import Settings
from shared import telemetry
from shared.domain.cursors import EntryId
from shared.domain.errors import NotFound, Unauthenticated
from shared.domain.task_token import REFUSED, Scope, check_task_token, is_task_token
from shared.domain.timeline import Entry
from shared.domain.token import Caller
from shared.web.deferred import Deferred
from shared.web.edge import document
from shared.web.requests import bearer, parse_json, read_body
from shared.web.streams import Batch, Message, Streams

if TYPE_CHECKING:
    from functions.codex_intake import wiring
else:
    wiring = Deferred("functions.codex_intake.wiring")  # the database driver is half of a start

BATCH = 500
_UNKNOWN = "there is no such task"


class Views:
    """Handlers of the routes of tasks. `caller` finds who asks, and whether they may."""

    def __init__(self, settings: Settings, caller: Callable[[Request, str], Caller]) -> None:
        self._settings = settings
        self._caller = caller
        self._streams = Streams()

    def list(self, request: Request) -> Response:
        tenant = self._caller(request, "tasks:read").tenant
        page = wiring.views.list(tenant, questions.wanted(request))
        following = str(page.next) if page.next else None
        return document(shapes.TaskList([answers.listed(row) for row in page.tasks], following))

    def status(self, request: Request, task_id: UUID) -> Response:
        task = self._own(request, task_id) if is_task_token(bearer(request)) else self._asked(request, task_id)
        return document(answers.task(task, self._held(task)))

    def _asked(self, request: Request, task_id: UUID) -> Mapping[str, Any]:
        task = wiring.views.status(task_id, self._caller(request, "tasks:read").tenant)
        if task is None:
            raise NotFound(_UNKNOWN)
        return task

    def _own(self, request: Request, task_id: UUID) -> Mapping[str, Any]:
        """The task of the container that asks."""
        attempt = check_task_token(self._settings.token_keys, task_id, bearer(request), Scope.TASK)
        task = wiring.views.own_status(task_id, attempt)
        if task is None:
            raise Unauthenticated(REFUSED)
        return task

    def _held(self, task: Mapping[str, Any]) -> str | None:
        """Why a task waits that nobody will launch."""
        if self._settings.disable_dispatcher and task["status"] in ("accepted", "prepared"):
            return "the dispatcher is disabled (FACTEUR_DISABLE_DISPATCHER): nothing is launched"
        return None

    def timeline(self, request: Request, task_id: UUID) -> Response:
        tenant = self._caller(request, "tasks:read").tenant
        after = questions.last_event(request)
        if questions.wants_stream(request):
            return self._followed(task_id, tenant, after)
        story = wiring.views.timeline(task_id, tenant)
        if not story:
            raise NotFound(_UNKNOWN)
        return document(shapes.Timeline([answers.entry(entry) for entry in story]))

    def _followed(self, task_id: UUID, tenant: str, after: EntryId | None) -> Response:
        def poll(last: str | None) -> Batch:
            story = wiring.views.follow(task_id, tenant, EntryId.parse(last) if last else None, BATCH)
            if story is None:
                raise NotFound(_UNKNOWN)
            return Batch([_message(entry) for entry in story.entries], len(story.entries) == BATCH, story.over)

        return self._streams.answer(poll, str(after) if after else None)

    def artifact(self, request: Request, task_id: UUID, artifact_id: UUID) -> Response:
        tenant = self._caller(request, "tasks:read").tenant
        found = wiring.views.artifact(task_id, tenant, artifact_id)
        if found is None:
            raise NotFound("there is no such artifact")
        link = wiring.artifacts.download(found["key"], found["name"], found["contentType"], time.time())
        return Response(
            status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": link, "Cache-Control": "private, no-store"}
        )

    def cancel(self, request: Request, task_id: UUID) -> Response:
        caller = self._caller(request, "tasks:write")
        read_body(request)
        telemetry.about_task(task_id)
        found = wiring.cancel(task_id, caller.tenant, caller.name, telemetry.traceparent())
        return document(answers.canceled(task_id, found), HTTPStatus.ACCEPTED)

    def verdict(self, request: Request, task_id: UUID) -> Response:
        caller = self._caller(request, "tasks:write")
        said = parse_json(read_body(request), questions.VerdictBody)
        telemetry.about_task(task_id)
        wiring.judge(task_id, caller.tenant, caller.name, said.verdict, said.note)
        return document(shapes.Judged(task_id, said.verdict))


def _message(entry: Entry) -> Message:
    return Message(str(entry.id), entry.what, answers.line(entry))
