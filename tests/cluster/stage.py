"""Namespaces of a test in a cluster, with the dispatcher's roles as they are deployed."""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.api import Api
from tests.component.conftest import until

ROLES = Path(__file__).parents[2] / "knative" / "platform" / "dispatcher.rbac.yaml"
PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


@dataclass(frozen=True)
class ClusterStage:
    """`jobs` and `workflows` are namespaces; `credentials` is the folder of the dispatcher's own ServiceAccount."""

    api: Api
    jobs: str
    workflows: str
    credentials: Path

    def path(self, plural: str, name: str = "", namespace: str = "") -> str:
        """The path of objects by their plural name."""
        group = {"jobs": "/apis/batch/v1", "workflows": "/apis/argoproj.io/v1alpha1"}.get(plural, "/api/v1")
        group = "/apis/argoproj.io/v1alpha1" if plural == "workflowtemplates" else group
        place = f"{group}/namespaces/{namespace or self.jobs}/{plural}"
        return f"{place}/{name}" if name else place

    def settings(self) -> dict[str, str]:
        """What makes a dispatcher launch here."""
        return {
            "FACTEUR_KUBERNETES_API_URL": self.api.url,
            "FACTEUR_KUBERNETES_CREDENTIALS_DIR": str(self.credentials),
            "FACTEUR_KUBERNETES_QPS": "5000",
            "FACTEUR_KUBERNETES_BURST": "5000",
            "FACTEUR_JOBS_NAMESPACE": self.jobs,
            "FACTEUR_ARGO_NAMESPACE": self.workflows,
            "FACTEUR_RUNNER_IMAGE": "registry.invalid/codex:1",
        }


@contextmanager
def cluster_stage(api: Api, folder: Path, seconds: int = 3600) -> Iterator[ClusterStage]:
    """Two namespaces that are deleted afterwards, and a token of the dispatcher for so long."""
    mark = uuid.uuid4().hex[:8]
    names = {"facteur": f"facteur-{mark}", "codex": f"codex-{mark}", "argo-workflows": f"argo-{mark}"}
    try:
        for role, name in names.items():
            # Where Jobs run, nothing is let in that does not fit Pod Security `restricted`.
            labels = {"pod-security.kubernetes.io/enforce": "restricted"} if role == "codex" else {}
            api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        api.create(PATHS["ServiceAccount"].format(names["facteur"]), {"metadata": {"name": "dispatcher"}})
        for manifest in yaml.safe_load_all(ROLES.read_text(encoding="utf-8")):
            placed = _placed(manifest, names)
            api.create(PATHS[placed["kind"]].format(placed["metadata"]["namespace"]), placed)
        folder.mkdir(parents=True, exist_ok=True)
        stage = ClusterStage(api, names["codex"], names["argo-workflows"], folder)
        renew_token(stage, names["facteur"], seconds)
        if (api.credentials / "ca.crt").exists():
            shutil.copy(api.credentials / "ca.crt", folder)
        # A real API server has rights from a cache.
        until(lambda: _may_look(stage))
        yield stage
    finally:
        for name in names.values():
            api.delete(f"/api/v1/namespaces/{name}")


def _may_look(stage: ClusterStage) -> bool:
    """Whether the dispatcher has its rights in both namespaces where jobs run."""
    own = Api(stage.api.url, stage.credentials)
    paths = (stage.path("jobs"), stage.path("workflows", namespace=stage.workflows))
    return all(own.request("GET", path)[0] == 200 for path in paths)


def renew_token(stage: ClusterStage, namespace: str, seconds: int) -> None:
    """Gives the dispatcher a token, as the kubelet does."""
    asked = {"spec": {"expirationSeconds": max(seconds, 600)}}
    answer = stage.api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/dispatcher/token", asked)
    (stage.credentials / "token").write_text(answer["status"]["token"], encoding="ascii")


def _placed(manifest: Any, names: Mapping[str, str]) -> Any:
    """The manifest with the namespaces of the test."""
    if isinstance(manifest, dict):
        return {
            key: names.get(value, value) if key == "namespace" else _placed(value, names)
            for key, value in manifest.items()
        }
    return [_placed(each, names) for each in manifest] if isinstance(manifest, list) else manifest
