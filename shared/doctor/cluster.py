"""The objects of a cluster, as checks ask for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.doctor.checks import NotLooked
from shared.domain.cluster import Object, Objects, Unlisted

_EVENTING, _SOURCES = "/apis/eventing.knative.dev/v1", "/apis/sources.knative.dev/v1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Where each kind is listed; of what has no namespace here, every namespace is asked for.
COLLECTIONS: Mapping[str, str] = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ServiceAccount": "/api/v1/serviceaccounts",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "CoreService": "/api/v1/namespaces/{}/services",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Role": f"{_RBAC}/roles",
    "RoleBinding": f"{_RBAC}/rolebindings",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Service": "/apis/serving.knative.dev/v1/namespaces/{}/services",
    "Broker": f"{_EVENTING}/namespaces/{{}}/brokers",
    "Trigger": f"{_EVENTING}/namespaces/{{}}/triggers",
    "PingSource": f"{_SOURCES}/namespaces/{{}}/pingsources",
    "ApiServerSource": f"{_SOURCES}/namespaces/{{}}/apiserversources",
    "SinkBinding": f"{_SOURCES}/namespaces/{{}}/sinkbindings",
    "KafkaSource": f"{_SOURCES}/namespaces/{{}}/kafkasources",
}
VISIBILITY = "networking.knative.dev/visibility"
_MANY_TENANTS = "MTChannelBasedBroker"
# The fix of what an install lacks; which overlay it has is not seen.
APPLY = "kubectl apply -k knative/overlays/OVERLAY"


@dataclass(frozen=True)
class Cluster:
    """`namespace` is where the functions are; `now` is the Unix time of the look. Secrets never reach a repr."""

    namespace: str
    now: float
    listed: Mapping[str, Objects] = field(repr=False)

    def all(self, kind: str) -> Sequence[Object]:
        """The objects of the kind; NotLooked where they cannot be seen."""
        found = self.listed.get(kind, Unlisted.NOT_SERVED)
        if isinstance(found, Unlisted):
            raise NotLooked(f"{kind}: {found}")
        return found

    def served(self, kind: str) -> bool:
        """Whether the cluster knows the kind."""
        return self.listed.get(kind, Unlisted.NOT_SERVED) is not Unlisted.NOT_SERVED

    def some(self, kind: str) -> Sequence[Object]:
        """As `all`, and nothing of a kind that the cluster does not know."""
        return self.all(kind) if self.served(kind) else ()

    def within(self, kind: str, namespace: str) -> list[Object]:
        """The objects of the kind in one namespace."""
        return [each for each in self.all(kind) if each["metadata"].get("namespace") == namespace]

    def named(self, kind: str, name: str) -> Object | None:
        """The object of that name; of a kind that is listed of one namespace."""
        return next((each for each in self.all(kind) if each["metadata"]["name"] == name), None)

    @property
    def in_production(self) -> bool:
        """Whether the broker keeps its events: what only tries things out uses the one in memory."""
        return any(broker_class(each) not in ("", _MANY_TENANTS) for each in self.all("Broker"))


def name(of: Object) -> str:
    """The name of an object."""
    return str(of["metadata"]["name"])


def labels(of: Object) -> Mapping[str, str]:
    """Its labels."""
    return of["metadata"].get("labels") or {}


def annotations(of: Object) -> Mapping[str, str]:
    """Its annotations."""
    return of["metadata"].get("annotations") or {}


def broker_class(broker: Object) -> str:
    """Which broker it is, empty where the cluster's own choice is not told."""
    return annotations(broker).get("eventing.knative.dev/broker.class", "")


def spec(of: Object, *path: str) -> Any:
    """What stands in the spec at this path, None if nothing does."""
    found: Any = of.get("spec")
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def not_ready(of: Object) -> str:
    """Why an object is not ready, in its own words; empty while it is, or nothing is said yet."""
    conditions = (of.get("status") or {}).get("conditions") or []
    ready: Mapping[str, Any] = next((each for each in conditions if each.get("type") == "Ready"), {})
    if ready.get("status") in (None, "True"):
        return ""
    return f"{ready.get('reason') or 'not ready'}: {str(ready.get('message') or 'no message')[:200]}"


def container(function: Object) -> Mapping[str, Any]:
    """The container of a Knative Service that has the function."""
    found = spec(function, "template", "spec", "containers") or [{}]
    return dict(found[0])


def revision_annotations(function: Object) -> Mapping[str, str]:
    """The annotations of the pods of a Knative Service."""
    metadata = spec(function, "template", "metadata") or {}
    return metadata.get("annotations") or {}


def references(of: Object) -> Iterator[Mapping[str, Any]]:
    """Every `ref` in the spec of a Trigger, a Broker or a source."""
    for place in (("subscriber",), ("sink",), ("delivery", "deadLetterSink")):
        found = spec(of, *place, "ref")
        if isinstance(found, Mapping):
            yield found
