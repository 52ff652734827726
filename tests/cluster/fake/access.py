"""Who somebody is, by the token they show, and whether roles let them do what they ask."""

import base64
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.cluster.fake.kinds import ACCOUNT, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Object
from tests.cluster.fake.store import Store

AUDIENCE = "https://kubernetes.default.svc"
MASTERS = "system:masters"
_AUTHENTICATED = "system:authenticated"
_PUBLIC = ("/version", "/healthz", "/livez", "/readyz")


@dataclass(frozen=True)
class User:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = (_AUTHENTICATED,)


@dataclass(frozen=True)
class Token:
    user: User
    audiences: tuple[str, ...] = (AUDIENCE,)
    expires: float | None = None
    account: tuple[str, str] | None = None


@dataclass(frozen=True)
class Attempt:
    """One thing that somebody would do; `resource` has its subresource with it."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
ADMIN = User("facteur:admin", groups=(MASTERS, _AUTHENTICATED))


class Access:
    """Tokens in memory, roles and accounts in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens: dict[str, Token] = {}

    def issue(self, account: Object, audiences: Sequence[str], seconds: int) -> str:
        """A token of the ServiceAccount; it is void once that is deleted."""
        namespace, name, uid = (account["metadata"][field] for field in ("namespace", "name", "uid"))
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED)
        user = User(f"system:serviceaccount:{namespace}:{name}", uid, groups)
        expires = time.time() + seconds
        claims = {"iss": AUDIENCE, "aud": [*audiences], "exp": int(expires), "sub": user.name}
        token = ".".join((_part({"alg": "none"}), _part(claims), secrets.token_urlsafe(32)))
        self.register(token, Token(user, tuple(audiences), expires, (namespace, name)))
        return token

    def register(self, token: str, known: Token) -> None:
        self._tokens[token] = known

    def revoke(self, token: str) -> None:
        """Nobody is known by this token from now on, as if its time had come."""
        self._tokens.pop(token, None)

    def who(self, token: str) -> Token | None:
        """What is known of a token that is still good."""
        known = self._tokens.get(token)
        if known is None or (known.expires is not None and time.time() >= known.expires):
            return None
        if known.account:
            account = self._store.find(ACCOUNT, *known.account)
            if account is None or account["metadata"]["uid"] != known.user.uid:
                return None
        return known

    def may(self, user: User, attempt: Attempt) -> bool:
        """Whether any role that is bound to the user allows it."""
        if MASTERS in user.groups or (attempt.path in _PUBLIC and attempt.verb == "get"):
            return True
        if attempt.path and _AUTHENTICATED in user.groups and _is_discovery(attempt):
            return True
        own = attempt.resource.startswith("selfsubject")
        if own and _AUTHENTICATED in user.groups:
            return True
        return any(_allows(rule, attempt) for rule in self._rules(user, attempt.namespace))

    def _rules(self, user: User, namespace: str) -> Iterator[Object]:
        bindings = self._store.all(CLUSTER_ROLE_BINDING)
        if namespace:
            bindings += self._store.all(ROLE_BINDING, namespace)
        for binding in bindings:
            where = binding["metadata"].get("namespace", "")
            if any(_is_subject(user, subject, where) for subject in binding.get("subjects") or []):
                reference = binding["roleRef"]
                kind = ROLE if reference["kind"] == "Role" else CLUSTER_ROLE
                role = self._store.find(kind, where, reference["name"])
                yield from (role or {}).get("rules") or []


def _is_discovery(attempt: Attempt) -> bool:
    return attempt.verb == "get" and attempt.path.rstrip("/").startswith(("/api", "/apis", "/openapi"))


def _is_subject(user: User, subject: Object, namespace: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        where = subject.get("namespace") or namespace
        return user.name == f"system:serviceaccount:{where}:{subject['name']}"
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    return bool(subject["name"] == user.name)


def _allows(rule: Object, attempt: Attempt) -> bool:
    if not _holds(rule.get("verbs"), attempt.verb):
        return False
    if attempt.path:
        urls = rule.get("nonResourceURLs") or []
        return any(url == attempt.path or (url[-1:] == "*" and attempt.path.startswith(url[:-1])) for url in urls)
    _, _, subresource = attempt.resource.partition("/")
    resources = rule.get("resources") or []
    named = rule.get("resourceNames") or []
    return (
        _holds(rule.get("apiGroups"), attempt.group)
        and (_holds(resources, attempt.resource) or (bool(subresource) and f"*/{subresource}" in resources))
        and (not named or attempt.name in named)
    )


def _holds(allowed: list[str] | None, wanted: str) -> bool:
    return wanted in (allowed or []) or "*" in (allowed or [])


def _part(claims: Object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
