"""What a request asks for, read from its method and path as the API server reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Request:
    """`resource` is empty where the path names no resource, as that of a discovery document."""

    method: str
    path: str
    query: Mapping[str, str]
    token: str | None
    content_type: str
    body: bytes
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def verb(self) -> str:
        """What is done, in the words of roles; for a path without a resource the method's own."""
        if not self.resource:
            return self.method.lower()
        if self.name:
            return _VERBS.get(self.method, self.method.lower())
        collection = {"GET": "watch" if self.query.get("watch") in ("true", "1") else "list"}
        return collection.get(self.method, "deletecollection" if self.method == "DELETE" else _VERBS[self.method])


def parse(method: str, target: str, authorization: str | None, content_type: str, body: bytes) -> Request:
    """The request; `target` is path and query as they were sent."""
    url = urlsplit(target)
    scheme, _, token = (authorization or "").partition(" ")
    known = token.strip() if scheme.lower() == "bearer" and token.strip() else None
    kind = content_type.partition(";")[0].strip().lower()
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    named = _named(parts)
    return Request(method, url.path, dict(parse_qsl(url.query)), known, kind, body, **named)


def _named(parts: list[str]) -> dict[str, str]:
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return {}
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        # A namespace is in itself, and so are its subresources.
        namespace = rest[1]
        if len(rest) > 2 and rest[2] != "status":
            rest = rest[2:]
    rest += ["", ""]
    return {
        "group": group,
        "version": version,
        "namespace": namespace,
        "resource": rest[0],
        "name": rest[1],
        "subresource": "/".join(part for part in rest[2:] if part),
    }
