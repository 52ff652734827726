"""The door for reports: who may report, how much at once, in which form, and what is counted of it."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Request, Response

from functions.callback import bodies
from functions.callback.pressure import Pressure
from shared import telemetry
from shared.domain.errors import Conflict, Throttled
from shared.domain.report import Recorded
from shared.domain.task_token import Scope, check_task_token
from shared.web.deferred import Deferred
from shared.web.edge import document
from shared.web.requests import bearer, read_body

if TYPE_CHECKING:
    from functions.callback import wiring
else:
    wiring = Deferred("functions.callback.wiring")  # the database driver is half of a start

_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class Reporting:
    """Handles the route of events. `token_keys` are the keys whose task tokens are accepted."""

    def __init__(self, token_keys: Sequence[str]) -> None:
        self._token_keys = token_keys
        self._pressure = Pressure()

    def report(self, request: Request, task_id: UUID) -> Response:
        telemetry.about_task(task_id)
        began = time.perf_counter()
        outcome = "refused"
        try:
            recorded = self._recorded(request, task_id)
            outcome = "accepted"
            return document(asdict(recorded))
        except Throttled:
            outcome = "throttled"
            raise
        except Conflict:
            outcome = "fenced"
            raise
        finally:
            telemetry.count("facteur_callback_reports_total", outcome=outcome)
            telemetry.measure("facteur_callback_duration_ms", 1000 * (time.perf_counter() - began), outcome=outcome)

    def _recorded(self, request: Request, task_id: UUID) -> Recorded:
        attempt = check_task_token(self._token_keys, task_id, bearer(request), Scope.EVENTS)
        with self._pressure.admitted(task_id):
            batch = bodies.reports(read_body(request), task_id, request.mimetype in _LINES)
            recorded: Recorded = wiring.record(task_id, attempt, batch, telemetry.traceparent())
        telemetry.count("facteur_callback_events_total", recorded.accepted, outcome="accepted")
        telemetry.count("facteur_callback_events_total", recorded.duplicates, outcome="duplicate")
        return recorded
