"""Who may do what in a cluster: bindings, and the rights that functions cannot do without."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.doctor.cluster import Cluster, labels, name, spec
from shared.doctor.deployed import Deployed
from shared.domain.cluster import Object, Right
from shared.web.serve import FUNCTIONS

Account = str
_EVERY = ("create", "get", "list", "patch", "delete")
_REVIEW = Right("authentication.k8s.io", "tokenreviews", "create")
RUNNER_ACCOUNT, JOBS_NAMESPACE, ARGO_NAMESPACE = "codex-runner", "codex", "argo-workflows"


@dataclass(frozen=True)
class Granted:
    """One rule that a binding gives; `namespace` is empty where it holds in all of them."""

    binding: str
    namespace: str
    role: str
    rule: Mapping[str, Any]

    def words(self, field: str) -> Sequence[str]:
        """What the rule says in one of its lists."""
        return self.rule.get(field) or ()


def pod_spec(function: Object) -> Mapping[str, Any]:
    """The spec of a function's pods."""
    return spec(function, "template", "spec") or {}


def accounts(cluster: Cluster) -> dict[Account, list[str]]:
    """The accounts of functions and sources, `namespace:name`, and what runs as each."""
    found: dict[Account, list[str]] = {}
    for each in _functions(cluster):
        found.setdefault(_of_function(cluster, each), []).append(name(each))
    for each in cluster.some("ApiServerSource"):
        found.setdefault(_of_source(cluster, each), []).append(f"the source {name(each)}")
    return found


def _functions(cluster: Cluster) -> list[Object]:
    return [each for each in cluster.all("Service") if name(each) in FUNCTIONS]


def _of_function(cluster: Cluster, function: Object) -> Account:
    return f"{cluster.namespace}:{pod_spec(function).get('serviceAccountName') or 'default'}"


def _of_source(cluster: Cluster, source: Object) -> Account:
    return f"{cluster.namespace}:{spec(source, 'serviceAccountName') or 'default'}"


def granted(cluster: Cluster, account: Account, groups: bool = True) -> Iterator[Granted]:
    """Every rule that holds for the account, by its name or, if asked for, by its groups."""
    namespace = account.partition(":")[0]
    own = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"} if groups else set()
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in cluster.all(kind):
            if any(_is(subject, account, own) for subject in binding.get("subjects") or ()):
                yield from _rules(cluster, binding, kind)


def _is(subject: Mapping[str, Any], account: Account, groups: set[str]) -> bool:
    if subject.get("kind") == "Group":
        return subject.get("name") in groups
    return subject.get("kind") == "ServiceAccount" and f"{subject.get('namespace')}:{subject.get('name')}" == account


def _rules(cluster: Cluster, binding: Object, kind: str) -> Iterator[Granted]:
    reference, place = binding["roleRef"], binding["metadata"].get("namespace", "")
    where = place if reference["kind"] == "Role" else None
    for role in cluster.all(reference["kind"]):
        if name(role) == reference["name"] and role["metadata"].get("namespace") == where:
            for rule in role.get("rules") or ():
                scope = place if kind == "RoleBinding" else ""
                yield Granted(f"{kind} {name(binding)}", scope, f"{reference['kind']} {reference['name']}", rule)


def jobs_namespace(deployed: Deployed) -> str:
    """Where the dispatcher runs Jobs."""
    return deployed.setting("dispatcher", "FACTEUR_JOBS_NAMESPACE", JOBS_NAMESPACE)


def runs_namespaces(cluster: Cluster, deployed: Deployed) -> list[str]:
    """Where tasks run: Jobs, and Workflows if there is a namespace for them."""
    argo = deployed.setting("dispatcher", "FACTEUR_ARGO_NAMESPACE", ARGO_NAMESPACE)
    places = [jobs_namespace(deployed), *([argo] if cluster.named("Namespace", argo) else [])]
    return list(dict.fromkeys(places))


def needed(cluster: Cluster, deployed: Deployed) -> dict[Account, list[Right]]:
    """The rights that each account cannot do without."""
    found: dict[Account, list[Right]] = {}
    for each in _functions(cluster):
        rights = list(_launching(cluster, deployed)) if name(each) == "dispatcher" else []
        if deployed.setting(name(each), "FACTEUR_TOKEN_REVIEW_CALLERS"):
            rights.append(_REVIEW)
        if rights:
            found.setdefault(_of_function(cluster, each), []).extend(rights)
    for each in cluster.some("ApiServerSource"):
        found.setdefault(_of_source(cluster, each), []).extend(_watching(cluster, each))
    return {account: list(dict.fromkeys(rights)) for account, rights in found.items()}


def _watching(cluster: Cluster, source: Object) -> Iterator[Right]:
    for watched in spec(source, "resources") or ():
        for verb in ("list", "watch"):
            yield from (Right(*_resource(watched), verb, place) for place in _watched(cluster, source))


def _watched(cluster: Cluster, source: Object) -> list[str]:
    """The namespaces that a source watches; one that is empty is all of them."""
    selector = spec(source, "namespaceSelector")
    if selector is None:
        return [cluster.namespace]
    wanted, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or ()
    if not wanted and not expressions:
        return [""]
    staying = [each for each in cluster.all("Namespace") if "deletionTimestamp" not in each["metadata"]]
    chosen = [each for each in staying if wanted.items() <= labels(each).items()]
    return [name(each) for each in chosen if all(_holds(one, labels(each)) for one in expressions)]


def _holds(expression: Mapping[str, Any], known: Mapping[str, str]) -> bool:
    key, values = expression.get("key"), expression.get("values") or ()
    by_operator = {
        "In": known.get(str(key)) in values,
        "NotIn": known.get(str(key)) not in values,
        "Exists": key in known,
        "DoesNotExist": key not in known,
    }
    return by_operator.get(str(expression.get("operator")), False)


def _launching(cluster: Cluster, deployed: Deployed) -> Iterator[Right]:
    jobs = jobs_namespace(deployed)
    for place in runs_namespaces(cluster, deployed):
        group, resource = ("batch", "jobs") if place == jobs else ("argoproj.io", "workflows")
        yield from (Right(group, resource, verb, place) for verb in _EVERY)
        yield from (Right("", "secrets", verb, place) for verb in _EVERY)
        yield Right("", "pods", "list", place)


def _resource(watched: Mapping[str, Any]) -> tuple[str, str]:
    group = str(watched.get("apiVersion", "")).rpartition("/")[0]
    return group, _plural(str(watched.get("kind", "")).lower())


def _plural(kind: str) -> str:
    """As the source itself guesses it."""
    if kind.endswith("s"):
        return f"{kind}es"
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
