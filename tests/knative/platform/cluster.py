"""A cluster with Knative on it, as the tests use it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import urllib3

from tests.cluster.binaries import crd_manifests
from tests.cluster.control_plane import say
from tests.knative.cluster.node import Node
from tests.knative.platform.manifests import Manifest

ROOT = Path(__file__).parents[3]
_PLATFORM = ROOT / "knative" / "platform"
_NAMESPACES = ("facteur", "codex", "argo-workflows")


class Knative:
    """What is asked of a cluster besides its kubectl."""

    def __init__(self, cluster: Node) -> None:
        self.cluster = cluster
        self.host_address = cluster.host_address

    def apply(self, documents: Sequence[Manifest]) -> None:
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=given)

    def apply_folder(self, folder: str) -> None:
        """Apply a folder with a kustomization, by its path from the root of the repository."""
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / folder))

    def wait_ready(self, kind: str, namespace: str, seconds: int = 120) -> None:
        """Wait until every object of the kind is Ready; CannotStart where one is not."""
        wait = ("wait", "--for=condition=Ready", f"--timeout={seconds}s", kind, "--all")
        self.cluster.kubectl(*wait, f"--namespace={namespace}")

    @property
    def ingress(self) -> str:
        """Where Kourier takes requests for Services by their names inside the cluster."""
        return self.cluster.service_url("kourier-system", "kourier-internal")

    @property
    def broker_ingress(self) -> str:
        """Where the brokers of all namespaces take events."""
        return self.cluster.service_url("knative-eventing", "broker-ingress")

    def broker_url(self, namespace: str, name: str) -> str:
        return f"{self.broker_ingress}/{namespace}/{name}"

    def publish(self, kind: str, event: str, data: object) -> None:
        """Give our broker an event with this type and id."""
        attributes = {"specversion": "1.0", "type": kind, "source": "/test", "id": event}
        headers = {"Content-Type": "application/json", **{f"ce-{name}": value for name, value in attributes.items()}}
        url = self.broker_url(_NAMESPACES[0], "facteur")
        answer = urllib3.request("POST", url, body=json.dumps(data), headers=headers, timeout=10)
        assert answer.status == 202, (answer.status, answer.data)

    @contextmanager
    def manifests(self) -> Iterator[str]:
        """Our namespaces and rights, and the kinds of Argo that they speak of; the namespace of the functions."""
        # Those of an earlier test may still be about to go: that takes as long as their pods may take to end.
        gone = [f"namespace/{name}" for name in _NAMESPACES]
        self.cluster.kubectl("wait", "--for=delete", "--timeout=400s", *gone)
        self.apply([kind for kind in crd_manifests(say) if kind["spec"]["group"] == "argoproj.io"])
        for name in ("namespaces", "jobs-source.rbac"):
            self.cluster.kubectl("apply", "--server-side", "-f", str(_PLATFORM / f"{name}.yaml"))
        try:
            yield _NAMESPACES[0]
        finally:
            self.cluster.kubectl("delete", "namespace", *_NAMESPACES, "--wait=false")
