"""Namespaces and who may reach whom in them, if anybody enforces it."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from shared.doctor.access import jobs_namespace, runs_namespaces
from shared.doctor.checks import Found, NotLooked, check
from shared.doctor.cluster import VISIBILITY, Cluster, labels, name, spec
from shared.doctor.deployed import Deployed
from shared.domain.cluster import Object

_RUNS, _LEVEL = "codex.proompteng.ai/runs", "pod-security.kubernetes.io/enforce"
_METADATA = ipaddress.ip_address("169.254.169.254")
_OPEN = {"FACTEUR_CODEX_TASKS_OPEN": "codex-intake", "FACTEUR_DISCORD_EVENTS_OPEN": "discord-interaction"}
_TRUE = ("true", "1", "yes", "on")
_SERVES = "serving.knative.dev/service"
_GATEWAY = "kourier-system"
_NAMES, _HTTP = 53, 80
_ENFORCING = re.compile(
    r"\b(calico|cilium|antrea|weave-net|kube-router|canal|ovnkube|anetd|azure-npm|kube-network-policies|netpol)\b"
)
_NOT_ENFORCING = {
    "flannel",
    "kube-flannel",
    "kube-flannel-ds",
    "kindnet",
    "kindnet-cni",
    "kindnetd",
    "aws-node",
    "netd",
}
# Amazon's plugin always has the container that could, and an argument that says whether it does.
_AMAZON, _AMAZON_ENFORCES = "aws-node", "--enable-network-policy=true"
# The first kindnet that enforces, by the date in its tag.
_KINDNET, _KINDNET_ENFORCES = re.compile(r"kindnetd:v(\d{8})"), "20240813"
_POLICIES = "kubectl apply -k knative/platform"


@check("runs-label-missing", "cluster", "deployed", why="The end of its Jobs is seen at the next tick only.")
def runs_label_missing(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    for place in runs_namespaces(cluster, deployed):
        found = cluster.named("Namespace", place)
        if found is not None and labels(found).get(_RUNS) != "true":
            yield Found(f"the namespace {place} has no label {_RUNS}", f"kubectl label namespace {place} {_RUNS}=true")


@check("runs-namespace-missing", "cluster", "deployed", why="Every launch fails.")
def runs_namespace_missing(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    if cluster.named("Namespace", place := jobs_namespace(deployed)) is None:
        yield Found(
            f"there is no namespace {place}, where Jobs are to run", f"{_POLICIES}, or kubectl create namespace {place}"
        )


@check("pod-security-missing", "cluster", "deployed", why="A task may ask for a pod that owns its node.")
def pod_security_missing(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    found = cluster.named("Namespace", place := jobs_namespace(deployed))
    if found is not None and labels(found).get(_LEVEL) not in ("restricted", "baseline"):
        yield Found(
            f"nothing keeps privileged pods out of the namespace {place}",
            f"kubectl label --overwrite namespace {place} {_LEVEL}=restricted",
        )


@check("network-open", "cluster", "deployed", why="Any pod reaches the functions, and tasks reach any pod.")
def network_open(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    for place in dict.fromkeys((cluster.namespace, jobs_namespace(deployed))):
        everything = [each for each in cluster.within("NetworkPolicy", place) if _selects_all(each)]
        for direction in ("Ingress", "Egress"):
            denying = [each for each in everything if direction in (spec(each, "policyTypes") or ())]
            if not denying or any(_opens(each, direction.lower()) for each in denying):
                yield Found(
                    f"no NetworkPolicy denies {direction.lower()} by default in namespace {place}",
                    f"{_POLICIES}, or a NetworkPolicy there with podSelector: {{}} and policyTypes: [Ingress, Egress]",
                )


def _opens(policy: Object, direction: str) -> bool:
    """Whether a rule is for everybody. That all may ask for names is no open network."""
    peers = {"ingress": "from", "egress": "to"}[direction]
    rules = [rule for rule in spec(policy, direction) or () if not rule.get(peers)]
    return any(not rule.get("ports") or any(_more_than_names(port) for port in rule["ports"]) for rule in rules)


def _more_than_names(port: Mapping[str, Any]) -> bool:
    return port.get("port") != _NAMES or "endPort" in port


def _selects_all(policy: Object) -> bool:
    selector = spec(policy, "podSelector") or {}
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


@check("door-open-to-all", "cluster", "deployed", why="Whoever reaches it has tasks done, without a token.")
def door_open_to_all(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    for variable, function in _OPEN.items():
        service = cluster.named("Service", function)
        if service is None or deployed.setting(function, variable).lower() not in _TRUE:
            continue
        if why := _way_in(cluster, service):
            yield Found(
                f"{function} asks for no token ({variable}), and {why[0]}",
                f"{why[1]}; or unset {variable}",
            )


def _way_in(cluster: Cluster, service: Object) -> tuple[str, str] | None:
    """What leaves a function open to others, and what closes it."""
    function, place = name(service), cluster.namespace
    if labels(service).get(VISIBILITY) != "cluster-local":
        return (
            "is visible outside of the cluster",
            f"kubectl label ksvc {function} -n {place} {VISIBILITY}=cluster-local, and let knative/components/"
            "public-paths lead to what is for outside",
        )
    if not any(_guards(each, function) for each in cluster.within("NetworkPolicy", place)):
        return (
            "no NetworkPolicy says who reaches it",
            f"kubectl apply -n {place} -f knative/platform/{function}.networkpolicy.yaml",
        )
    gateway = cluster.named("Namespace", _GATEWAY)
    if gateway is not None and not any(map(_closes_gateway, cluster.within("NetworkPolicy", _GATEWAY))):
        return (
            f"every pod reaches it through the ingress in {_GATEWAY}",
            "kubectl apply -f knative/components/closed-gateway/gateway.networkpolicy.yaml",
        )
    return None


def _closes_gateway(policy: Object) -> bool:
    wanted = (spec(policy, "podSelector") or {}).get("matchLabels") or {}
    chosen = _selects_all(policy) or wanted.get("app") == "3scale-kourier-gateway"
    return chosen and "Ingress" in (spec(policy, "policyTypes") or ("Ingress",))


def _guards(policy: Object, function: str) -> bool:
    wanted = (spec(policy, "podSelector") or {}).get("matchLabels") or {}
    chosen = _selects_all(policy) or wanted.get(_SERVES) == function
    return chosen and "Ingress" in (spec(policy, "policyTypes") or ("Ingress",))


@check("tasks-reach-the-node", "cluster", "deployed", why="A task reads the cloud's credentials of the node.")
def tasks_reach_the_node(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    for policy in cluster.within("NetworkPolicy", jobs_namespace(deployed)):
        for rule in spec(policy, "egress") or ():
            anywhere = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
            if _by_http(rule) and any(_lets_through(to.get("ipBlock") or {}) for to in rule.get("to") or anywhere):
                yield Found(
                    f"the NetworkPolicy {name(policy)} lets tasks reach {_METADATA}",
                    "to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}}], as "
                    "knative/platform/runner.networkpolicy.yaml has it",
                )


def _by_http(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is for the port at which a cloud tells credentials."""
    return not rule.get("ports") or any(_has_http(port) for port in rule["ports"])


def _has_http(port: Mapping[str, Any]) -> bool:
    first = port.get("port", _HTTP)
    if port.get("protocol", "TCP") != "TCP" or not isinstance(first, int):
        return False
    return first <= _HTTP <= int(port.get("endPort") or (first if "port" in port else _HTTP))


def _lets_through(block: Mapping[str, object]) -> bool:
    try:
        inside = _METADATA in ipaddress.ip_network(str(block.get("cidr", "")))
        excepted = block.get("except") or ()
        kept = (
            any(_METADATA in ipaddress.ip_network(str(each)) for each in excepted)
            if isinstance(excepted, list)
            else False
        )
    except ValueError:
        return False
    return inside and not kept


@check("network-policies-not-enforced", "cluster", why="Every NetworkPolicy is words: any pod reaches any other.")
def network_policies_not_enforced(cluster: Cluster) -> Iterator[Found]:
    if not cluster.all("Node"):
        raise NotLooked("there are no nodes, so nobody enforces NetworkPolicies yet", wanted=False)
    plugins = list(_plugins(cluster))
    if any("+k3s" in _kubelet(each) for each in cluster.all("Node")) or any(map(_enforces, plugins)):
        return
    known = sorted({part for plugin in plugins for part in plugin.names if part in _NOT_ENFORCING})
    if not known:
        raise NotLooked("no known network plugin runs as a DaemonSet: docs/doctor.md says how to try it", wanted=False)
    yield Found(
        f"the network plugin ({known[0]}) enforces no NetworkPolicy",
        "install one that does, like Calico or Cilium (kind: version 0.24 or newer has its own)",
    )


class _Plugin(NamedTuple):
    """A container of a DaemonSet: the names of both and of the image, the image with its tag, and arguments."""

    names: tuple[str, str, str]
    image: str
    arguments: tuple[str, ...]


def _plugins(cluster: Cluster) -> Iterator[_Plugin]:
    for each in cluster.all("DaemonSet"):
        for container in spec(each, "template", "spec", "containers") or ():
            image = str(container.get("image", "")).rpartition("/")[2]
            names = (name(each), str(container.get("name", "")), re.split("[:@]", image)[0])
            told = [*(container.get("command") or ()), *(container.get("args") or ())]
            yield _Plugin(names, image, tuple(map(str, told)))


def _enforces(plugin: _Plugin) -> bool:
    if _AMAZON in plugin.names:
        return _AMAZON_ENFORCES in plugin.arguments
    dated = _KINDNET.search(plugin.image)
    return any(map(_ENFORCING.search, plugin.names)) or (dated is not None and dated[1] >= _KINDNET_ENFORCES)


def _kubelet(node: Object) -> str:
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", ""))
