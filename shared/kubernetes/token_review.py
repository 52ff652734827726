"""Asks the Kubernetes API server whose token this is."""

import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import urllib3

from shared.domain.errors import Unavailable

log = logging.getLogger(__name__)

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_KNOWN_SECONDS = 60.0
_UNKNOWN_SECONDS = 5.0
_REMEMBERED = 1024


class TokenReview:
    """Asks by TokenReview, and remembers answers for a short time by the token's hash.

    `credentials` is the folder of the pod's own ServiceAccount: `token` and `ca.crt`.
    """

    def __init__(
        self,
        api_url: str,
        credentials: Path,
        audience: str,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = 3.0,
    ) -> None:
        self._url = api_url + _PATH
        self._own_token = credentials / "token"
        self._audience = audience
        self._clock = clock
        ca = str(credentials / "ca.crt")
        self._pool = urllib3.PoolManager(maxsize=4, timeout=urllib3.Timeout(timeout), retries=False, ca_certs=ca)
        # Apart, so that no flood of wrong tokens drives out the good ones.
        self._known = _Recent(_KNOWN_SECONDS)
        self._unknown = _Recent(_UNKNOWN_SECONDS)

    def username(self, token: str) -> str | None:
        """The user of a token that is valid for the audience, None for any other; Unavailable if nobody answers."""
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        if remembered := self._known.get(digest, now) or self._unknown.get(digest, now):
            return remembered[0]
        name = self._user(self._ask(token))
        if name is None:
            self._unknown.put(digest, now, None)
        else:
            self._known.put(digest, now, name)
        return name

    def _user(self, status: dict[str, Any]) -> str | None:
        # A server that knows no audiences leaves them out, and has checked the token for itself only.
        audiences, user = status.get("audiences"), status.get("user")
        if (
            status.get("authenticated") is not True
            or not isinstance(audiences, list)
            or self._audience not in audiences
        ):
            return None
        name = user.get("username") if isinstance(user, dict) else None
        return name if isinstance(name, str) and name else None

    def _ask(self, token: str) -> dict[str, Any]:
        """The status of a TokenReview."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            # Kubernetes replaces it while the pod runs.
            own = self._own_token.read_text(encoding="ascii").strip()
            headers = {"Authorization": f"Bearer {own}", "Content-Type": "application/json"}
            answer = self._pool.request("POST", self._url, body=json.dumps(review), headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._away(type(error).__name__) from None
        if answer.status not in (200, 201):
            raise self._away(f"it answered {answer.status}")
        try:
            status = json.loads(answer.data)["status"]
        except (ValueError, LookupError, TypeError, RecursionError):
            status = None
        if not isinstance(status, dict):
            raise self._away("its answer is no TokenReview")
        return status

    def _away(self, because: str) -> Unavailable:
        log.warning("no TokenReview from the Kubernetes API server", extra={"facts": {"because": because}})
        return Unavailable("the bearer token cannot be checked for now", retry_after=2)


class _Recent:
    """The answers of the last seconds, at most so many; safe for several threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = Lock()
        self._answers: OrderedDict[bytes, tuple[float, str | None]] = OrderedDict()

    def get(self, digest: bytes, now: float) -> tuple[str | None] | None:
        """The answer in a tuple, None where there is none or it is too old."""
        with self._lock:
            until, answer = self._answers.get(digest, (now, None))
            return (answer,) if now < until else None

    def put(self, digest: bytes, now: float, answer: str | None) -> None:
        with self._lock:
            self._answers.pop(digest, None)
            self._answers[digest] = now + self._seconds, answer
            # Each lives as long as any other, so the first is the oldest.
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
