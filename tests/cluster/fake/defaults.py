"""What the API server adds to what it is sent."""

import base64
import copy
from collections.abc import Callable
from typing import Any

from tests.cluster.fake.kinds import DEPLOYMENT, JOB, NAMESPACE, POD, SECRET, Kind, Object

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_CONTROLLER_UID, _JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


def with_defaults(kind: Kind, sent: Object) -> Object:
    """A copy, complete; it has a name and a uid already."""
    complete = copy.deepcopy(sent)
    if kind in _DEFAULTS:
        _DEFAULTS[kind](complete)
    return complete


def admitted(pod: Object, suffix: str) -> Object:
    """The pod with what admission adds once, at its creation."""
    admitted = copy.deepcopy(pod)
    spec = admitted["spec"]
    spec["serviceAccountName"] = spec["serviceAccount"] = spec.get("serviceAccountName") or "default"
    _fill(spec, priority=0, enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority")
    reasons = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    waits = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    spec.setdefault("tolerations", []).extend({"key": reason, **waits} for reason in reasons)
    if spec.get("automountServiceAccountToken", True):
        _mount_token(spec, f"kube-api-access-{suffix}")
    admitted["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    return admitted


def _mount_token(spec: Object, name: str) -> None:
    root = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    where = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    token = {"expirationSeconds": 3607, "path": "token"}
    sources = [{"serviceAccountToken": token}, {"configMap": root}, {"downwardAPI": {"items": [where]}}]
    spec.setdefault("volumes", []).append({"name": name, "projected": {"sources": sources, "defaultMode": 420}})
    for container in spec.get("containers", []):
        mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
        container.setdefault("volumeMounts", []).append(mount)


def _fill(target: Object, **values: Any) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = copy.deepcopy(value)


def _namespace(sent: Object) -> None:
    sent["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = sent["metadata"]["name"]
    _fill(sent, spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})


def _secret(sent: Object) -> None:
    _fill(sent, type="Opaque")
    texts = sent.pop("stringData", None) or {}
    if texts:
        told = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
        sent["data"] = {**(sent.get("data") or {}), **told}


def _pod_spec(spec: Object, restart: str | None) -> None:
    _fill(spec, terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst", securityContext={})
    _fill(spec, schedulerName="default-scheduler", **({"restartPolicy": restart} if restart else {}))
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        _, _, tag = container.get("image", "").rpartition("/")[2].partition(":")
        _fill(container, imagePullPolicy="IfNotPresent" if tag not in ("", "latest") else "Always")
        _fill(container, resources={}, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    for volume in spec.get("volumes") or []:
        for source in ("secret", "configMap", "projected"):
            if source in volume:
                _fill(volume[source], defaultMode=420)


def _pod(sent: Object) -> None:
    _pod_spec(sent.setdefault("spec", {}), "Always")
    _fill(sent, status={"phase": "Pending"})


def _job(sent: Object) -> None:
    spec = sent.setdefault("spec", {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _fill(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False, manualSelector=False)
    _fill(spec, podReplacementPolicy="TerminatingOrFailed", template={})
    template = spec["template"]
    _fill(template, metadata={}, spec={})
    _pod_spec(template["spec"], None)
    _fill(sent, status={})
    metadata = sent["metadata"]
    if "resourceVersion" in metadata:  # it was created before, and its selector stays as it is
        return
    labels = template["metadata"].setdefault("labels", {})
    uid, name = metadata["uid"], metadata["name"]
    _fill(labels, **{_CONTROLLER_UID: uid, _JOB_NAME: name, "controller-uid": uid, "job-name": name})
    spec.setdefault("selector", {}).setdefault("matchLabels", {}).setdefault(_CONTROLLER_UID, uid)
    if not metadata.get("labels"):
        metadata["labels"] = {**labels}


def _deployment(sent: Object) -> None:
    spec = sent.setdefault("spec", {})
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    _fill(spec, replicas=1, strategy=rolling, revisionHistoryLimit=10, progressDeadlineSeconds=600, template={})
    _fill(spec["template"], metadata={}, spec={})
    _pod_spec(spec["template"]["spec"], "Always")
    _fill(sent, status={})


_DEFAULTS: dict[Kind, Callable[[Object], None]] = {
    NAMESPACE: _namespace,
    SECRET: _secret,
    POD: _pod,
    JOB: _job,
    DEPLOYMENT: _deployment,
}
