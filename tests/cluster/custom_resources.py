"""Installs CustomResourceDefinitions that a cluster lacks, and waits until it serves them."""

import time
from collections.abc import Sequence
from typing import Any

from shared.local.state import CannotStart
from tests.cluster.api import Api

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SERVED_SECONDS = 60.0


def install(api: Api, manifests: Sequence[dict[str, Any]]) -> list[str]:
    """The names of those that were missing and are installed now; all of them are served afterwards."""
    missing = [manifest for manifest in manifests if api.get(f"{_PATH}/{_name(manifest)}") is None]
    for manifest in missing:
        api.create(_PATH, manifest)
    deadline = time.monotonic() + _SERVED_SECONDS
    for manifest in manifests:
        while not _served(api, manifest):
            if time.monotonic() > deadline:
                raise CannotStart(f"{_name(manifest)} is not served after {_SERVED_SECONDS:.0f} s.")
            time.sleep(0.05)
    return [_name(manifest) for manifest in missing]


def remove(api: Api, names: Sequence[str]) -> None:
    """Remove definitions, and with them all their objects."""
    for name in names:
        api.delete(f"{_PATH}/{name}")


def _served(api: Api, manifest: dict[str, Any]) -> bool:
    found = api.get(f"{_PATH}/{_name(manifest)}") or {}
    conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions", [])}
    if conditions.get("Established") != "True":
        return False
    spec = manifest["spec"]
    version = next(each["name"] for each in spec["versions"] if each["storage"])
    # Established says what was decided; the handler learns of it a moment later.
    status, _ = api.request("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}", query={"limit": "1"})
    return status == 200


def _name(manifest: dict[str, Any]) -> str:
    name: str = manifest["metadata"]["name"]
    return name
