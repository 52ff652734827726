"""Routes requests and events of one function to its handlers, and maps every error to an answer."""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Request, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule

from shared import telemetry
from shared.domain.errors import FacteurError, Rejected
from shared.events import codec
from shared.events.catalogue import UNKNOWN, WORDS
from shared.events.event import Event
from shared.web import problems
from shared.web.requests import read_body

log = logging.getLogger(__name__)

_PROBES = ("/healthz", "/readyz")

Handler = Callable[..., Response]
EventHandler = Callable[[Event], None]


def no_content() -> Response:
    """204 with no body: the only answer a Knative broker surely takes for success."""
    response = Response(status=HTTPStatus.NO_CONTENT)
    del response.headers["Content-Type"]
    return response


def document(body: object, status: int = HTTPStatus.OK) -> Response:
    """A JSON answer: a struct, or anything else that has a form in JSON, its keys in their order."""
    return Response(msgspec.json.encode(body), status, content_type="application/json")


def refused(error: HTTPException) -> Response:
    """The answer for a request that no route takes."""
    status = HTTPStatus(error.code or HTTPStatus.NOT_FOUND)
    if status < HTTPStatus.BAD_REQUEST:  # werkzeug would redirect to a path with other slashes
        status = HTTPStatus.NOT_FOUND
    response = problems.problem(status, status.name.lower().replace("_", ""), status.description or status.phrase)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


class Edge:
    """One function's HTTP surface. `ready` raises Unavailable while the function cannot work."""

    def __init__(self, service: str, ready: Callable[[], None]) -> None:
        self._service = service
        self._ready = ready
        self._rules = Map()
        self._adapter = self._rules.bind("localhost")  # no rule asks for the host
        self._handlers: dict[str, Handler] = {}
        self._events: dict[str, EventHandler] = {}
        self.route("GET", "/healthz")(lambda _request: document({"status": "ok"}))
        self.route("GET", "/readyz")(self._readyz)

    def route(self, method: str, rule: str) -> Callable[[Handler], Handler]:
        """Registers a handler of `method` for a werkzeug URL rule; it gets the request and the rule's values."""

        def register(handler: Handler) -> Handler:
            endpoint = f"{method} {rule}"
            self._rules.add(Rule(rule, endpoint=endpoint, methods=[method]))
            self._handlers[endpoint] = handler
            return handler

        return register

    def event(self, event_type: str) -> Callable[[EventHandler], EventHandler]:
        """Registers a handler for events of one type, delivered to `POST /`."""

        def register(handler: EventHandler) -> EventHandler:
            if not self._events:
                self.route("POST", "/")(self._deliver)
            self._events[event_type] = handler
            return handler

        return register

    def __call__(self, request: Request) -> Response:
        began = time.perf_counter()
        # An event carries the trace of what caused it; the header is the delivery's own.
        parent = request.headers.get("ce-traceparent") or request.headers.get("traceparent")
        with telemetry.RequestSpan(f"{self._service} {request.method}", parent):
            response = self._answer(request)
            if request.path not in _PROBES:
                took = round(1000 * (time.perf_counter() - began), 1)
                log.info("answered", extra={"facts": {"status": response.status_code, "durationMs": took}})
            return response

    def _answer(self, request: Request) -> Response:
        try:
            endpoint, values = self._match(request)
            return self._handlers[endpoint](request, **values)
        except FacteurError as error:
            log.info("refused", extra={"facts": {"error": type(error).__name__, "detail": str(error)}})
            return problems.answer(error)
        except HTTPException as error:
            return refused(error)
        except Exception:  # the last resort of the edge: logged without input, answered without detail
            log.exception("unexpected error")
            return problems.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", "something went wrong here")

    def _match(self, request: Request) -> tuple[str, dict[str, Any]]:
        endpoint, values = self._adapter.match(request.path, method=request.method)
        return str(endpoint), dict(values)

    def _readyz(self, _request: Request) -> Response:
        self._ready()
        return document({"status": "ready"})

    def _deliver(self, request: Request) -> Response:
        began = time.perf_counter()
        command = UNKNOWN
        try:
            event = codec.decode_one(dict(request.headers), read_body(request))
            command = WORDS.get(event.type, UNKNOWN)
            handler = self._events.get(event.type)
            if handler is None:
                raise Rejected("this function does not handle events of this type")
            handler(event)
        except Exception:
            telemetry.count("facteur_command_events_failed_total", command=command)
            raise
        else:
            telemetry.count("facteur_command_events_processed_total", command=command)
            return no_content()
        finally:
            took = 1000 * (time.perf_counter() - began)
            telemetry.measure("facteur_command_events_duration_ms", took, command=command)
