"""The edge: routes, events, and one answer for each meaning of an error."""

import json
import logging
from typing import Any

import pytest
from flask import Flask, Request, Response

from shared.domain import errors
from shared.events import codec
from shared.events.event import Event
from shared.web.edge import Edge, document, no_content
from shared.web.problems import answer

APP = Flask(__name__)


def ask(edge: Edge, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
    with APP.test_request_context(path, method=method, data=body, headers=headers) as context:
        return edge(context.request)


def nothing() -> None:
    """A function that needs nothing."""


@pytest.fixture
def edge() -> Edge:
    return Edge("tests", nothing)


def problem(response: Response) -> Any:
    assert response.content_type == "application/problem+json"
    return json.loads(response.data)


def test_a_request_reaches_the_handler_of_its_method_and_path(edge: Edge) -> None:
    edge.route("GET", "/things/<int:number>")(lambda request, number: document({"number": number}))
    edge.route("POST", "/things/<int:number>")(lambda request, number: document({"made": number}, 201))
    assert ask(edge, "GET", "/things/7").json == {"number": 7}
    assert ask(edge, "POST", "/things/8").status_code == 201
    assert ask(edge, "GET", "/things/x").status_code == 404
    assert ask(edge, "GET", "/things").status_code == 404
    wrong = ask(edge, "DELETE", "/things/7")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_no_path_is_redirected(edge: Edge) -> None:
    edge.route("GET", "/folder/")(lambda request: document({}))
    assert ask(edge, "GET", "/folder").status_code == 404
    assert ask(edge, "GET", "//folder/").status_code == 404


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.Malformed("m"), 400, "malformed"),
        (errors.Unauthenticated("m"), 401, "unauthenticated"),
        (errors.Forbidden("m"), 403, "forbidden"),
        (errors.NotFound("m"), 404, "notfound"),
        (errors.Conflict("m"), 409, "conflict"),
        (errors.TooLarge("m"), 413, "toolarge"),
        (errors.Rejected("m"), 422, "rejected"),
        (errors.Throttled("m", 7), 429, "throttled"),
        (errors.Unavailable("m", 3), 503, "unavailable"),
    ],
)
def test_each_meaning_has_one_status_and_its_own_words(
    edge: Edge, error: errors.FacteurError, status: int, kind: str
) -> None:
    def fail(request: Request) -> Response:
        raise error

    edge.route("GET", "/")(fail)
    response = ask(edge, "GET", "/")
    shown = problem(response)
    assert (response.status_code, shown["status"], shown["type"]) == (status, status, f"urn:facteur:problem:{kind}")
    assert (shown["detail"], shown["error"]) == ("m", "m")
    assert len(shown["trace_id"]) == 32
    assert response.headers.get("Retry-After") == {429: "7", 503: "3"}.get(status)


def test_every_meaning_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FacteurError)]
    for kind in kinds:
        if kind is not errors.FacteurError:
            assert answer(kind("m")).status_code >= 400


def test_an_unexpected_error_says_nothing_of_itself(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> Response:
        raise ValueError("secret-in-an-exception")

    edge.route("GET", "/")(fail)
    with caplog.at_level(logging.CRITICAL + 1):
        response = ask(edge, "GET", "/")
    assert response.status_code == 500
    assert b"secret-in-an-exception" not in response.data
    assert problem(response)["detail"] == "something went wrong here"


def test_health_is_up_while_readiness_follows_the_doors() -> None:
    def away() -> None:
        raise errors.Unavailable("the database is away", 5)

    edge = Edge("tests", away)
    assert ask(edge, "GET", "/healthz").json == {"status": "ok"}
    not_ready = ask(edge, "GET", "/readyz")
    assert (not_ready.status_code, not_ready.headers["Retry-After"]) == (503, "5")
    assert ask(Edge("tests", nothing), "GET", "/readyz").json == {"status": "ready"}


def test_an_event_reaches_its_handler_and_is_answered_with_nothing(edge: Edge) -> None:
    seen: list[Event] = []
    edge.event("one.v1")(seen.append)
    edge.event("two.v1")(seen.append)
    for event in (Event("1", "/s", "one.v1", data=b"x"), Event("2", "/s", "two.v1")):
        headers, body = codec.encode(event)
        response = ask(edge, "POST", "/", body, headers)
        assert (response.status_code, response.data) == (204, b"")
        assert "Content-Type" not in response.headers
    assert [event.id for event in seen] == ["1", "2"]


def test_an_event_nobody_handles_and_one_that_is_none_are_refused_for_ever(edge: Edge) -> None:
    edge.event("one.v1")(lambda event: None)
    headers, body = codec.encode(Event("1", "/s", "other.v1"))
    assert ask(edge, "POST", "/", body, headers).status_code == 422
    assert ask(edge, "POST", "/", b"{}", {"Content-Type": "application/json"}).status_code == 400


def test_the_trace_of_an_event_is_preferred_to_that_of_its_delivery(edge: Edge) -> None:
    def fail(request: Request) -> Response:
        raise errors.NotFound("m")

    edge.route("POST", "/")(fail)
    cause, delivery = "a" * 32, "b" * 32
    headers = {"traceparent": f"00-{delivery}-{'1' * 16}-01"}
    assert problem(ask(edge, "POST", "/", b"", headers))["trace_id"] == delivery
    headers["ce-traceparent"] = f"00-{cause}-{'1' * 16}-01"
    assert problem(ask(edge, "POST", "/", b"", headers))["trace_id"] == cause
    fresh = problem(ask(edge, "POST", "/", b"", {"traceparent": "nonsense"}))["trace_id"]
    assert fresh not in (cause, delivery, None)


def test_nothing_is_an_answer_without_a_body() -> None:
    response = no_content()
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
