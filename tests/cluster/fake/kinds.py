"""The kinds that the fake API server knows, and the documents by which clients discover them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update")


@dataclass(frozen=True)
class Kind:
    """One kind in its only version; `reviews` are answered and never stored."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    reviews: bool = False
    custom: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The resource with its group, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    @property
    def counts_generations(self) -> bool:
        """Whether `metadata.generation` says how often the specification has changed."""
        return self.custom or self.plural in ("jobs", "deployments", "pods")


RBAC, REVIEW = "rbac.authorization.k8s.io", "authorization.k8s.io"
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", False, ("status",), ("ns",))
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", short=("cm",))
ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", subresources=("token",), short=("sa",))
POD = Kind("", "v1", "Pod", "pods", subresources=("status", "binding"), short=("po",))
JOB = Kind("batch", "v1", "Job", "jobs", subresources=("status",))
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", subresources=("status",), short=("deploy",))
ROLE = Kind(RBAC, "v1", "Role", "roles")
ROLE_BINDING = Kind(RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Kind(RBAC, "v1", "ClusterRole", "clusterroles", False)
CLUSTER_ROLE_BINDING = Kind(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", False)
WORKFLOW = Kind("argoproj.io", "v1alpha1", "Workflow", "workflows", short=("wf",), custom=True)
WORKFLOW_TEMPLATE = Kind(
    "argoproj.io", "v1alpha1", "WorkflowTemplate", "workflowtemplates", short=("wftmpl",), custom=True
)
TOKEN_REVIEW = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", False, reviews=True)
ACCESS_REVIEW = Kind(REVIEW, "v1", "SubjectAccessReview", "subjectaccessreviews", False, reviews=True)
OWN_ACCESS_REVIEW = Kind(REVIEW, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False, reviews=True)

KINDS = (
    *(NAMESPACE, SECRET, CONFIG_MAP, ACCOUNT, POD, JOB, DEPLOYMENT),
    *(ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING),
    *(WORKFLOW, WORKFLOW_TEMPLATE, TOKEN_REVIEW, ACCESS_REVIEW, OWN_ACCESS_REVIEW),
)
BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
GROUPS = {kind.group: kind.version for kind in KINDS}
MINOR = "36"


def discovery(path: str) -> Object | None:
    """The document below this path; None where there is none."""
    parts = path.strip("/").split("/")
    if parts == ["version"]:
        return {"major": "1", "minor": MINOR, "gitVersion": f"v1.{MINOR}.0", "platform": "linux/amd64"}
    if parts == ["api"]:
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}
    if parts == ["api", "v1"]:
        return _resources("")
    if parts == ["apis"]:
        groups = [_group(group) for group in GROUPS if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if len(parts) > 1 and parts[0] == "apis" and parts[1] in GROUPS:
        if len(parts) == 2:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
        if parts[2:] == [GROUPS[parts[1]]]:
            return _resources(parts[1])
    return None


def _group(group: str) -> Object:
    version = {"groupVersion": f"{group}/{GROUPS[group]}", "version": GROUPS[group]}
    return {"name": group, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Object:
    version = f"{group}/{GROUPS[group]}" if group else "v1"
    resources = [row for kind in KINDS if kind.group == group for row in _rows(kind)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _rows(kind: Kind) -> Iterator[Object]:
    common = {"singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name}
    verbs = [verb for verb in VERBS if kind is not NAMESPACE or verb != "deletecollection"]
    row = {"name": kind.plural, **common, "verbs": ["create"] if kind.reviews else verbs}
    yield row | ({"shortNames": [*kind.short]} if kind.short else {})
    for name in kind.subresources:
        created = {"binding": "Binding", "token": "TokenRequest"}.get(name)
        verbs = ["create"] if created else ["get", "patch", "update"]
        yield {
            "name": f"{kind.plural}/{name}",
            **common,
            "singularName": "",
            "kind": created or kind.name,
            "verbs": verbs,
        }
