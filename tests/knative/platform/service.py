"""A Knative Service, asked through Kourier by its name inside the cluster."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3

from tests.knative.platform.cluster import Knative
from tests.knative.platform.manifests import Manifest

_HTTP = urllib3.PoolManager(retries=False, timeout=60)
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Service:
    knative: Knative
    name: str
    namespace: str

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    def manifest(self, image: str) -> Manifest:
        metadata = {"name": self.name, "namespace": self.namespace}
        spec = {"template": {"spec": {"containers": [{"image": image}]}}}
        return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata, "spec": spec}

    def get(self, path: str, headers: Mapping[str, str] = _NONE) -> str:
        """The text of a 200, asked for once and read to its end."""
        return self.begin(path, headers).read().decode()

    def begin(self, path: str, headers: Mapping[str, str] = _NONE) -> urllib3.BaseHTTPResponse:
        """A 200 whose text is still to be read."""
        url, named = f"{self.knative.ingress}{path}", {"Host": self.host, **headers}
        answer = _HTTP.request("GET", url, headers=named, preload_content=False)
        assert answer.status == 200, (answer.status, answer.read())
        return answer

    def pods(self) -> list[str]:
        """The names of its pods, those included that are about to end."""
        return self._pods("{.items[*].metadata.name}")

    def ending_pods(self) -> list[str]:
        return self._pods("{.items[?(@.metadata.deletionTimestamp)].metadata.name}")

    def keep_at_least(self, count: int) -> None:
        """Tell the autoscaler how many pods the latest revision has whatever is asked of it."""
        kubectl, namespace = self.knative.cluster.kubectl, f"--namespace={self.namespace}"
        latest = "--output=jsonpath={.status.latestReadyRevisionName}"
        revision = kubectl("get", "services.serving.knative.dev", self.name, namespace, latest)
        annotation = f"autoscaling.knative.dev/min-scale={count}"
        kubectl("annotate", "--overwrite", "revisions.serving.knative.dev", revision, namespace, annotation)

    def _pods(self, path: str) -> list[str]:
        label, namespace = f"--selector=serving.knative.dev/service={self.name}", f"--namespace={self.namespace}"
        return self.knative.cluster.kubectl("get", "pods", namespace, label, f"--output=jsonpath={path}").split()

    def wait_for_zero(self, seconds: float) -> float:
        """Wait until it has no pod; how long that took."""
        started = time.monotonic()
        while left := self.pods():
            assert time.monotonic() < started + seconds, f"after {seconds:.0f} s there still are {left}"
            time.sleep(0.5)
        return time.monotonic() - started
