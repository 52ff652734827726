"""The one table from the meaning of an error to an HTTP answer (RFC 9457 problem+json).

The Knative data plane retries 404, 408, 409, 429 and 5xx, and nothing else.
"""

from http import HTTPStatus
from typing import Annotated

import msgspec
from flask import Response

from shared import telemetry
from shared.domain import errors

_STATUS: dict[type[errors.FacteurError], HTTPStatus] = {
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Gone: HTTPStatus.GONE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unsupported: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Rejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InFlight: HTTPStatus.CONFLICT,
    errors.Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(msgspec.Struct, frozen=True):
    """What was wrong (RFC 9457). It says what to do, and never repeats what was sent."""

    type: Annotated[str, msgspec.Meta(pattern="^urn:facteur:problem:[a-z]+$")]
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    detail: str
    error: Annotated[str, msgspec.Meta(description="The detail again, for clients of the earlier system.")]
    trace_id: Annotated[str | None, msgspec.Meta(description="What the logs and traces of this request are found by.")]


def status(error: errors.FacteurError) -> HTTPStatus:
    """The status of the error's class."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def answer(error: errors.FacteurError) -> Response:
    """The answer for an expected error: its own words, the status of its class."""
    response = problem(status(error), type(error).__name__.lower(), str(error))
    if isinstance(error, errors.Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem(code: HTTPStatus, kind: str, detail: str) -> Response:
    """A problem document."""
    body = Problem(f"urn:facteur:problem:{kind}", code.phrase, code.value, detail, detail, telemetry.trace_id())
    return Response(msgspec.json.encode(body), code, content_type="application/problem+json")
