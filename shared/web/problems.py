"""The one table from the meaning of an error to an HTTP answer (RFC 9457 problem+json).

The Knative data plane retries 404, 408, 409, 429 and 5xx, and nothing else.
"""

import json
from http import HTTPStatus

from flask import Response

from shared import telemetry
from shared.domain import errors

_STATUS: dict[type[errors.FacteurError], HTTPStatus] = {
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Rejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def answer(error: errors.FacteurError) -> Response:
    """The answer for an expected error: its own words, the status of its class."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    response = problem(status, type(error).__name__.lower(), str(error))
    if isinstance(error, errors.Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem(status: HTTPStatus, kind: str, detail: str) -> Response:
    """A problem document. `error` repeats the detail for clients of the earlier system."""
    body = {
        "type": f"urn:facteur:problem:{kind}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "error": detail,
        "trace_id": telemetry.trace_id(),
    }
    return Response(json.dumps(body), status, content_type="application/problem+json")
