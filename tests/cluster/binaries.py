"""The programs of a control plane and the CRDs it serves: found, or taken once from Go modules."""

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from shared.local.state import CannotStart
from tests.cluster.go_modules import CACHE, Say, alone, build, digest, download, run

CONTROLLER_MANAGER = "kube-controller-manager"
_PROGRAMS = Path(__file__).parent
_CRDS = _PROGRAMS / "crds"
_BUILT = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    CONTROLLER_MANAGER: "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_STORE = _PROGRAMS / "object_store"
_NEEDED = ("etcd", "kube-apiserver", CONTROLLER_MANAGER)
_MINIO = "github.com/minio/minio"
_KAFKA = "control-plane/config/eventing-kafka-broker"
_EVENTING = ("apiserversource", "broker", "eventpolicy", "eventtype", "pingsource", "sinkbindings", "trigger")
# What is applied to a cluster, or watched in one, by where its definition lies in its module.
_MANIFESTS = {
    "knative.dev/eventing": [
        *(f"config/core/resources/{name}.yaml" for name in _EVENTING),
        "config/channels/in-memory-channel/resources/in-memory-channel.yaml",
    ],
    "knative.dev/eventing-kafka-broker": [f"{_KAFKA}/100-{name}/100-kafka-{name}.yaml" for name in ("source", "sink")],
    "knative.dev/eventing-rabbitmq": ["config/broker/300-rabbitmqbrokerconfig.yaml"],
    "knative.dev/serving": [f"config/core/300-resources/{name}.yaml" for name in ("service", "domain-mapping")],
    "github.com/argoproj/argo-workflows/v4": [
        f"manifests/base/crds/minimal/argoproj.io_{name}.yaml" for name in ("workflows", "workflowtemplates")
    ],
    "github.com/cloudnative-pg/cloudnative-pg": [
        f"config/crd/bases/postgresql.cnpg.io_{name}.yaml" for name in ("clusters", "scheduledbackups")
    ],
    "github.com/OT-CONTAINER-KIT/redis-operator": ["config/crd/bases/redis.redis.opstreelabs.in_redis.yaml"],
    "sigs.k8s.io/gateway-api": [
        f"config/crd/standard/gateway.networking.k8s.io_{name}.yaml" for name in ("httproutes", "referencegrants")
    ],
}


def programs(say: Say) -> Path:
    """The folder that holds the programs under their names; builds them if there is none yet."""
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        return _given(Path(given).absolute())
    target = CACHE / f"bin-{digest(_PROGRAMS)}"
    if not target.exists():
        with alone(say):
            if not target.exists():
                say("building the programs of Kubernetes, once; without Go's build cache it takes about ten minutes")
                build(target, _BUILT, _PROGRAMS, say, version_stamp(_PROGRAMS))
    return target


def crd_manifests(say: Say) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of all that facteur's manifests and functions use."""
    kept = CACHE / f"crds-{digest(_CRDS, json.dumps(_MANIFESTS))}.json"
    if not kept.exists():
        with alone(say):
            if not kept.exists():
                _keep_crds(kept, say)
    found: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def object_store(say: Say) -> Path:
    """The program of MinIO; builds it if it is not there yet."""
    target = CACHE / f"minio-{digest(_STORE)}"
    if not target.exists():
        with alone(say):
            if not target.exists():
                say("building MinIO, once; without Go's build cache it takes some minutes")
                unfinished = target.with_suffix(".unfinished")
                command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), _MINIO]
                run("building MinIO", command, say, _STORE)
                unfinished.rename(target)
    return target


def _given(folder: Path) -> Path:
    if missing := [name for name in _NEEDED if not os.access(folder / name, os.X_OK)]:
        raise CannotStart(
            f"KUBEBUILDER_ASSETS is {folder}, which has no {' and no '.join(missing)}. "
            "Put them there, all of one Kubernetes version, or unset it to have them built by Go 1.26."
        )
    return folder


def _keep_crds(kept: Path, say: Say) -> None:
    say("looking for the CRDs in their Go modules")
    folders = download(list(_MANIFESTS), _CRDS)
    texts = [(folders[module] / path).read_text("utf-8") for module in _MANIFESTS for path in _MANIFESTS[module]]
    documents = [_served_alone(document) for text in texts for document in yaml.safe_load_all(text) if document]
    unfinished = kept.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(documents), encoding="utf-8")
    unfinished.rename(kept)


def _served_alone(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition without the webhook that converts between its versions: nobody would answer it."""
    return {**definition, "spec": {**definition["spec"], "conversion": {"strategy": "None"}}}


def version_stamp(module: Path) -> str:
    """What the linker is told of Kubernetes' version: without it, clients take the server for one that is too old."""
    required = (module / "go.mod").read_text("utf-8")
    found = re.search(r"^(?:require)?\s*k8s\.io/kubernetes (v\S+)", required, re.MULTILINE)
    assert found, "go.mod requires k8s.io/kubernetes"
    return f"-X k8s.io/component-base/version.gitVersion={found[1]}"
