"""HTTP from the container: one request, one meaning."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared.runner.environment import is_http_url, read_token
from shared.runner.errors import Away, Fenced, Refused, RunnerError, Unacceptable

TIMEOUT = 10.0
_LEAST_TIMEOUT = 0.8
_MAX_ANSWER = 8 * 1024 * 1024


class Client:
    """Sends requests with the task's token and trace. Redirects are not followed."""

    def __init__(self, token_file: Path, traceparent: str | None) -> None:
        self._token_file = token_file
        self._trace = {"traceparent": traceparent} if traceparent else {}

    def json(
        self, method: str, url: str, body: bytes | None = None, until: float | None = None, timeout: float = TIMEOUT
    ) -> dict[str, Any]:
        """The JSON object that the other side answers; never later than `until` (monotonic seconds)."""
        headers = {"Authorization": f"Bearer {read_token(self._token_file)}", **self._trace}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if until is not None:
            timeout = min(timeout, max(_LEAST_TIMEOUT, until - time.monotonic()))
        try:
            answer = json.loads(_exchange(method, url, body, headers, timeout))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Away("something other than facteur answers at this address")
        return answer

    def put(self, url: str, body: Iterable[bytes], headers: Mapping[str, str], timeout: float) -> None:
        """Streams a body to a signed URL; a header tells its length. The token is not for that place: it stays here."""
        if not is_http_url(url):
            raise RunnerError("the callback named an upload address that is no http or https URL")
        _exchange("PUT", url, body, {**headers, **self._trace}, timeout)


def _exchange(
    method: str, url: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str], timeout: float
) -> bytes:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    until = time.monotonic() + timeout
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        # A server that refuses a body may answer and close before it has read all of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, dict(headers))
        if connection.sock is not None:
            connection.sock.settimeout(max(_LEAST_TIMEOUT, until - time.monotonic()))
        # Closed here, since its finalizer would do it in Python, and ignore a SIGTERM that comes just then.
        with connection.getresponse() as response:
            content = response.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise Away(f"no answer ({type(error).__name__})") from None
    finally:
        connection.close()
    _judge(response.status, response.getheader("Retry-After"))
    return content


def _judge(status: int, retry_after: str | None) -> None:
    if 200 <= status < 300:
        return
    if status in (401, 403):
        raise Refused(f"the task token is not accepted ({status}): it is wrong, or its attempt is over")
    if status == 409 and retry_after is None:
        raise Fenced("this attempt is over: it has ended, or a later attempt has taken its place")
    if status in (400, 413, 422):
        raise Unacceptable(f"what was sent is not accepted ({status})")
    seconds = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    raise Away(f"the answer was {status}", seconds)
