"""What each function's ServiceAccount may ask of the API server, and a long list of what none should."""

import secrets
import shutil
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from tests.cluster.api import Api
from tests.component.conftest import until

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_READS = ("get", "list", "watch")
_WRITES = ("create", "patch", "delete")


@dataclass(frozen=True, order=True)
class Call:
    """A verb on a resource of a group; without a namespace it is the whole cluster that is meant."""

    verb: str
    resource: str
    namespace: str = ""
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.group}/{self.resource} in {self.namespace or 'the cluster'}"

    def request(self) -> tuple[str, str, object]:
        """Method, path and body of a real request: allowed, it changes nothing, as there is no such object."""
        root = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        root = f"/apis/{self.group}/v1alpha1" if self.group == "argoproj.io" else root
        resource, _, sub = self.resource.partition("/")
        path = f"{root}/namespaces/{self.namespace}/{resource}" if self.namespace else f"{root}/{resource}"
        one = f"{path}/absent" + (f"/{sub}" if sub else "")
        if self.verb == "list":
            return "GET", path, None
        if self.verb == "create":
            # Empty, so that whoever may create is told what it lacks.
            return "POST", one if sub else path, {}
        return {"get": "GET", "patch": "PATCH", "delete": "DELETE"}[self.verb], one, {}


def _calls(verbs: tuple[str, ...], resource: str, namespace: str = "", group: str = "") -> set[Call]:
    return {Call(verb, resource, namespace, group) for verb in verbs}


_EVERY = ("create", "get", "list", "patch", "delete")
_REVIEW = Call("create", "tokenreviews", group="authentication.k8s.io")
# What shared/kubernetes/launcher.py does; the tests of launching do it with these rights.
_LAUNCH = {
    *_calls(_EVERY, "jobs", "codex", "batch"),
    *_calls(_EVERY, "workflows", "argo-workflows", "argoproj.io"),
    *(call for place in ("codex", "argo-workflows") for call in _calls(_EVERY, "secrets", place)),
    *(Call("list", "pods", place) for place in ("codex", "argo-workflows")),
}
ALLOWED: dict[str, set[Call]] = {
    "discord-interaction": set(),
    "codex-intake": set(),
    "dispatcher": _LAUNCH,
    "callback": set(),
    "embedder": set(),
    "memory-query": set(),
}
# What knative/components/token-review adds.
REVIEWING: dict[str, set[Call]] = {name: {_REVIEW} for name in ("codex-intake", "discord-interaction", "memory-query")}
# Whom the source of Jobs and Workflows has to hear of.
WATCHED = {
    *(Call(verb, "jobs", place, "batch") for verb, place in product(_READS, ("codex", "argo-workflows"))),
    *(Call(verb, "workflows", place, "argoproj.io") for verb, place in product(_READS, ("codex", "argo-workflows"))),
}

_PLACES = ("facteur", "codex", "argo-workflows", "default", "kube-system")
DENIED = sorted(
    {
        _REVIEW,
        *_LAUNCH,
        *(Call(verb, "secrets", place) for verb, place in product(("get", "list", *_WRITES), _PLACES)),
        *(Call(verb, "pods", place) for verb, place in product(_WRITES, _PLACES)),
        *(Call(verb, "configmaps", place) for verb, place in product(_WRITES, _PLACES)),
        *(
            Call("create", sub, place)
            for sub, place in product(("pods/exec", "pods/attach", "pods/portforward"), _PLACES)
        ),
        *(Call("create", "serviceaccounts/token", place) for place in _PLACES),
        *(Call(verb, "deployments", place, "apps") for verb, place in product(_WRITES, _PLACES)),
        *(Call("create", "jobs", place, "batch") for place in _PLACES),
        *(
            Call(verb, kind, place, "rbac.authorization.k8s.io")
            for verb, kind, place in product(
                ("create", "patch", "bind", "escalate"), ("roles", "rolebindings"), _PLACES
            )
        ),
        *(
            Call(verb, kind, group="rbac.authorization.k8s.io")
            for verb, kind in product(("create", "bind", "escalate"), ("clusterroles", "clusterrolebindings"))
        ),
        *(Call("impersonate", kind) for kind in ("users", "groups", "serviceaccounts")),
        *(Call(verb, "nodes") for verb in ("get", "list", "patch")),
        *(Call(verb, "namespaces") for verb in (*_READS, *_WRITES)),
        *(Call(verb, "jobs", place, "batch") for verb, place in product(_READS, ("", "default", "kube-system"))),
        *(Call(verb, "workflows", place, "argoproj.io") for verb, place in product(_READS, ("", "default"))),
        *(Call(verb, "persistentvolumes") for verb in _WRITES),
        Call("get", "nodes/proxy"),
        Call("create", "customresourcedefinitions", group="apiextensions.k8s.io"),
        Call("create", "validatingwebhookconfigurations", group="admissionregistration.k8s.io"),
        Call("create", "apiservices", group="apiregistration.k8s.io"),
        Call("create", "certificatesigningrequests", group="certificates.k8s.io"),
        *(Call("*", "*", place, "*") for place in ("", *_PLACES)),
    }
)
# Those that a request can be made of: `bind` and its like are asked for inside of others.
CALLS = [call for call in DENIED if call.verb in _EVERY and not call.resource.startswith("nodes/")]


def allowed(api: Api, name: str, call: Call, namespace: str = "facteur") -> bool:
    """What the API server says that the ServiceAccount `name` may do."""
    user = f"system:serviceaccount:{namespace}:{name}"
    resource, _, sub = call.resource.partition("/")
    attributes = {"verb": call.verb, "resource": resource, "subresource": sub, "group": call.group}
    spec = {
        "user": user,
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
        "resourceAttributes": {**attributes, "namespace": call.namespace},
    }
    status: dict[str, bool] = api.create(_REVIEWS, {"spec": spec})["status"]
    return status["allowed"]


def await_rights(api: Api) -> None:
    """Returns when the API server knows all roles and bindings as they are: it judges by caches of them.

    Each cache hears of changes in their order, so that it knows all earlier ones when it knows a new object.
    """
    name = f"facteur-known-{secrets.token_hex(4)}"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    root = "/apis/rbac.authorization.k8s.io/v1"
    for kind, place, path in (("Role", "default", f"{root}/namespaces/default/"), ("ClusterRole", "", f"{root}/")):
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        bindings, roles = f"{path}{kind.lower()}bindings", f"{path}{kind.lower()}s"
        api.create(roles, {"metadata": {"name": name}, "rules": rules})
        api.create(bindings, {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
        until(partial(allowed, api, name, Call("get", "configmaps", place), "default"))
        api.delete(f"{bindings}/{name}")
        api.delete(f"{roles}/{name}")


def account(api: Api, name: str, folder: Path) -> Api:
    """The API server as the ServiceAccount of a function sees it, with a token as the kubelet would ask for it."""
    path = f"/api/v1/namespaces/facteur/serviceaccounts/{name}/token"
    answer = api.create(path, {"spec": {"expirationSeconds": 3600}})
    (folder / "token").write_text(answer["status"]["token"], encoding="ascii")
    shutil.copy(api.credentials / "ca.crt", folder)
    return Api(api.url, folder)
