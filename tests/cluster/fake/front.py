"""From a request to its answer: who asks, whether they may, and what becomes of it."""

import json
import threading
from collections import Counter
from typing import Any

from tests.cluster.fake.access import ADMIN, ANONYMOUS, AUDIENCE, Access, Attempt, Token, User
from tests.cluster.fake.kinds import ACCOUNT, BY_PATH, GROUPS, NAMESPACE, POD, Kind, Object, discovery
from tests.cluster.fake.objects import Objects
from tests.cluster.fake.pages import Pages
from tests.cluster.fake.refusals import (
    NoSuchPage,
    Refused,
    bad_request,
    forbidden,
    forbidden_path,
    method_not_allowed,
    too_large,
    unauthorized,
    unknown_resource,
    unsupported,
)
from tests.cluster.fake.requests import Request
from tests.cluster.fake.reviews import request_token, review
from tests.cluster.fake.shapes import check_kind
from tests.cluster.fake.store import Store

MOST_BYTES = 3 * 1024 * 1024
_MERGE = "application/merge-patch+json"
_HEALTH = ("/healthz", "/livez", "/readyz")
_FORMATS = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


class Front:
    """The API on top of the store; `asked` counts requests by verb and resource, as in `create jobs`."""

    def __init__(self, store: Store, token: str) -> None:
        self.asked: Counter[str] = Counter()
        self._counting = threading.Lock()
        self.access = Access(store)
        self.access.register(token, Token(ADMIN))
        self.pages = Pages(store)
        self.objects = Objects(store)
        for name in ("default", "kube-system"):
            self.objects.create(NAMESPACE, "", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})

    def answer(self, request: Request) -> tuple[int, Object | str]:
        """The status and the body; text where the real server answers with text."""
        try:
            user = self._user(request)
            self._authorize(user, request)
            return self._route(user, request)
        except Refused as refusal:
            return refusal.code, refusal.body
        except NoSuchPage:
            return 404, "404 page not found\n"

    def _user(self, request: Request) -> User:
        if request.token is None:
            return ANONYMOUS
        known = self.access.who(request.token)
        if known is None or AUDIENCE not in known.audiences:
            raise unauthorized()
        return known.user

    def _authorize(self, user: User, request: Request) -> None:
        if not request.resource:
            if not self.access.may(user, Attempt(request.verb, path=request.path)):
                raise forbidden_path(user.name, request.verb, request.path)
            return
        resource = "/".join(filter(None, (request.resource, request.subresource)))
        with self._counting:
            self.asked[f"{request.verb} {resource}"] += 1
        attempt = Attempt(request.verb, request.group, resource, request.namespace, request.name)
        if not self.access.may(user, attempt):
            kind = Kind(request.group, request.version, "", request.resource)
            where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
            what = f'{request.verb} resource "{resource}" in API group "{request.group}"'
            raise forbidden(kind, request.name, f'User "{user.name}" cannot {what} {where}')

    def _route(self, user: User, request: Request) -> tuple[int, Object | str]:
        if not request.resource:
            return self._document(request)
        kind = BY_PATH.get((request.group, request.version, request.resource))
        if kind is None:
            known = request.group in GROUPS and request.group != "argoproj.io"
            raise unknown_resource() if known else NoSuchPage
        if request.subresource and request.subresource not in kind.subresources:
            raise unknown_resource()
        for option in ("dryRun", "watch"):
            if request.query.get(option) not in (None, "", "false", "0"):
                raise bad_request(f"this fake knows no {option}")
        if request.method in ("POST", "PUT", "PATCH") and len(request.body) > MOST_BYTES:
            raise too_large(MOST_BYTES)
        if kind.reviews:
            if request.method != "POST" or request.name:
                raise method_not_allowed()
            return 201, review(self.access, kind, check_kind(kind, _body(request)), user)
        if not kind.namespaced and request.method == "POST" and request.name:
            raise method_not_allowed()
        return self._named(kind, request) if request.name else self._collection(kind, request)

    def _document(self, request: Request) -> tuple[int, Object | str]:
        if request.path in _HEALTH:
            return 200, "ok"
        document = discovery(request.path)
        if document is None:
            parts = request.path.strip("/").split("/")
            known = parts[0] == "api" or (parts[0] == "apis" and len(parts) > 1 and parts[1] in GROUPS)
            raise unknown_resource() if known else NoSuchPage
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        return 200, document

    def _collection(self, kind: Kind, request: Request) -> tuple[int, Object]:
        if request.method == "POST" and (request.namespace or not kind.namespaced):
            return 201, self.objects.create(kind, request.namespace, check_kind(kind, _body(request)))
        if request.method == "GET":
            return 200, self.pages.read(kind, request.namespace, request.query)
        if request.method == "DELETE" and kind is not NAMESPACE and (request.namespace or not kind.namespaced):
            listed = self.pages.read(kind, request.namespace, request.query)
            options = _options(request)
            for each in listed["items"]:
                self.objects.delete(kind, request.namespace, each["metadata"]["name"], options)
            return 200, listed
        raise method_not_allowed()

    def _named(self, kind: Kind, request: Request) -> tuple[int, Object]:
        namespace, name, below = request.namespace, request.name, request.subresource
        if below in ("binding", "token"):
            if request.method != "POST":
                raise method_not_allowed()
            body = _body(request)
            if kind is POD:
                return 201, self.objects.bind(namespace, name, body)
            return 201, request_token(self.access, self.objects.get(ACCOUNT, namespace, name), body)
        if request.method in ("GET", "HEAD"):
            return 200, self.objects.get(kind, namespace, name)
        if request.method == "PUT":
            return 200, self.objects.update(kind, namespace, name, check_kind(kind, _body(request)), below)
        if request.method == "PATCH":
            return 200, self.objects.patch(kind, namespace, name, _patch(request), below)
        if request.method == "DELETE" and not below:
            return 200, self.objects.delete(kind, namespace, name, _options(request))
        raise method_not_allowed()


def _body(request: Request) -> Any:
    if request.content_type not in ("", "application/json"):
        raise unsupported(
            f"the body of the request was in an unknown format - accepted media types include: {_FORMATS}"
        )
    return _json(request.body)


def _patch(request: Request) -> Object:
    if request.content_type != _MERGE:
        raise unsupported("415: Unsupported Media Type")
    patch = _json(request.body)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
    return patch


def _options(request: Request) -> Object:
    options = _body(request) if request.body else {}
    for field in ("propagationPolicy", "gracePeriodSeconds"):
        if field in request.query and field not in options:
            value = request.query[field]
            options[field] = int(value) if field == "gracePeriodSeconds" else value
    return dict(options)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        told = f"couldn't get version/kind; json parse error: {error}"
        raise bad_request(f"the object provided is unrecognized: {told}") from None
