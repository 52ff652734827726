"""What Knative's modules hold to apply, made to fit a small machine and images that no registry has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.knative.platform.programs import name

Manifest = dict[str, Any]
# Folders and files to apply, by module.
Part = Mapping[str, tuple[str, ...]]

REGISTRY = "img.invalid"
# That of the overlay `local`; Knative itself asks no registry for it.
LOCAL_REGISTRY = "dev.local"
ENVOY = "envoy"
DOMAIN = "facteur.test"
# In the order in which a release of Knative has them.
CRDS = {
    "eventing": ("config/core/resources", "config/channels/in-memory-channel/resources"),
    "serving": ("config/core/300-resources",),
    "networking": (
        "config/certificate.yaml",
        "config/domain-claim.yaml",
        "config/ingress.yaml",
        "config/serverlessservice.yaml",
    ),
    "caching": ("config/image.yaml",),
}
EVENTING = {
    "eventing": (
        "config/core",
        "third_party/eventing-integrations-latest",
        "config/channels/in-memory-channel",
        "config/brokers/mt-channel-broker",
    )
}
SERVING = {"serving": ("config/core",), "networking": ("config/config-network.yaml",)}
KOURIER = {"net-kourier": ("config",)}
# Nobody measures load here, evicts, or signs certificates; and nothing of ours uses the two sinks.
_LEFT_OUT = {"HorizontalPodAutoscaler", "PodDisruptionBudget", "Certificate", "CustomResourceDefinition"}
_UNUSED = {"job-sink", "request-reply"}
_SETTINGS = {
    "config-deployment": {
        "registries-skipping-tag-resolving": f"{REGISTRY},{LOCAL_REGISTRY}",
        "queue-sidecar-cpu-request": "10m",
        "queue-sidecar-memory-request": "16Mi",
    },
    "config-network": {"ingress-class": "kourier.ingress.networking.knative.dev"},
    "config-autoscaler": {"stable-window": "10s", "scale-to-zero-grace-period": "10s"},
    "config-domain": {DOMAIN: ""},
}
_PACKAGE = re.compile(r"ko://([\w./-]+)")


def definitions(sources: dict[str, Path]) -> list[Manifest]:
    """Every CustomResourceDefinition of Knative Eventing and Serving."""
    return [found for found in _documents(sources, CRDS, "") if found["kind"] == "CustomResourceDefinition"]


def manifests(sources: dict[str, Path], part: Part, tag: str) -> list[Manifest]:
    """What a part (EVENTING, SERVING, KOURIER) consists of besides its definitions, namespaces first."""
    found = [_fit(document) for document in _documents(sources, part, tag) if _wanted(document)]
    # A file may want the namespace of a later one.
    return sorted(found, key=lambda document: document["kind"] != "Namespace")


def image(program: str, tag: str) -> str:
    return f"{REGISTRY}/{program}:{tag}"


def _documents(sources: dict[str, Path], part: Part, tag: str) -> Iterator[Manifest]:
    for module, paths in part.items():
        for path in paths:
            chosen = sources[module] / path
            for file in sorted(chosen.rglob("*.yaml")) if chosen.is_dir() else [chosen]:
                text = _PACKAGE.sub(lambda found: image(name(found[1]), tag), file.read_text("utf-8"))
                text = re.sub(r"docker\.io/envoyproxy/envoy:[\w.-]+", image(ENVOY, tag), text)
                yield from (document for document in yaml.safe_load_all(text) if document)


def _wanted(document: Manifest) -> bool:
    return document["kind"] not in _LEFT_OUT and document["metadata"]["name"] not in _UNUSED


def _fit(document: Manifest) -> Manifest:
    if document["kind"] == "ConfigMap":
        settings = _SETTINGS.get(document["metadata"]["name"], {})
        return {**document, "data": {**document.get("data", {}), **settings}}
    if document["kind"] == "Deployment":
        for container in document["spec"]["template"]["spec"]["containers"]:
            _fit_container(container)
    return document


def _fit_container(container: Manifest) -> None:
    container["imagePullPolicy"] = "IfNotPresent"
    requests = container.get("resources", {}).get("requests", {})
    container["resources"] = {"requests": {"cpu": "10m", "memory": requests.get("memory", "50Mi")}}
    # All start on one machine: who is ready early is asked early, who is slow is not killed for it.
    if probe := container.get("readinessProbe"):
        probe.update(initialDelaySeconds=1, periodSeconds=1)
    if probe := container.get("livenessProbe"):
        probe.update(initialDelaySeconds=120, timeoutSeconds=5)
