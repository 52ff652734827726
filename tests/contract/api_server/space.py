"""A namespace of one's own on an API server, and the things that tests do in it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import urllib3

from tests.cluster.api import Api

Object = dict[str, Any]
Found = TypeVar("Found")
MERGE = "application/merge-patch+json"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def eventually(look: Callable[[], Found], what: str, seconds: float = 60.0) -> Found:
    """What `look` finds as soon as that is something; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


@dataclass(frozen=True)
class Space:
    """`server` is the name of the implementation."""

    server: str
    api: Api
    namespace: str
    folder: Path

    def path(self, plural: str, name: str = "") -> str:
        """Where objects of this kind are in the namespace, as in `secrets` or `batch/v1/jobs`."""
        group, _, resource = plural.rpartition("/")
        root = f"/apis/{group}" if group else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{resource}" + (f"/{name}" if name else "")

    @property
    def jobs(self) -> str:
        return self.path("batch/v1/jobs")

    @property
    def pods(self) -> str:
        return self.path("pods")

    @property
    def workflows(self) -> str:
        return self.path("argoproj.io/v1alpha1/workflows")

    def send(self, path: str, raw: bytes) -> int:
        """Post these bytes, whatever they are; the status of the answer."""
        authority = self.api.credentials / "ca.crt"
        token = (self.api.credentials / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with urllib3.PoolManager(ca_certs=str(authority) if authority.exists() else None) as pool:
            return pool.request("POST", self.api.url + path, body=raw, headers=headers, retries=False).status

    def secret(self, name: str = "note", **fields: Any) -> Object:
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"PROMPT": "do it"}}
        return self.api.create(self.path("secrets"), body | fields)

    def config_map(self, name: str, **metadata: Any) -> Object:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "b"}}
        return self.api.create(self.path("configmaps"), body)

    def job(self, name: str = "run", **spec: Any) -> Object:
        return self.api.create(self.jobs, a_job(name, **spec))

    def workflow(self, name: str = "flow", **spec: Any) -> Object:
        body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}
        return self.api.create(self.workflows, body)

    def status(self, job: str = "run") -> Object:
        found = self.api.get(f"{self.jobs}/{job}")
        return found["status"] if found else {}

    def condition(self, kind: str, job: str = "run") -> Object:
        """The condition of the Job if it says True, else nothing."""
        listed = self.status(job).get("conditions", [])
        return next((each for each in listed if (each["type"], each["status"]) == (kind, "True")), {})

    def pods_of(self, job: str = "run") -> list[Object]:
        return self.api.list(self.pods, f"batch.kubernetes.io/job-name={job}")

    def pod_of(self, job: str = "run") -> Object:
        """The Job's pod, once there is one and the Job knows it."""
        eventually(lambda: self.status(job).get("active"), f"{job} has an active pod")
        return self.pods_of(job)[0]

    def running_pod_of(self, job: str = "run") -> Object:
        """The Job's pod on a node where it runs."""
        pod = self.pod_of(job)
        self.run(pod)
        return pod

    def run(self, pod: Object) -> None:
        """Do what scheduler and kubelet do with a pod."""
        name = pod["metadata"]["name"]
        target = {"apiVersion": "v1", "kind": "Node", "name": "some-node"}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        self.api.create(f"{self.pods}/{name}/binding", binding)
        self.tell(pod, "Running")

    def tell(self, pod: Object, phase: str) -> None:
        self.api.merge(f"{self.pods}/{pod['metadata']['name']}/status", {"status": {"phase": phase}})

    def remove(self, pod: Object) -> None:
        """Do what a kubelet does once the processes of a deleted pod are gone."""
        self.api.delete(f"{self.pods}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})

    def gone(self, path: str, seconds: float = 60.0) -> None:
        eventually(lambda: self.api.get(path) is None, f"{path} is gone", seconds)

    def member(self, *rules: Mapping[str, Sequence[str]], name: str = "runner") -> Api:
        """A ServiceAccount that may do what the rules say in this namespace."""
        self.api.create(self.path("serviceaccounts"), {"metadata": {"name": name}})
        group = "rbac.authorization.k8s.io"
        role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": name}, "rules": [*rules]}
        self.api.create(f"{_RBAC}/namespaces/{self.namespace}/roles", role)
        reference = {"apiGroup": group, "kind": "Role", "name": name}
        subject: Object = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        binding: Object = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": name}}
        binding |= {"roleRef": reference, "subjects": [subject]}
        self.api.create(f"{_RBAC}/namespaces/{self.namespace}/rolebindings", binding)
        return self.with_token(self.token(name))

    def token(self, account: str, seconds: int = 3600) -> str:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        made = self.api.create(f"{self.path('serviceaccounts', account)}/token", body)
        return str(made["status"]["token"])

    def with_token(self, token: str | None) -> Api:
        """Somebody else on the same server; without a token, nobody."""
        credentials = self.folder / f"credentials-{time.monotonic_ns()}"
        credentials.mkdir()
        authority = self.api.credentials / "ca.crt"
        if authority.exists():
            (credentials / "ca.crt").write_bytes(authority.read_bytes())
        if token is not None:
            (credentials / "token").write_text(token)
        return Api(self.api.url, credentials)


def a_job(name: str = "run", **spec: Any) -> Object:
    container = {"name": "agent", "image": "agent:1", "command": ["true"]}
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    template = {"metadata": {"labels": {"colour": "blue"}}, "spec": pod}
    labels = {"facteur.test/role": "run"}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}}
    return body | {"spec": {"backoffLimit": 0, "template": template} | spec}
