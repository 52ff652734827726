"""What is to be deployed is what a real API server takes, every field of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api import Api
from tests.cluster.stage import ClusterStage

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "eventing").glob("*.yaml"), *(ROOT / "eventing").glob("*/*.yaml")])
FILES += sorted((ROOT / "knative" / "platform").glob("*.yaml"))
CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")


def path(manifest: dict[str, Any], namespace: str) -> str:
    """Where an object of this kind is created."""
    version, plural = manifest["apiVersion"], _plural(manifest["kind"])
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/{plural}" if manifest["kind"] in CLUSTER_WIDE else f"{root}/namespaces/{namespace}/{plural}"


def _plural(kind: str) -> str:
    return f"{kind.lower()[:-1]}ies" if kind.endswith("cy") else f"{kind.lower()}s"


@pytest.mark.parametrize("server", ["real"], indirect=True)
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_manifest_is_taken_as_it_stands(api: Api, cluster: ClusterStage, file: Path) -> None:
    for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8")):
        manifest["metadata"].pop("namespace", None)
        manifest["metadata"]["name"] += "-tried"  # some are here already
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        status, answer = api.request("POST", path(manifest, cluster.jobs), manifest, query=query)
        assert status == 201, answer


def test_there_are_manifests_to_try() -> None:
    assert len(FILES) > 15
