"""Looks at a cluster as the user of a kubeconfig. Nothing is changed: reads, and questions for rights."""

import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.rest import ApiException

from shared.domain import clock_reading
from shared.domain.cluster import Objects, Right, Unlisted
from shared.domain.condition import Clock
from shared.domain.errors import Rejected, Unavailable

_TIMEOUT_SECONDS = 5.0
_A_PAGE = 500
_MOST_OBJECTS = 10_000
_REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Inspection:
    """Asks the API server, once for each question. Safe for threads."""

    def __init__(self, kubeconfig: Path | None, context: str | None, page: int = _A_PAGE) -> None:
        """Rejected if there is no such cluster in the kubeconfig; nothing connects yet. Lists come in pages."""
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # what it would warn of is said
        configuration = Configuration(retries=urllib3.Retry(0))
        try:
            config.load_kube_config(
                config_file=os.fspath(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        except Exception as error:  # noqa: BLE001  # each mistake in a kubeconfig is another error of the package
            raise Rejected(f"the kubeconfig cannot be used ({type(error).__name__})") from None
        self._client = ApiClient(configuration)
        self._host = configuration.host
        self._page = page

    def clock(self) -> Clock | None:
        """The API server's clock; Unavailable if it does not answer."""
        before = time.time()
        answer = self._ask("GET", "/version")
        return clock_reading.from_date("the API server", answer.headers.get("Date"), before, time.time())

    def objects(self, path: str) -> Objects:
        """The objects of a collection; Unlisted says why there are none to see. Unavailable if nobody answers."""
        items: list[dict[str, Any]] = []
        more = ""
        while len(items) < _MOST_OBJECTS:
            answer = self._ask("GET", f"{path}?limit={self._page}" + (f"&continue={more}" if more else ""))
            if answer.status == 404:
                return Unlisted.NOT_SERVED
            if answer.status == 403:
                return Unlisted.FORBIDDEN
            page = _document(answer)
            items += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue") or ""
            if not more:
                return items
        return Unlisted.TOO_MANY

    def allowed(self, account: str, rights: Sequence[Right]) -> list[bool] | Unlisted:
        """Whether the account, `namespace:name`, has each of the rights."""
        found = []
        for right in rights:
            spec: dict[str, Any] = {"user": f"system:serviceaccount:{account}", "groups": _groups(account)}
            spec["resourceAttributes"] = {name: value for name, value in right._asdict().items() if value}
            body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
            answer = self._ask("POST", _REVIEW, body)
            if answer.status != 201:
                return Unlisted.FORBIDDEN if answer.status == 403 else Unlisted.NOT_SERVED
            found.append(bool((_document(answer).get("status") or {}).get("allowed")))
        return found

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], None, None, None)
        try:
            answer = self._client.call_api(method, self._host + path, headers, body, _request_timeout=_TIMEOUT_SECONDS)
            answer.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unavailable(f"the API server does not answer ({type(error).__name__})") from None
        if answer.status == 401:
            raise Unavailable("the API server does not know the user of the kubeconfig (401)")
        if answer.status not in (200, 201, 403, 404):
            raise Unavailable(f"the API server answers {answer.status}")
        return answer


def _groups(account: str) -> list[str]:
    namespace = account.partition(":")[0]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def _document(answer: Any) -> dict[str, Any]:
    try:
        document = json.loads(answer.data)
    except (ValueError, RecursionError):
        raise Unavailable("the API server answers what is no JSON") from None
    return document if isinstance(document, dict) else {}
