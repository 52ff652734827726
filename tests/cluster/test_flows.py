"""What the system needs may be reached in the cluster, and what it does not need may not, by each overlay."""

from itertools import product
from pathlib import Path

import pytest

from shared.web.serve import FUNCTIONS
from tests.cluster.deployed import OVERLAYS, rendered
from tests.cluster.network import End, Network

ACTIVATOR = End("knative-serving", {"app": "activator"})
GATEWAY = End("kourier-system", {"app": "3scale-kourier-gateway"})
BROKER = End("knative-eventing", {"eventing.knative.dev/brokerRole": "ingress"})
NAMES = End("kube-system", {"k8s-app": "kube-dns"})
TASK = End("codex", {"app.kubernetes.io/managed-by": "facteur"})
WORKFLOW = End("argo-workflows", {"app.kubernetes.io/managed-by": "facteur"})
JOBS_SOURCE = End("facteur", {"eventing.knative.dev/sourceName": "jobs"})
STRANGER = End("default", {"app": "anything"})
API_SERVER, INTERNET, PRIVATE = End(address="10.0.0.1"), End(address="203.0.113.9"), End(address="192.168.1.20")
METADATA = End(address="169.254.169.254")
EMITTING = tuple(name for name in FUNCTIONS if name != "memory-query")
(CLUSTER,) = (folder for folder in OVERLAYS if folder.name == "cluster")
# Where the servers are: pods of the overlay, or of operators and other namespaces.
_PART = {"app.kubernetes.io/part-of": "facteur"}
DATABASE = End("facteur", {**_PART, "app.kubernetes.io/component": "database", "cnpg.io/cluster": "facteur-postgres"})
CACHE = End("facteur", {**_PART, "app.kubernetes.io/component": "cache"})
BUCKET = End("facteur", {**_PART, "app.kubernetes.io/name": "facteur-bucket"})
STORES = {"local": End("facteur", {**_PART, "app.kubernetes.io/component": "objects"}), "cluster": End("minio")}
RELEASES = {"local": "facteur-migrate-dev", "cluster": "facteur-migrate-v1"}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)


def reachable(overlay: str, network: Network) -> set[str]:
    """Every connection between the ends that are known, as `source target port`, that is allowed."""
    targets = {
        **{name: (network.pod(name), 8012) for name in FUNCTIONS},
        "database": (DATABASE, 5432),
        "cache": (CACHE, 6379),
        "store": (STORES[overlay], 9000),
        "broker": (BROKER, 8080),
        "gateway": (GATEWAY, 8081),
        "api-server": (API_SERVER, 6443),
        "internet": (INTERNET, 443),
        "private": (PRIVATE, 443),
        "metadata": (METADATA, 80),
    }
    sources = {
        **{name: network.pod(name) for name in FUNCTIONS},
        "migrate": network.pod(RELEASES[overlay]),
        "bucket": BUCKET,
        "task": TASK,
        "workflow": WORKFLOW,
        "jobs-source": JOBS_SOURCE,
        "stranger": STRANGER,
    }
    pairs = product(sources.items(), targets.items())
    return {f"{who} {what}" for (who, source), (what, (end, port)) in pairs if network.allows(source, end, port)}


@every_overlay
def test_exactly_what_the_flow_needs_is_open(overlay: Path) -> None:
    name = overlay.name
    expected = {
        *(f"{who} database" for who in (*FUNCTIONS, "migrate")),
        *(f"{who} cache" for who in ("discord-interaction", "embedder", "memory-query")),
        *(f"{who} store" for who in ("callback", "bucket", "task", "workflow")),
        *(f"{who} broker" for who in (*EMITTING, "jobs-source")),
        *(f"{who} api-server" for who in ("dispatcher", "workflow", "jobs-source")),
        *(f"{who} internet" for who in ("discord-interaction", "dispatcher", "embedder", "memory-query")),
        *(f"{who} internet" for who in ("task", "workflow", "jobs-source")),
        # A network policy tells the API server from others by its port alone.
        *(f"{who} private" for who in ("dispatcher", "workflow", "jobs-source")),
        # A stranger is in a namespace of its own, where nothing is denied; these ends have no policies of ours.
        *(f"stranger {what}" for what in ("broker", "gateway", "api-server", "internet", "private", "metadata")),
        *(("stranger store",) if name == "cluster" else ()),
        # In production tasks have a door of their own.
        *(("task gateway", "workflow gateway") if name == "local" else ()),
    }
    assert reachable(name, Network(rendered(overlay))) == expected


@every_overlay
def test_requests_come_by_knative_alone(overlay: Path) -> None:
    network = Network(rendered(overlay))
    for name in FUNCTIONS:
        assert network.allows(ACTIVATOR, network.pod(name), 8012)
        assert network.allows(GATEWAY, network.pod(name), 8012)
        assert network.allows(ACTIVATOR, network.pod(name), 9090), "how many requests there are"
        assert not network.allows(ACTIVATOR, network.pod(name), 8080), "past the queue-proxy"
        assert network.allows(network.pod(name), NAMES, 53, "UDP")


@pytest.mark.parametrize("task", [TASK, WORKFLOW], ids=lambda end: end.namespace)
def test_a_task_of_production_reaches_its_door_and_the_door_the_gateway(task: End) -> None:
    network = Network(rendered(CLUSTER))
    door = network.pod("tasks-gateway")
    assert network.allows(task, door, 8080)
    assert network.allows(door, GATEWAY, 8081)
    assert not network.allows(STRANGER, door, 8080)
    assert not network.allows(door, BROKER, 8080)


def test_the_servers_of_production_work_with_their_operators() -> None:
    network = Network(rendered(CLUSTER))
    assert network.allows(End("cnpg-system"), DATABASE, 8000)
    assert network.allows(DATABASE, DATABASE, 5432)
    assert network.allows(DATABASE, API_SERVER, 6443)
    assert network.allows(DATABASE, End("minio"), 9000)
    assert network.allows(End("redis-operator"), CACHE, 6379)
    assert not network.allows(CACHE, DATABASE, 5432)


def test_telemetry_goes_by_one_pod() -> None:
    network = Network(rendered(CLUSTER))
    assert all(network.allows(network.pod(name), network.pod("alloy"), 4318) for name in FUNCTIONS)
    assert network.allows(network.pod("alloy"), End("monitoring"), 4318)
    assert not network.allows(TASK, network.pod("alloy"), 4318)
