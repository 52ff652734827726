"""What a Job and a Workflow look like, and what becomes of them in words."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.errors import Rejected
from shared.domain.job import Job, JobPhase
from shared.kubernetes import jobs, workflows
from shared.kubernetes.jobs import RESOURCES, PodSettings

JOB = Job(
    name="codex-1-1",
    task_id="11111111-1111-1111-1111-111111111111",
    attempt=2,
    deadline_seconds=600,
    command=("agent", "run"),
    env={"CODEX_TASK_ID": "1", "CODEX_DEADLINE": "2026-01-01T00:00:00Z"},
    files={"CODEX_PROMPT_FILE": "canary-prompt", "CODEX_CALLBACK_TOKEN_FILE": "canary-token"},
    labels={"codex.issue_number": "7"},
    annotations={"codex.head": "main"},
)
TEMPLATED = replace(JOB, template="codex", parameters={"prompt": "p", "issue_number": "7"}, service_account="wf")
SETTINGS = PodSettings("r.io/runner:1", "runner", {"limits": {"memory": "1Gi"}}, grace_seconds=45)
MARKS = {
    "app.kubernetes.io/managed-by": "facteur",
    "codex.proompteng.ai/task": JOB.task_id,
    "codex.proompteng.ai/attempt": "2",
    "codex.issue_number": "7",
}


def made(job: Job = JOB, settings: PodSettings = SETTINGS) -> dict[str, Any]:
    return jobs.manifest(job, settings)


def pod_of(job: Job = JOB, settings: PodSettings = SETTINGS) -> dict[str, Any]:
    spec: dict[str, Any] = made(job, settings)["spec"]["template"]["spec"]
    return spec


def container_of(job: Job = JOB, settings: PodSettings = SETTINGS) -> dict[str, Any]:
    (container,) = pod_of(job, settings)["containers"]
    found: dict[str, Any] = container
    return found


# --- a Job


def test_a_job_is_made_held_and_runs_once() -> None:
    spec = made()["spec"]
    assert (made()["apiVersion"], made()["kind"]) == ("batch/v1", "Job")
    assert (spec["suspend"], spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (True, 0, 1, 1)
    assert spec["activeDeadlineSeconds"] == 600
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_job_is_not_cleaned_up_before_its_end_is_recorded() -> None:
    assert "ttl" not in json.dumps(made()).lower()


def test_a_pod_keeps_to_the_restricted_standard() -> None:
    """What Pod Security `restricted` demands, field by field."""
    pod, container = pod_of(), container_of()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & pod.keys()
    assert "privileged" not in container["securityContext"]
    assert not any("hostPort" in port for port in container.get("ports", []))
    assert all(set(volume) - {"name"} <= {"secret", "emptyDir"} for volume in pod["volumes"])


def test_a_pod_is_not_told_of_the_cluster_or_given_a_token_of_it() -> None:
    assert pod_of()["automountServiceAccountToken"] is False
    assert pod_of()["enableServiceLinks"] is False
    assert pod_of()["terminationGracePeriodSeconds"] == 45


@pytest.mark.parametrize(
    "text", [json.dumps(made()), json.dumps(workflows.manifest(TEMPLATED))], ids=["Job", "Workflow"]
)
def test_prompt_and_token_travel_in_the_secret_alone(text: str) -> None:
    assert "canary" not in text
    assert "codex-1-1" in text


def test_a_container_finds_its_files_where_the_secret_is_mounted_and_may_write_elsewhere() -> None:
    container, pod = container_of(), pod_of()
    env = {each["name"]: each["value"] for each in container["env"]}
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert volumes["task"]["secret"] == {"secretName": "codex-1-1", "defaultMode": 0o440}
    assert mounts["task"]["readOnly"] is True
    for variable in JOB.files:
        assert env[variable] == f"{mounts['task']['mountPath']}/{variable}"
    assert env["HOME"] == container["workingDir"] == mounts["work"]["mountPath"]
    assert mounts["tmp"]["mountPath"] == "/tmp"
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_environment_is_the_jobs_own_each_name_once() -> None:
    names = [each["name"] for each in container_of()["env"]]
    assert sorted(names) == sorted({*JOB.env, *JOB.files, "HOME"})
    twice = container_of(replace(JOB, env={"HOME": "/root", "CODEX_PROMPT_FILE": "/etc/passwd"}))["env"]
    assert [each["value"] for each in twice if each["name"] == "HOME"] == ["/workspace"]
    assert [each["value"] for each in twice if each["name"] == "CODEX_PROMPT_FILE"] == [
        "/var/run/codex/CODEX_PROMPT_FILE"
    ]


def test_what_a_job_names_goes_before_what_all_jobs_have() -> None:
    assert (container_of()["image"], pod_of()["serviceAccountName"]) == ("r.io/runner:1", "runner")
    own = replace(JOB, image="r.io/own:2", service_account="own")
    assert (container_of(own)["image"], pod_of(own)["serviceAccountName"]) == ("r.io/own:2", "own")
    assert container_of()["resources"] == {"limits": {"memory": "1Gi"}}
    assert container_of(JOB, PodSettings("i"))["resources"] == RESOURCES
    assert RESOURCES["limits"], "no container may take a node from everybody else"


def test_what_the_operators_secret_holds_is_in_the_environment_of_a_job() -> None:
    assert "envFrom" not in container_of()
    named = container_of(JOB, PodSettings("i", secret="codex-model"))
    assert named["envFrom"] == [{"secretRef": {"name": "codex-model"}}]


def test_a_job_without_a_command_runs_what_its_image_does() -> None:
    assert container_of()["command"] == ["agent", "run"]
    assert "command" not in container_of(replace(JOB, command=()))


@pytest.mark.parametrize(
    ("manifest", "kind", "of_pod"),
    [
        (made(), "Job", ("spec", "template", "metadata")),
        (workflows.manifest(TEMPLATED), "Workflow", ("spec", "podMetadata")),
    ],
    ids=["Job", "Workflow"],
)
def test_a_job_and_its_pods_are_found_by_task_and_attempt(
    manifest: dict[str, Any], kind: str, of_pod: tuple[str, ...]
) -> None:
    marks = MARKS | {"codex.proompteng.ai/kind": kind}
    assert manifest["metadata"] == {"name": "codex-1-1", "labels": marks, "annotations": {"codex.head": "main"}}
    found: Any = manifest
    for name in of_pod:
        found = found[name]
    assert found["labels"] == marks


def test_two_manifests_share_nothing_that_one_of_them_may_change() -> None:
    first = made()
    first["metadata"] |= {"namespace": "shop"}
    first["metadata"]["annotations"]["x"] = "y"
    assert "namespace" not in made()["metadata"]
    assert JOB.annotations == {"codex.head": "main"}


# --- a Workflow


def test_a_workflow_is_made_held_from_its_template() -> None:
    manifest = workflows.manifest(TEMPLATED)
    spec = manifest["spec"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("argoproj.io/v1alpha1", "Workflow")
    assert spec["suspend"] is True
    assert spec["workflowTemplateRef"] == {"name": "codex"}
    assert spec["activeDeadlineSeconds"] == 600
    assert spec["serviceAccountName"] == "wf"
    assert "ttl" not in json.dumps(manifest).lower()
    assert "serviceAccountName" not in workflows.manifest(replace(TEMPLATED, service_account=""))["spec"]


def test_a_workflow_gets_the_earlier_parameters_the_environment_and_the_name_of_its_secret() -> None:
    parameters = workflows.manifest(TEMPLATED)["spec"]["arguments"]["parameters"]
    assert parameters == [
        {"name": "codex_deadline", "value": "2026-01-01T00:00:00Z"},
        {"name": "codex_secret", "value": "codex-1-1"},
        {"name": "codex_task_id", "value": "1"},
        {"name": "issue_number", "value": "7"},
        {"name": "prompt", "value": "p"},
    ]


def test_a_workflow_without_a_template_is_refused_with_advice() -> None:
    with pytest.raises(Rejected, match="FACTEUR_ARGO_WORKFLOW_TEMPLATE"):
        workflows.manifest(JOB)


# --- where a Job stands


def job(*conditions: dict[str, str]) -> dict[str, Any]:
    return {"status": {"conditions": list(conditions)}}


def met(type_: str, reason: str = "", status: str = "True") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason}


RUNNING = {"status": {"phase": "Running"}}
EXITED = {
    "status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]}
}
SUCCEEDED = {"status": {"phase": "Succeeded"}}
LOST = JobPhase.LOST, "its pod is gone: it was deleted, or its node was lost"
LATE = JobPhase.EXPIRED, "the deadline has passed"
RESUMED = met("Suspended", "JobResumed", "False")


@pytest.mark.parametrize(
    ("found", "pods", "expected"),
    [
        ({}, [], (JobPhase.PENDING, "")),
        ({"status": None}, [], (JobPhase.PENDING, "")),
        ({"status": {"conditions": None}}, [RUNNING], (JobPhase.RUNNING, "")),
        (job(RESUMED), [RUNNING], (JobPhase.RUNNING, "")),
        (job(RESUMED, met("SuccessCriteriaMet"), met("Complete")), [SUCCEEDED], (JobPhase.SUCCEEDED, "")),
        (job(met("Complete")), [], (JobPhase.SUCCEEDED, "")),
        (job(met("Complete", status="False")), [RUNNING], (JobPhase.RUNNING, "")),
        (job(met("Failed", "BackoffLimitExceeded")), [EXITED], (JobPhase.FAILED, "the container failed: exit code 3")),
        (job(met("Failed", "BackoffLimitExceeded")), [], LOST),
        (job(met("Failed", "DeadlineExceeded")), [], LATE),
        (job(met("Failed", "DeadlineExceeded")), [EXITED], LATE),
        (job(met("Failed", "BackoffLimitExceeded", "False")), [RUNNING], (JobPhase.RUNNING, "")),
        # Its pods are still being ended: the Job is not over.
        (job(met("FailureTarget", "DeadlineExceeded")), [RUNNING], (JobPhase.RUNNING, "")),
    ],
)
def test_where_a_job_stands(found: dict[str, Any], pods: list[dict[str, Any]], expected: tuple[JobPhase, str]) -> None:
    assert jobs.verdict(found, pods) == expected


def workflow(phase: str, message: str = "") -> dict[str, Any]:
    return {"status": {"phase": phase, "message": message}}


@pytest.mark.parametrize(
    ("found", "pods", "expected"),
    [
        ({}, [], (JobPhase.PENDING, "")),
        ({"status": None}, [], (JobPhase.PENDING, "")),
        (workflow("Pending", "waits for a lock"), [], (JobPhase.PENDING, "waits for a lock")),
        (workflow("Running"), [RUNNING], (JobPhase.RUNNING, "")),
        (workflow("Running"), [SUCCEEDED], (JobPhase.RUNNING, "")),
        (workflow("Succeeded", "done"), [SUCCEEDED], (JobPhase.SUCCEEDED, "")),
        (workflow("Failed", "child failed"), [EXITED], (JobPhase.FAILED, "the container failed: exit code 3")),
        (workflow("Failed", "child\n failed"), [], (JobPhase.FAILED, "the workflow failed: child failed")),
        (workflow("Error"), [], (JobPhase.FAILED, "the workflow failed: see its nodes")),
        (workflow("Error", "no such step"), [SUCCEEDED], (JobPhase.FAILED, "the workflow failed: no such step")),
        (workflow("Failed", "Step exceeded its deadline"), [EXITED], LATE),
        (workflow("Failed", "Max duration limit exceeded"), [], LATE),
    ],
)
def test_where_a_workflow_stands(
    found: dict[str, Any], pods: list[dict[str, Any]], expected: tuple[JobPhase, str]
) -> None:
    assert workflows.verdict(found, pods) == expected


def test_a_workflows_message_is_not_long() -> None:
    assert len(workflows.verdict(workflow("Failed", "x" * 10_000), [])[1]) < 250
