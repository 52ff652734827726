"""The manifests of a kustomization and all that it takes, as they are written; patches are left out."""

import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from tests.architecture.tree import ROOT

KNATIVE = ROOT / "knative"
OVERLAYS = tuple(sorted(path.parent for path in KNATIVE.glob("overlays/*/kustomization.yaml")))
Manifest = Mapping[str, Any]


def kustomization(folder: Path) -> Manifest:
    found: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return found


def folders(folder: Path) -> Iterator[Path]:
    """The folder and every one that it takes, in the order in which they are read."""
    said = kustomization(folder)
    for taken in [*said.get("resources", []), *said.get("components", [])]:
        if (folder / taken).is_dir():
            yield from folders((folder / taken).resolve())
    yield folder


def files(folder: Path) -> list[Path]:
    """The manifests that the folder itself takes."""
    taken = (folder / name for name in kustomization(folder).get("resources", []))
    return [path for path in taken if path.is_file()]


@cache
def documents(path: Path) -> tuple[Manifest, ...]:
    """The manifests of a file, or of a kustomization and all that it takes."""
    if path.is_file():
        return tuple(document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document)
    return tuple(document for folder in folders(path) for file in files(folder) for document in documents(file))


def of_kind(found: tuple[Manifest, ...], kind: str, group: str = "") -> list[Manifest]:
    """Those of a kind; `group` is what their apiVersion begins with."""
    return [each for each in found if each["kind"] == kind and each["apiVersion"].startswith(group)]


def config_map(folder: Path, name: str) -> dict[str, str]:
    """What generators make of a ConfigMap, the later over the earlier."""
    made: dict[str, str] = {}
    for taken in folders(folder):
        for generator in kustomization(taken).get("configMapGenerator", []):
            if generator["name"] == name:
                made |= dict(_entries(taken, generator))
    return made


def _entries(folder: Path, generator: Manifest) -> Iterator[tuple[str, str]]:
    for name in generator.get("envs", []):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                key, _, value = line.partition("=")
                yield key, value
    for name in generator.get("files", []):
        yield name, (folder / name).read_text(encoding="utf-8")


def pod_specs(found: tuple[Manifest, ...]) -> Iterator[tuple[Manifest, Manifest, Mapping[str, str]]]:
    """Whatever makes pods, with their specification and their labels."""
    for document in found:
        job = document.get("spec", {})
        template = job.get("jobTemplate", {}).get("spec", job).get("template")
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            labels = dict(template.get("metadata", {}).get("labels", {}))
            if document["apiVersion"].startswith("serving.knative.dev/"):
                labels["serving.knative.dev/service"] = document["metadata"]["name"]
            yield document, template["spec"], labels


@cache
def make_secrets() -> ModuleType:
    """The program that makes the Secrets."""
    spec = importlib.util.spec_from_file_location("make_secrets", KNATIVE / "platform" / "secrets" / "make_secrets.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
