"""The API server, through the `kubernetes` package's dynamic client."""

import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient, Resource, ResourceList
from kubernetes.dynamic.exceptions import ResourceNotFoundError, ResourceNotUniqueError

from shared.kubernetes import refusals
from shared.kubernetes.credentials import Token
from shared.kubernetes.limiter import LONGEST_PAUSE, Limiter
from shared.kubernetes.refusals import AlreadyThere, Changed, Refused, UnknownKind

Manifest = dict[str, Any]
T = TypeVar("T")

A_PAGE = 500
_MERGE = "application/merge-patch+json"
# What is written is known here, and need not be told again.
_NO_MORE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_TRIES = 3
_UNKNOWN_SECONDS, _MOST_UNKNOWN = 60.0, 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects in namespaces, and its name in paths."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True, slots=True)
class Access:
    """How the API server is reached, and how much it is asked of: `qps` requests a second after `burst` at once.

    `credentials` is the folder of a ServiceAccount, as pods have it: `token` and `ca.crt`. Times are in seconds.
    """

    url: str
    credentials: Path = field(repr=False)
    timeout: float = 10.0
    qps: float = 50.0
    burst: int = 100


class ApiServer:
    """Reads and writes objects. Safe for threads; connects with the first call.

    A call that a busy or restarting server refuses is tried three times within seconds; then it is
    Unavailable, for whoever delivers the event to try again. A missing right is Rejected, by its name.
    """

    def __init__(self, access: Access) -> None:
        configuration = Configuration(host=access.url, retries=urllib3.Retry(0))
        ca = access.credentials / "ca.crt"
        configuration.ssl_ca_cert = str(ca) if ca.exists() else None
        configuration.connection_pool_maxsize = 32
        configuration.api_key["authorization"] = ""
        token = Token(access.credentials / "token")
        configuration.refresh_api_key_hook = lambda own: own.api_key.update(authorization=token.bearer())
        self._transport = ApiClient(configuration)
        self._client = DynamicClient(self._transport, discoverer=lambda _client, _cache: None)
        self._discovered: DynamicClient | None = None
        self._unknown: dict[tuple[str, str], float] = {}
        self._timed = {"_request_timeout": access.timeout}
        self._limiter = Limiter(access.qps, access.burst)

    def create(self, kind: Kind, namespace: str, manifest: Manifest) -> Manifest:
        """The metadata of the object as it was stored; AlreadyThere if one of its name is."""
        try:
            return self._call("create", kind, namespace, body=manifest, header_params={"Accept": _NO_MORE})
        except Refused as refused:
            if refused.reason == "AlreadyExists":
                raise AlreadyThere from None
            refusals.give_up("create", str(kind), namespace, refused)

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object; None if there is none."""
        return self._found("get", kind, namespace, name=name)

    def list(self, kind: Kind, namespace: str, selector: str, metadata_only: bool = False) -> list[Manifest]:
        """Every object in the namespace that the label selector fits, in pages."""
        items: list[Manifest] = []
        more: str | None = None
        headers = {"Accept": _METADATA_ONLY} if metadata_only else {}
        while True:
            wanted = {"label_selector": selector, "limit": A_PAGE, "_continue": more, "header_params": dict(headers)}
            try:
                page = self._call("get", kind, namespace, **wanted)
            except Refused as refused:
                if refused.unserved:  # no such kind here, so no such objects
                    return []
                refusals.give_up("list", str(kind), namespace, refused)
            items += page.get("items") or []
            more = page.get("metadata", {}).get("continue")
            if not more:
                return items

    def merge(self, kind: Kind, namespace: str, name: str, patch: Manifest) -> Manifest | None:
        """The metadata after a merge patch; None if there is no object, Changed if the patch means another."""
        wanted = {"content_type": _MERGE, "header_params": {"Accept": _NO_MORE}}
        return self._found("patch", kind, namespace, name=name, body=patch, **wanted)

    def delete(self, kind: Kind, namespace: str, name: str, preconditions: Mapping[str, str]) -> None:
        """Deletes the object and what it owns, if it is still what was looked at, else Changed; gone is success."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": dict(preconditions),
        }
        self._found("delete", kind, namespace, name=name, body=options)

    def read(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object of any kind; None if there is none. UnknownKind, or Refused where it may not be read."""
        resource = self._patiently(lambda: self._kind(api_version, kind))
        if resource.namespaced != bool(namespace):
            raise UnknownKind("it names no namespace" if resource.namespaced else "its kind is in no namespace")
        own = {"namespace": namespace} if resource.namespaced else {}
        try:
            return self._send(lambda: self._client.get(resource, name=name, serialize=False, **own, **self._timed))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def _kind(self, api_version: str, kind: str) -> Any:
        # For a kind that it does not know the client asks for everything anew: not for every task that names it.
        if self._unknown.get((api_version, kind), 0) > time.monotonic():
            raise UnknownKind("the cluster does not know this kind")
        try:
            return self._discover(api_version, kind)
        except UnknownKind:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[(api_version, kind)] = time.monotonic() + _UNKNOWN_SECONDS
            raise

    def _discover(self, api_version: str, kind: str) -> Any:
        if self._discovered is None:
            # The cache is this process's alone: the package's own place is shared by all users of the machine.
            self._folder = tempfile.TemporaryDirectory(prefix="facteur-discovery-")
            self._discovered = DynamicClient(self._transport, cache_file=f"{self._folder.name}/kinds.json")
        try:
            found = self._discovered.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError:
            raise UnknownKind("the cluster does not know this kind") from None
        except ResourceNotUniqueError:
            raise UnknownKind("the cluster knows several such kinds: name the API version in full") from None
        # The client also finds kinds by half of their group, and lists: those are not what a policy was asked about.
        if found.group_version != api_version or found.kind != kind or isinstance(found, ResourceList):
            raise UnknownKind("the cluster does not know this kind")
        return found

    def _found(self, method: str, kind: Kind, namespace: str, **arguments: Any) -> Manifest | None:
        try:
            return self._call(method, kind, namespace, **arguments)
        except Refused as refused:
            if refused.status == 404 and not refused.unserved:
                return None
            if refusals.is_another(refused):
                raise Changed("another object has taken the name of the one that was made") from None
            refusals.give_up(method, str(kind), namespace, refused)

    def _call(self, method: str, kind: Kind, namespace: str, **arguments: Any) -> Manifest:
        resource = Resource(
            prefix="apis" if kind.group else "api",
            group=kind.group,
            api_version=kind.version,
            kind=kind.kind,
            namespaced=True,
            name=kind.plural,
            client=self._client,
        )
        send = getattr(self._client, method)
        return self._send(
            lambda: send(resource, namespace=namespace, serialize=False, **self._timed, **arguments),
            looked_at=method == "delete",  # to send the same preconditions once more would be in vain
        )

    def _send(self, send: Callable[[], Any], looked_at: bool = False) -> Manifest:
        def parsed() -> Manifest:
            answer: Manifest = json.loads(send().data)
            return answer

        return self._patiently(parsed, looked_at)

    def _patiently(self, send: Callable[[], T], looked_at: bool = False) -> T:
        """What the server answers, asked again while it is busy; Refused for a no, else Unavailable."""
        for left in reversed(range(_TRIES)):
            self._limiter.wait()
            try:
                return send()
            except ApiException as error:
                refused = refusals.of(error)
                if refused.forbidden or refused.unserved:
                    return self._once_more(send, refused)
                if not refused.passes or not left or (looked_at and refused.reason == "Conflict"):
                    raise refusals.final(refused) from None
                pause = refused.retry_after
            except (urllib3.exceptions.HTTPError, OSError, ValueError, RecursionError) as error:
                if not left:
                    raise refusals.away(type(error).__name__) from None
                pause = None
            time.sleep(_spread(left) if pause is None else min(pause, LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def _once_more(self, send: Callable[[], T], refused: Refused) -> T:
        """What the server answers once it says that it is ready; Refused, and not for certain where it does not."""
        try:
            self._client.request("GET", "/readyz", serialize=False, **self._timed)
        except (ApiException, urllib3.exceptions.HTTPError, OSError):
            refused.certain = False
            raise refused from None
        try:
            return send()
        except ApiException as error:
            raise refusals.final(refusals.of(error)) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError, RecursionError) as error:
            raise refusals.away(type(error).__name__) from None


def _spread(left: int) -> float:
    """Up to 0.2, then 0.4 seconds, by chance: those who were refused together come back apart."""
    return random.uniform(0, 0.1 * 2 ** (_TRIES - left))  # noqa: S311  # no secret hangs on it
