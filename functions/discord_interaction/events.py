"""The door for commands that somebody else received from Discord, and for what happens to tasks."""

import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Request, Response

from functions.discord_interaction import door_wiring
from functions.discord_interaction.commands import STAGES
from functions.discord_interaction.parking import require_sealed, sealed
from functions.discord_interaction.requests import requested
from functions.discord_interaction.settings import Settings
from functions.discord_interaction.wishes import Errand, Requested
from shared import telemetry
from shared.domain.errors import FacteurError, Forbidden, Malformed, Rejected
from shared.domain.ids import resource_name
from shared.domain.token import Caller
from shared.events import catalogue, codec
from shared.events.event import Event
from shared.web import problems
from shared.web.deferred import Deferred
from shared.web.edge import document
from shared.web.requests import bearer, read_body

if TYPE_CHECKING:
    from functions.discord_interaction import wiring
else:
    wiring = Deferred("functions.discord_interaction.wiring")  # the drivers are half of a start

_FIRST_ATTEMPT = 1
_TENANT = "default"


class Events:
    """Handlers. `caller` finds who sends a command, and whether they may; `take` has an errand run later."""

    def __init__(
        self, settings: Settings, caller: Callable[[Request, str], Caller], take: Callable[[Errand], bool]
    ) -> None:
        self._settings = settings
        self._caller = caller
        self._take = take

    def command(self, request: Request) -> Response:
        """A `CommandEvent` as it is, or in a CloudEvent, as a Kafka source posts it."""
        self._require_caller(request)
        body = read_body(request)
        began, name = time.perf_counter(), [catalogue.UNKNOWN]
        letter = None
        try:
            letter = _event(request, body)
            answer = self._accept(letter.data or b"" if letter else body, name)
        except FacteurError as error:
            telemetry.count("facteur_command_events_failed_total", command=name[0])
            if letter and isinstance(error, Malformed | Rejected | Forbidden):
                self._park(letter, request, error, name[0])
            raise
        finally:
            took = 1000 * (time.perf_counter() - began)
            telemetry.measure("facteur_command_events_duration_ms", took, command=name[0])
        telemetry.count("facteur_command_events_processed_total", command=name[0])
        return document(answer, HTTPStatus.ACCEPTED)

    def _require_caller(self, request: Request) -> None:
        # A Kafka source cannot send a header; who sends one is held to it.
        if self._settings.events_open and bearer(request) is None:
            return
        if self._caller(request, "tasks:write").tenant != _TENANT:
            raise Forbidden(f"tasks that are asked for in Discord belong to the tenant {_TENANT}")

    def _accept(self, body: bytes, name: list[str]) -> dict[str, Any]:
        # Only these requests need the protobuf runtime.
        from functions.discord_interaction import command_events
        from shared.events.protobuf import commands

        event = commands.parse(body)
        given = event.command.strip().lower()
        name[0] = given if given in STAGES else name[0]
        traceparent = telemetry.traceparent()
        task, request = requested(command_events.asked(event, self._settings.role_map), traceparent)
        telemetry.about_task(task)
        # Not taken is not accepted: the source sends it again, and it is the same task.
        door_wiring.publisher.publish(request)
        opened = command_events.opened(event, time.time())
        named = self._settings.role_map.names(given)
        self._take(Errand(Requested(request, task, taken=True), opened, named, traceparent))
        workflow = resource_name(task, _FIRST_ATTEMPT)
        return {
            "workflowName": workflow,
            "namespace": self._settings.jobs_namespace,
            "correlationId": event.correlation_id or workflow,
            "taskId": str(task),
        }

    def _park(self, letter: Event, request: Request, error: FacteurError, command: str) -> None:
        """A source without a dead-letter sink would lose it. The interaction's token is not kept."""
        from shared.events.protobuf.commands import without_token

        # The broker would bring what it was to somebody else.
        kept = replace(letter, type=catalogue.COMMAND_PARKED, data=without_token(letter.data or b""))
        kept = sealed(self._settings.token_secret, kept)
        wiring.dead_letters.park(kept, request.base_url, str(error), problems.status(error))
        telemetry.count("facteur_command_events_dlq_total", command=command)

    def again(self, event: Event) -> None:
        """A command that was parked here and is redriven: the same task, without a card, as its token is gone.

        Whoever reaches the broker's side could post one: without the seal it would be anybody's task.
        """
        from shared.events.protobuf.commands import without_token

        require_sealed(self._settings.token_keys, event)
        self._accept(without_token(event.data or b"") or b"", [catalogue.UNKNOWN])

    def happened(self, event: Event) -> None:
        """Something happened to a task: its card will show it. Whoever delivers does not wait for Discord."""
        fact = catalogue.read(event, catalogue.Fact)
        telemetry.about_task(fact.task_id)
        wiring.cards.heard(fact.task_id)
        wiring.follower.start()

    def tick(self, _event: Event) -> None:
        """A process that starts from zero goes on with the cards that are open."""
        wiring.follower.start()


def _event(request: Request, body: bytes) -> Event | None:
    headers = dict(request.headers)
    return codec.decode_one(headers, body) if codec.is_event(headers) else None
