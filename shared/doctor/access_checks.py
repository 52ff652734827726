"""Rights in a cluster: what is missing, and what is too much."""

from collections.abc import Iterator, Mapping, Sequence

from shared.doctor.access import (
    RUNNER_ACCOUNT,
    Granted,
    accounts,
    granted,
    jobs_namespace,
    pod_spec,
    runs_namespaces,
)
from shared.doctor.checks import Found, check
from shared.doctor.cluster import APPLY, Cluster, name
from shared.doctor.deployed import Deployed
from shared.domain.cluster import Right
from shared.web.serve import FUNCTIONS

_READS = {"get", "list", "watch"}
_POWERS = {"escalate", "bind", "impersonate"}
_REVIEWS = {
    "tokenreviews",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "selfsubjectreviews",
}
_WRITTEN = {"jobs", "workflows", "secrets"}
_NEEDS_TOKEN, _NEEDS_NONE = ("dispatcher",), ("callback", "embedder")


@check("right-missing", "rights", why="Launches fail by name of the right, or nobody says that a Job has ended.")
def right_missing(rights: Mapping[str, Sequence[tuple[Right, bool]]]) -> Iterator[Found]:
    for account, asked in rights.items():
        if missing := [str(right) for right, allowed in asked if not allowed]:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            yield Found(
                f"the ServiceAccount {account.replace(':', '/')} may not {', '.join(missing[:3])}{more}",
                f"{APPLY} (knative/platform has the roles; in another namespace than theirs, put it into a copy)",
            )


@check("role-wide", "cluster", why="Whoever breaks into the function may do that, to everything it reaches.")
def role_wide(cluster: Cluster) -> Iterator[Found]:
    for account, running in accounts(cluster).items():
        for each in granted(cluster, account):
            if why := _too_much(each):
                yield Found(
                    f"{_and(running)} may {why}, by the {each.binding} to the {each.role}",
                    f"kubectl delete {_command(each)}; then {APPLY}",
                )


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


def _command(each: Granted) -> str:
    return each.binding.lower() + (f" -n {each.namespace}" if each.namespace else "")


def _too_much(each: Granted) -> str:
    verbs, resources = set(each.words("verbs")), set(each.words("resources"))
    if not resources:  # addresses of the API server itself
        return "do everything at addresses of the API server" if "*" in verbs else ""
    if "*" in verbs or "*" in resources or "*" in each.words("apiGroups"):
        return "do what is marked by *"
    if verbs & _POWERS:
        return f"{', '.join(sorted(verbs & _POWERS))} and so become somebody else"
    if not each.namespace and "secrets" in resources:
        return "read or write Secrets of all namespaces"
    if not each.namespace and verbs - _READS and resources - _REVIEWS:
        return f"{', '.join(sorted(verbs - _READS))} {', '.join(sorted(resources - _REVIEWS))} in all namespaces"
    return ""


@check("role-writes-elsewhere", "cluster", "deployed", why="Tasks of one namespace become changes in another.")
def role_writes_elsewhere(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    for account, running in accounts(cluster).items():
        own = set(runs_namespaces(cluster, deployed)) if "dispatcher" in running else set()
        for each in granted(cluster, account):
            writes, resources = set(each.words("verbs")) - _READS - {"*"}, set(each.words("resources"))
            odd = resources - _REVIEWS - (_WRITTEN if each.namespace in own else set())
            if each.namespace and writes and odd and not _too_much(each):
                yield Found(
                    f"{_and(running)} may {', '.join(sorted(writes))} {', '.join(sorted(odd))} in {each.namespace}, "
                    f"by the {each.binding}",
                    f"kubectl delete {_command(each)}; then {APPLY}",
                )


@check(
    "token-not-mounted",
    "cluster",
    "deployed",
    why="It cannot ask the API server: nothing is launched, or nobody known.",
)
def token_not_mounted(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    for each in cluster.all("Service"):
        reviews = deployed.setting(name(each), "FACTEUR_TOKEN_REVIEW_CALLERS")
        if (name(each) in _NEEDS_TOKEN or reviews) and not _mounted(cluster, name(each)):
            yield Found(
                f"{name(each)} asks the API server, and the token of its ServiceAccount is not mounted",
                "put the component knative/components/token-review into the overlay"
                if reviews
                else "take automountServiceAccountToken: false out of its template and its ServiceAccount",
            )


@check("token-mounted-for-nothing", "cluster", why="Whoever breaks into it holds a token that it never needs.")
def token_mounted_for_nothing(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.all("Service"):
        if name(each) in _NEEDS_NONE and _mounted(cluster, name(each)):
            yield Found(
                f"{name(each)} never asks the API server, and has the token of its ServiceAccount",
                "in its template: spec: {automountServiceAccountToken: false}",
            )


def _mounted(cluster: Cluster, function: str) -> bool:
    pods = pod_spec(cluster.named("Service", function) or {})
    own = pods.get("automountServiceAccountToken")
    if own is None:
        account = pods.get("serviceAccountName") or "default"
        there = [each for each in cluster.within("ServiceAccount", cluster.namespace) if name(each) == account]
        own = there[0].get("automountServiceAccountToken") if there else None
    return own is not False


@check("account-missing", "cluster", why="Its pods are refused, and it does not start.")
def account_missing(cluster: Cluster) -> Iterator[Found]:
    there = {f"{cluster.namespace}:{name(each)}" for each in cluster.within("ServiceAccount", cluster.namespace)}
    for account, running in accounts(cluster).items():
        if account not in there and not account.endswith(":default"):
            which = account.partition(":")[2]
            yield Found(
                f"there is no ServiceAccount {which} for {_and(running)} to run as",
                f"kubectl create serviceaccount {which} -n {cluster.namespace}; then {APPLY}",
            )


@check("account-shared", "cluster", why="Each of them may do all that any of them may.")
def account_shared(cluster: Cluster) -> Iterator[Found]:
    running: dict[str, list[str]] = {}
    for each in (each for each in cluster.all("Service") if name(each) in FUNCTIONS):
        running.setdefault(pod_spec(each).get("serviceAccountName") or "default", []).append(name(each))
    for account, functions in running.items():
        if len(functions) > 1:
            yield Found(
                f"{', '.join(functions)} run as one ServiceAccount, {account}",
                "give each one of its own name: spec.template.spec.serviceAccountName",
            )


@check("runner-account-missing", "cluster", "deployed", why="The pod of a task is refused, and the task fails.")
def runner_account_missing(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    account, namespace = _runner(deployed)
    if name_in(cluster, namespace, account) is None:
        yield Found(
            f"there is no ServiceAccount {account} in namespace {namespace}",
            f"kubectl create serviceaccount {account} -n {namespace}; then {APPLY}",
        )


@check("runner-token-mounted", "cluster", "deployed", why="What an agent comes upon may use it at the API server.")
def runner_token_mounted(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    account, namespace = _runner(deployed)
    found = name_in(cluster, namespace, account)
    if found is not None and found.get("automountServiceAccountToken") is not False:
        yield Found(
            f"the token of the ServiceAccount {account} is mounted into pods of {namespace}",
            f"kubectl patch serviceaccount {account} -n {namespace} -p '{{\"automountServiceAccountToken\": false}}'",
        )


@check("runner-has-rights", "cluster", "deployed", why="An agent, or what it comes upon, may change the cluster.")
def runner_has_rights(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    account, namespace = _runner(deployed)
    for binding in sorted(
        {(each.binding, each.namespace) for each in granted(cluster, f"{namespace}:{account}", False)}
    ):
        place = f" -n {binding[1]}" if binding[1] else ""
        yield Found(
            f"the ServiceAccount {account}, as which tasks run, has rights by the {binding[0]}",
            f"kubectl delete {binding[0].lower()}{place}",
        )


def _runner(deployed: Deployed) -> tuple[str, str]:
    return deployed.setting("dispatcher", "FACTEUR_RUNNER_SERVICE_ACCOUNT", RUNNER_ACCOUNT), jobs_namespace(deployed)


def name_in(cluster: Cluster, namespace: str, account: str) -> Mapping[str, object] | None:
    """The ServiceAccount of that name, None if there is none."""
    return next((each for each in cluster.within("ServiceAccount", namespace) if name(each) == account), None)
