"""A small REST client of the Kubernetes API, for tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import urllib3

_TIMEOUT = urllib3.Timeout(connect=5, read=30)


class ApiError(Exception):
    """An answer that is no success: `status` is its code, `reason` the reason of its Status."""

    def __init__(self, method: str, path: str, status: int, answer: object) -> None:
        document = answer if isinstance(answer, dict) else {}
        self.status = status
        self.reason = str(document.get("reason", ""))
        super().__init__(f"{method} {path}: {status} {self.reason}: {document.get('message') or answer}")


class Api:
    """`credentials` is a folder like that of a pod's ServiceAccount: `token`, and `ca.crt` for https.

    Who has a client certificate and no token has `tls.crt` and `tls.key` in the folder.
    """

    def __init__(self, url: str, credentials: Path) -> None:
        self.url = url
        self.credentials = credentials
        self._pool = urllib3.PoolManager(
            maxsize=4,
            timeout=_TIMEOUT,
            retries=False,
            ca_certs=self._file("ca.crt"),
            cert_file=self._file("tls.crt"),
            key_file=self._file("tls.key"),
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """The status and the parsed JSON of any answer; what is no JSON comes as text."""
        headers = {"Accept": "application/json", "Content-Type": content_type, **self._authorization()}
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        sent = None if body is None else json.dumps(body)
        answer = self._pool.request(method, url, body=sent, headers=headers, redirect=False)
        try:
            return answer.status, json.loads(answer.data)
        except ValueError:
            return answer.status, answer.data.decode(errors="replace")

    def create(self, path: str, body: object) -> dict[str, Any]:
        """Post the object to its collection; what the server made of it."""
        return self._demand("POST", path, body)

    def get(self, path: str) -> dict[str, Any] | None:
        """The object, None if there is none."""
        return self._unless_missing("GET", path)

    def merge(self, path: str, body: object) -> dict[str, Any]:
        """Apply a JSON merge patch; a status is patched below `/status`."""
        return self._demand("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str, body: object = None) -> dict[str, Any] | None:
        """Delete with DeleteOptions as the body; the server's answer, None if there was nothing."""
        return self._unless_missing("DELETE", path, body)

    def list(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of a collection that have these labels."""
        status, answer = self.request("GET", path, query={"labelSelector": selector} if selector else None)
        if status >= 300:
            raise ApiError("GET", path, status, answer)
        return cast("list[dict[str, Any]]", answer["items"])

    def _demand(self, method: str, path: str, body: object, content_type: str = "application/json") -> dict[str, Any]:
        status, answer = self.request(method, path, body, content_type)
        if status >= 300:
            raise ApiError(method, path, status, answer)
        return cast("dict[str, Any]", answer)

    def _unless_missing(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        try:
            return self._demand(method, path, body)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _authorization(self) -> dict[str, str]:
        # Read each time: whoever made the token may replace it.
        token = self._file("token")
        return {"Authorization": f"Bearer {Path(token).read_text(encoding='ascii').strip()}"} if token else {}

    def _file(self, name: str) -> str | None:
        path = self.credentials / name
        return str(path) if path.exists() else None
