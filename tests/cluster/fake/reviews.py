"""Questions that are answered and not stored: tokens for accounts, whose a token is, and who may do what."""

from datetime import UTC, datetime, timedelta

from tests.cluster.fake.access import AUDIENCE, MASTERS, Access, Attempt, User
from tests.cluster.fake.kinds import ACCESS_REVIEW, TOKEN_REVIEW, Kind, Object
from tests.cluster.fake.refusals import Mistake, invalid
from tests.cluster.fake.store import now

_LEAST_SECONDS = 600
_REQUEST = Kind("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests")


def request_token(access: Access, account: Object, body: Object) -> Object:
    """A TokenRequest with its token."""
    asked = body.get("spec") or {}
    audiences = asked.get("audiences") or [AUDIENCE]
    seconds = asked.get("expirationSeconds") or 3600
    if seconds < _LEAST_SECONDS:
        mistake = Mistake.value("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        raise invalid(_REQUEST, "", [mistake])
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {field: account["metadata"][field] for field in ("name", "namespace", "uid")}
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {**metadata, "creationTimestamp": now()},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": asked.get("boundObjectRef")},
        "status": {"token": access.issue(account, audiences, seconds), "expirationTimestamp": expires},
    }


def review(access: Access, kind: Kind, body: Object, asker: User) -> Object:
    """The review with its status."""
    spec = body.get("spec") or {}
    if kind is TOKEN_REVIEW:
        status = _token_status(access, spec)
    else:
        user = asker if kind is not ACCESS_REVIEW else User(spec.get("user", ""), groups=tuple(spec.get("groups", ())))
        status = {"allowed": access.may(user, _attempt(spec))}
        if MASTERS in user.groups:
            status["reason"] = f'RBAC: allowed by ClusterRoleBinding "cluster-admin" to Group "{MASTERS}"'
    return {**body, "metadata": {}, "spec": spec, "status": status}


def _attempt(spec: Object) -> Attempt:
    if path := spec.get("nonResourceAttributes"):
        return Attempt(path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    resource = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource", ""))))
    where, name = asked.get("namespace", ""), asked.get("name", "")
    return Attempt(asked.get("verb", ""), asked.get("group", ""), resource, where, name)


def _token_status(access: Access, spec: Object) -> Object:
    known = access.who(spec.get("token", ""))
    wanted = spec.get("audiences") or [AUDIENCE]
    if known is None:
        return {"user": {}, "error": "invalid bearer token"}
    fitting = [audience for audience in wanted if audience in known.audiences]
    if not fitting:
        told = f"token audiences {[*known.audiences]} is invalid for the target audiences {wanted}"
        return {"user": {}, "error": f"[invalid bearer token, {told}]".replace("'", '"')}
    user = {"username": known.user.name, "uid": known.user.uid, "groups": [*known.user.groups]}
    return {"authenticated": True, "user": user, "audiences": fitting}
