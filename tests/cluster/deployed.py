"""The overlays as `kubectl apply -k` sends them, and a server-side apply that hears what the server warns of."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

from tests.cluster.api import Api

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(path.parent for path in (ROOT / "knative" / "overlays").glob("*/kustomization.yaml"))
COMPONENTS = sorted(path.parent for path in (ROOT / "eventing" / "components").glob("*/kustomization.yaml"))
MANAGER = "facteur-tests"
# What has to be there before what is put into it.
_FIRST = ("Namespace", "CustomResourceDefinition")


@cache
def rendered(folder: Path) -> tuple[dict[str, Any], ...]:
    """The objects of a kustomization, namespaces first."""
    kubectl = os.environ.get("FACTEUR_TEST_KUBECTL") or shutil.which("kubectl")
    assert kubectl, "there is no kubectl"
    made = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    # What kustomize itself warns of will be refused by a later one.
    assert made.stderr == "", made.stderr
    found = [document for document in yaml.safe_load_all(made.stdout) if document]
    return tuple(sorted(found, key=lambda document: document["kind"] not in _FIRST))


def dry_run(overlay: Path, registry: str, tag: str) -> str:
    """What knative/deploy.sh would apply of an overlay."""
    kubectl = os.environ.get("FACTEUR_TEST_KUBECTL") or "kubectl"
    done = subprocess.run(
        [ROOT / "knative/deploy.sh", overlay.name, "--dry-run"],
        env={**os.environ, "KUBECTL": kubectl, "IMAGE_REGISTRY": registry, "IMAGE_TAG": tag},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def named(manifest: dict[str, Any]) -> str:
    """What a test calls the object."""
    place = manifest["metadata"].get("namespace", "")
    return f"{place}/{manifest['kind']}/{manifest['metadata']['name']}".lstrip("/")


class Applier:
    """Applies objects as somebody who may do everything."""

    def __init__(self, api: Api) -> None:
        self._api = api
        authority = api.credentials / "ca.crt"
        self._pool = urllib3.PoolManager(retries=False, timeout=30, ca_certs=str(authority))
        self._resources: dict[tuple[str, str], dict[str, Any]] = {}

    def apply(self, manifest: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """What the server made of it and the warnings that came with it; unknown and double fields are refused."""
        query = urlencode({"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "true"})
        token = (self._api.credentials / "token").read_text(encoding="ascii").strip()
        answer = self._pool.request(
            "PATCH",
            f"{self._api.url}{self.path(manifest)}?{query}",
            body=json.dumps(manifest),
            headers={"Content-Type": "application/apply-patch+yaml", "Authorization": f"Bearer {token}"},
        )
        assert answer.status in (200, 201), f"{named(manifest)}: {answer.status} {answer.data.decode()}"
        return answer.json(), [text for name, text in answer.headers.items() if name.lower() == "warning"]

    def path(self, manifest: dict[str, Any]) -> str:
        """Where the object is, by what the server says of its kind."""
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        kind = self._resource(root, manifest["kind"])
        place = f"/namespaces/{metadata['namespace']}" if kind["namespaced"] else ""
        return f"{root}{place}/{kind['name']}/{metadata['name']}"

    def _resource(self, root: str, kind: str) -> dict[str, Any]:
        if (root, kind) not in self._resources:
            served = self._api.get(root)
            assert served, f"{root} is not served"
            for each in served["resources"]:
                if "/" not in each["name"]:
                    self._resources[root, each["kind"]] = each
        return self._resources[root, kind]


def content(made: dict[str, Any]) -> dict[str, Any]:
    """An object without what controllers write; with the time at which its author last changed it."""
    fields = made["metadata"].get("managedFields", [])
    own = [entry for entry in fields if entry["manager"] == MANAGER]
    return {**{key: value for key, value in made.items() if key not in ("metadata", "status")}, "own": own}
