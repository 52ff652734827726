"""A job as an Argo Workflow from a WorkflowTemplate, with the parameters of the earlier system."""

from collections.abc import Sequence

from shared.domain.errors import Rejected
from shared.domain.job import Job, JobPhase
from shared.domain.redaction import redact
from shared.kubernetes import pods
from shared.kubernetes.api_server import ApiServer, Kind, Manifest
from shared.kubernetes.launcher import ClusterJobs, Shape, labels

WORKFLOW = Kind("argoproj.io", "v1alpha1", "Workflow", "workflows")
_ENDS = {"Succeeded": JobPhase.SUCCEEDED, "Failed": JobPhase.FAILED, "Error": JobPhase.FAILED}


def argo_workflows(server: ApiServer, namespace: str, kept_seconds: int) -> ClusterJobs:
    """Jobs of mode `argo`."""
    shape = Shape(
        kind=WORKFLOW,
        manifest=manifest,
        held=lambda found: bool(found["spec"].get("suspend")),
        release={"spec": {"suspend": None}},
        retire={"spec": {"ttlStrategy": {"secondsAfterCompletion": kept_seconds}}},
        retired=lambda found: found["spec"].get("ttlStrategy") is not None,
        verdict=verdict,
        pod_label="workflows.argoproj.io/workflow",
    )
    return ClusterJobs(server, shape, namespace)


def manifest(job: Job) -> Manifest:
    """The Workflow, suspended. Besides the earlier parameters it gets the container's environment and Secret."""
    if not job.template:
        raise Rejected("the task names no WorkflowTemplate: see FACTEUR_ARGO_WORKFLOW_TEMPLATE")
    given = {
        **{variable.lower(): value for variable, value in job.env.items()},
        "codex_secret": job.name,
        **job.parameters,
    }
    marks = labels(job, "Workflow")
    return {
        "apiVersion": WORKFLOW.api_version,
        "kind": WORKFLOW.kind,
        "metadata": {"name": job.name, "labels": marks, "annotations": dict(job.annotations)},
        "spec": {
            "suspend": True,
            "workflowTemplateRef": {"name": job.template},
            **({"serviceAccountName": job.service_account} if job.service_account else {}),
            "activeDeadlineSeconds": job.deadline_seconds,
            "podMetadata": {"labels": marks},
            "arguments": {"parameters": [{"name": name, "value": given[name]} for name in sorted(given)]},
        },
    }


def verdict(found: Manifest, its_pods: Sequence[Manifest]) -> tuple[JobPhase, str]:
    """Where a Workflow that was released stands."""
    status = found.get("status") or {}
    end = _ENDS.get(status.get("phase", ""))
    message = " ".join(redact(str(status.get("message") or "")).split())[:200]
    if end is JobPhase.SUCCEEDED:
        return end, ""
    if end is None:
        phase = JobPhase.RUNNING if status.get("phase") == "Running" else JobPhase.PENDING
        return pods.active(its_pods) if its_pods else (phase, message)
    if "exceeded its deadline" in message or "Max duration limit exceeded" in message:
        return JobPhase.EXPIRED, "the deadline has passed"
    phase, reason = pods.failed(its_pods) if its_pods else (end, "")
    return phase, reason or f"the workflow failed: {message or 'see its nodes'}"
