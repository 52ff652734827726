"""The functions as they are deployed: their manifests, and what each of them reads."""

from collections.abc import Mapping
from typing import Any

import pytest

from shared.settings import declared
from shared.web.serve import function_settings
from tests.architecture.kustomizations import KNATIVE, OVERLAYS, documents, of_kind
from tests.architecture.tree import FUNCTIONS, kebab

BASE = documents(KNATIVE / "base")
SERVICES = {service["metadata"]["name"]: service for service in of_kind(BASE, "Service", "serving.knative.dev/")}
NAMES = tuple(map(kebab, FUNCTIONS))

every_function = pytest.mark.parametrize("name", NAMES)
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)


def spec(name: str) -> Mapping[str, Any]:
    """The pod of a function."""
    found: Mapping[str, Any] = SERVICES[name]["spec"]["template"]["spec"]
    return found


def variables(name: str) -> dict[str, Any]:
    """What the manifest of a function sets itself, by variable."""
    return {entry["name"]: entry for entry in spec(name)["containers"][0].get("env", [])}


def read_by(name: str) -> set[str]:
    """The settings of a function."""
    return {field.metadata["env"] for field in declared(function_settings(name))}
