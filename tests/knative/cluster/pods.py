"""Pods of tests: Python in containers that may do nothing they need not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.images.oci import ImageConfig, write_image
from tests.knative.cluster.node import Node

IMAGE = "img.invalid/python:test"


def import_python(node: Node, folder: Path) -> None:
    """Let pods use Debian's Python as IMAGE; `folder` is for the tar."""
    tar = folder / "python.tar"
    write_image(tar, IMAGE, node.base, ImageConfig())
    node.import_image(tar)
    tar.unlink()


def pod(command: Sequence[str]) -> dict[str, object]:
    """The specification of a pod that Pod Security `restricted` lets run, and that may serve on any port."""
    locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": locked,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    user = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
    }
    volumes = [{"name": "tmp", "emptyDir": {}}]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": user,
        "containers": [container],
        "volumes": volumes,
    }


def apply(node: Node, namespace: str, documents: Sequence[Mapping[str, object]]) -> None:
    """Apply objects that name no namespace of their own to this one."""
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    node.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", given=given)
