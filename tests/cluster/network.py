"""Who may reach whom by NetworkPolicies, as Kubernetes defines it: no network is needed, and no plug-in trusted."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.architecture.selectors import selects

Policy = Mapping[str, Any]
_SERVICE = "serving.knative.dev/service"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection: a pod of a namespace, or an address outside of the cluster."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


class Network:
    """The policies among some manifests, and the pods that these make."""

    def __init__(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        self._policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
        self._pods = dict(_pods(manifests))

    def pod(self, name: str) -> End:
        """A pod of the Service, Job, Deployment or StatefulSet of that name."""
        return self._pods[name]

    def allows(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether what goes out of the one and comes into the other is allowed at both ends."""
        out = self._passes("Egress", "egress", "to", source, target, port, protocol)
        return out and self._passes("Ingress", "ingress", "from", target, source, port, protocol)

    def _passes(self, kind: str, rules: str, side: str, own: End, other: End, port: int, protocol: str) -> bool:
        about = [policy for policy in self._policies if kind in policy["spec"]["policyTypes"] and _selects(policy, own)]
        return not about or any(
            _ports_fit(rule, port, protocol) and _peers_fit(rule.get(side), policy["metadata"]["namespace"], other)
            for policy in about
            for rule in policy["spec"].get(rules, [])
        )


def _pods(manifests: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, End]]:
    for document in manifests:
        template = document.get("spec", {}).get("template", {})
        if "containers" in template.get("spec", {}):
            labels = dict(template["metadata"].get("labels", {}))
            if document["apiVersion"].startswith("serving.knative.dev/"):
                labels[_SERVICE] = document["metadata"]["name"]
            yield document["metadata"]["name"], End(document["metadata"]["namespace"], labels)


def _selects(policy: Policy, end: End) -> bool:
    return policy["metadata"]["namespace"] == end.namespace and selects(policy["spec"]["podSelector"], end.labels)


def _ports_fit(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    return "ports" not in rule or any(
        each["port"] == port and each.get("protocol", "TCP") == protocol for each in rule["ports"]
    )


def _peers_fit(peers: Sequence[Mapping[str, Any]] | None, namespace: str, other: End) -> bool:
    return peers is None or any(_peer_fits(peer, namespace, other) for peer in peers)


def _peer_fits(peer: Mapping[str, Any], namespace: str, other: End) -> bool:
    if "ipBlock" in peer:
        return bool(other.address) and _within(peer["ipBlock"], other.address)
    if other.address:
        return False
    if "namespaceSelector" not in peer and other.namespace != namespace:
        return False
    of_namespace = {"kubernetes.io/metadata.name": other.namespace}
    about = ((peer.get("namespaceSelector", {}), of_namespace), (peer.get("podSelector", {}), other.labels))
    return all(selects(selector, labels) for selector, labels in about)


def _within(block: Mapping[str, Any], address: str) -> bool:
    there = ipaddress.ip_address(address)
    inside = there in ipaddress.ip_network(block["cidr"])
    return inside and not any(there in ipaddress.ip_network(each) for each in block.get("except", []))
