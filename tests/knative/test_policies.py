"""Who reaches whom under the NetworkPolicies of the deployment: every pair, as the kernel decides it."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from shared.web.serve import FUNCTIONS
from tests.cluster.control_plane import say
from tests.knative.cluster.enforcement import enforced
from tests.knative.cluster.node import Node
from tests.knative.cluster.pods import apply, import_python, pod

OVERLAY = Path(__file__).parents[2] / "knative" / "overlays" / "local"
PORTS = (53, 443, 5432, 6379, 6443, 8012, 8080, 8081, 9000)
_PART = {"app.kubernetes.io/part-of": "facteur"}
# Every pod by its name: namespace and labels. Those in foreign namespaces play whoever is there.
PODS: dict[str, tuple[str, Mapping[str, str]]] = {
    **{name: ("facteur", {"serving.knative.dev/service": name}) for name in FUNCTIONS},
    "migrate": ("facteur", {"app.kubernetes.io/name": "facteur-migrate"}),
    **{name: ("facteur", {**_PART, "app.kubernetes.io/component": name}) for name in ("database", "cache", "objects")},
    "stranger": ("facteur", {}),
    "task": ("codex", {"app.kubernetes.io/managed-by": "facteur"}),
    "intruder": ("codex", {}),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "activator": ("knative-serving", {}),
    "broker": ("knative-eventing", {}),
    "ingress": ("kourier-system", {}),
    "outside": ("default", {}),
}
POLICED = [name for name, (namespace, _) in PODS.items() if namespace in ("facteur", "codex")]
_FREE = [name for name in PODS if name not in POLICED]
_SERVER = """import socket, threading, sys
def serve(port):
    server = socket.create_server(("0.0.0.0", port))
    while True:
        server.accept()[0].close()
for port in map(int, sys.argv[1:]):
    threading.Thread(target=serve, args=[port]).start()"""
_PROBE = """import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reaches(pair):
    try:
        socket.create_connection(pair, timeout=3).close()
    except OSError:
        return False
    return True
pairs = [tuple(pair) for pair in json.loads(sys.argv[1])]
with ThreadPoolExecutor(80) as pool:
    print(json.dumps(list(pool.map(reaches, pairs))))"""
_SYNCED_SECONDS = 60.0

# Before the first test a dozen and more pods start, and on a new machine kube-router is built.
pytestmark = pytest.mark.timeout(1200)


def allowed(source: str) -> set[tuple[str, int]]:
    """Whom the pod may reach, by which port."""
    if source in _FREE:
        served = {"activator": FUNCTIONS, "ingress": FUNCTIONS}.get(source, ())
        return {(name, port) for name in _FREE if name != source for port in PORTS} | {(name, 8012) for name in served}
    reached = {
        **{name: {("dns", 53), ("database", 5432)} for name in FUNCTIONS},
        "migrate": {("dns", 53), ("database", 5432)},
        "task": {("dns", 53), ("ingress", 8081), ("objects", 9000)},
    }.get(source, set())
    if source in FUNCTIONS and source != "memory-query":
        reached = reached | {("broker", 8080)}
    if source in ("discord-interaction", "embedder", "memory-query"):
        reached = reached | {("cache", 6379)}
    if source == "callback":
        reached = reached | {("objects", 9000)}
    if source == "dispatcher":
        # Its rule for the API server names no address; what is policed has its own say.
        reached = reached | {(name, port) for name in _FREE for port in (443, 6443)}
    return reached


@pytest.fixture(scope="module")
def addresses(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of all pods, under the policies."""
    folder = tmp_path_factory.mktemp("policies")
    import_python(cluster, folder)
    rendered = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(OVERLAY))))
    ours = [kind for kind in rendered if kind["kind"] == "Namespace"]
    policies = [kind for kind in rendered if kind["kind"] == "NetworkPolicy"]
    foreign = _create(
        cluster, {namespace for namespace, _ in PODS.values()} - {each["metadata"]["name"] for each in ours}
    )
    apply(cluster, "default", ours)
    try:
        for name, (namespace, labels) in PODS.items():
            metadata = {"name": f"plays-{name}", "labels": {**labels, "test": "policies"}}
            spec = pod(["python3", "-c", _SERVER, *map(str, PORTS)])
            apply(cluster, namespace, [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}])
        with enforced(cluster, folder / "kube-router.log", say):
            for policy in policies:
                apply(cluster, policy["metadata"]["namespace"], [policy])
            yield _addresses(cluster)
    finally:
        cluster.kubectl("delete", "pods", "--all-namespaces", "--selector=test=policies")
        cluster.kubectl("delete", "namespace", *foreign, *(each["metadata"]["name"] for each in ours))


@pytest.mark.parametrize("source", PODS)
def test_a_pod_reaches_whom_it_must_and_nobody_else(cluster: Node, addresses: dict[str, str], source: str) -> None:
    wanted, deadline = allowed(source), time.monotonic() + _SYNCED_SECONDS
    # The program that enforces hears of pods and policies a moment later.
    while (found := _reached(cluster, addresses, source)) != wanted and time.monotonic() < deadline:
        time.sleep(1)
    assert found - wanted == set(), "reached, and must not be"
    assert wanted - found == set(), "must be reached, and is not"


def _reached(cluster: Node, addresses: dict[str, str], source: str) -> set[tuple[str, int]]:
    pairs = [(name, port) for name in PODS if name != source for port in PORTS]
    asked = json.dumps([(addresses[name], port) for name, port in pairs])
    command = ("exec", f"plays-{source}", f"--namespace={PODS[source][0]}", "--", "python3", "-c", _PROBE, asked)
    answers = json.loads(cluster.kubectl(*command))
    return {pair for pair, reached in zip(pairs, answers, strict=True) if reached}


def _create(cluster: Node, names: set[str]) -> list[str]:
    """Those of the namespaces that were not there, and are now."""
    there = cluster.kubectl("get", "namespaces", "--output=jsonpath={.items[*].metadata.name}").split()
    missing = sorted(names - set(there))
    for name in missing:
        cluster.kubectl("create", "namespace", name)
    return missing


def _addresses(cluster: Node) -> dict[str, str]:
    def address(name: str) -> str:
        where = (f"plays-{name}", f"--namespace={PODS[name][0]}")
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{where[0]}", where[1], "--timeout=90s")
        return cluster.kubectl("get", "pod", *where, "--output=jsonpath={.status.podIP}")

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(PODS, pool.map(address, PODS), strict=True))
