"""The doors through which tasks come: protobuf deliveries, JSON, events; and what nobody could handle."""

import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from flask import Request, Response

from functions.codex_intake import answers, producers, questions
from functions.codex_intake.settings import Settings
from shared import telemetry
from shared.domain.errors import Malformed, Rejected, Unavailable
from shared.domain.ids import run_id
from shared.domain.task import Accepted, TaskRequest
from shared.domain.token import ANONYMOUS, Caller
from shared.events import codec
from shared.events.catalogue import UNKNOWN, WORDS
from shared.events.event import Event
from shared.web import problems
from shared.web.deferred import Deferred
from shared.web.edge import document, no_content
from shared.web.requests import bearer, parse_query, read_body

if TYPE_CHECKING:
    from functions.codex_intake import wiring
else:
    wiring = Deferred("functions.codex_intake.wiring")  # the database driver is half of a start


class Doors:
    """Handlers of the routes that bring tasks. `caller` finds who asks, and whether they may."""

    def __init__(self, settings: Settings, caller: Callable[[Request, str], Caller]) -> None:
        self._settings = settings
        self._switches = settings.switches
        self._caller = caller

    def deliver(self, request: Request) -> Response:
        """A protobuf as it is, or in a CloudEvent, as a Kafka source posts it."""
        # A Kafka source cannot send a header; who sends one is held to it.
        nameless = self._settings.codex_tasks_open and bearer(request) is None
        caller = ANONYMOUS if nameless else self._caller(request, "tasks:write")
        body = read_body(request)
        if _is_event(request):
            return self._deliver_event(request, codec.decode_one(dict(request.headers), body), caller)
        # Only these requests need the protobuf runtime.
        from functions.codex_intake.deliveries import from_protobuf

        coalesce = parse_query(request, questions.DeliveryQuery).coalesce
        accepted = _accept("protobuf", lambda: from_protobuf(body, caller, self._switches, coalesce))
        return document(answers.delivered(accepted), HTTPStatus.ACCEPTED)

    def _deliver_event(self, request: Request, event: Event, caller: Caller) -> Response:
        try:
            accepted = _accept("event", lambda: producers.from_event(event, caller, self._switches))
        except (Malformed, Rejected) as error:
            # A source without a dead-letter sink would lose it.
            wiring.dead_letters.park(event, request.base_url, str(error), problems.status(error))
            _count_dead_letter(event)
            raise
        return document(answers.delivered(accepted), HTTPStatus.ACCEPTED)

    def submit(self, request: Request) -> Response:
        """A task as JSON."""
        caller = self._caller(request, "tasks:write")
        self._require_tasks()
        key, body = request.headers.get("Idempotency-Key"), read_body(request)

        def task() -> TaskRequest:
            asked = producers.from_json(body, caller, key, str(uuid4()), self._switches)
            return replace(asked, answer=answers.promised(run_id(asked.delivery_id), self._settings))

        accepted = _accept("json", task, strict=True)
        status = HTTPStatus.OK if accepted.duplicate else HTTPStatus.ACCEPTED
        response = document(answers.submitted(accepted, self._settings), status)
        if accepted.duplicate:
            response.headers["Idempotent-Replay"] = "true"
        return response

    def requested(self, event: Event) -> None:
        """A task in an event that the broker brings."""
        self._require_tasks()
        _accept("event", lambda: producers.from_event(event, None, self._switches))

    def bury(self, request: Request) -> Response:
        """An event that nobody could handle."""
        letter = codec.decode_one(dict(request.headers), read_body(request))
        wiring.dead_letters.keep(letter)
        _count_dead_letter(letter)
        return no_content()

    def _require_tasks(self) -> None:
        if not self._settings.codex_tasks_enabled:
            raise Unavailable("codex tasks are switched off: set GRAF_CODEX_TASKS_ENABLED to true", retry_after=60)


def _is_event(request: Request) -> bool:
    # Not every header: to go through all of them for each delivery would be noticed.
    return codec.is_event({name: value for name in codec.MARKS if (value := request.headers.get(name)) is not None})


def _accept(door: str, task: Callable[[], TaskRequest], strict: bool = False) -> Accepted:
    """Accepts what `task` makes of the request, and counts it whatever comes of it."""
    began, outcome = time.perf_counter(), "refused"
    try:
        accepted: Accepted = wiring.accept(task(), telemetry.traceparent(), strict)
        telemetry.about_task(accepted.run_id)
        outcome = "duplicate" if accepted.duplicate else "accepted"
        return accepted
    finally:
        telemetry.count("facteur_intake_tasks_total", door=door, outcome=outcome)
        telemetry.measure("facteur_intake_duration_ms", 1000 * (time.perf_counter() - began), door=door)


def _count_dead_letter(event: Event) -> None:
    telemetry.count("facteur_command_events_dlq_total", command=WORDS.get(event.type, UNKNOWN))
