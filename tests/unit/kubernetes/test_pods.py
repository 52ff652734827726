"""What pods say of their container, in words for people."""

from typing import Any

import pytest

from shared.domain.job import JobPhase
from shared.kubernetes.pods import active, failed

GITHUB = "ghp_" + "a1B2" * 9


def pod(phase: str = "Pending", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"phase": phase, **status}}


def waiting(reason: str, message: str = "", init: bool = False) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return pod(
        "Pending", **{"initContainerStatuses" if init else "containerStatuses": [{"name": "codex", "state": state}]}
    )


def ended(code: int, reason: str = "Error", init: bool = False, phase: str = "Failed") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return pod(phase, **{"initContainerStatuses" if init else "containerStatuses": [{"name": "codex", "state": state}]})


def condition(type_: str, status: str = "True", phase: str = "Pending", **more: str) -> dict[str, Any]:
    return pod(phase, conditions=[{"type": "Ready", "status": "False"}, {"type": type_, "status": status, **more}])


UNSCHEDULABLE = condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes: too little memory")

# --- not over


def test_without_pods_it_is_pending_and_nothing_is_wrong() -> None:
    assert active([]) == (JobPhase.PENDING, "")
    assert active([{}, {"status": None}, pod()]) == (JobPhase.PENDING, "")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("ErrImagePull", "the image cannot be pulled"),
        ("ImagePullBackOff", "the image cannot be pulled"),
        ("ErrImageNeverPull", "the image is not on the node"),
        ("RegistryUnavailable", "the image registry is away"),
        ("CreateContainerConfigError", "the container's configuration is wrong"),
        ("CreateContainerError", "the container cannot be created"),
        ("RunContainerError", "the container cannot be run"),
    ],
)
@pytest.mark.parametrize("init", [False, True])
def test_what_holds_up_a_container_is_said(reason: str, said: str, init: bool) -> None:
    assert active([waiting(reason, "no such tag", init)]) == (JobPhase.PENDING, f"{said}: no such tag")
    assert active([waiting(reason, "", init)]) == (JobPhase.PENDING, f"{said}: {reason}")


@pytest.mark.parametrize("init", [False, True])
def test_a_container_that_can_never_start_is_over(init: bool) -> None:
    expected = JobPhase.UNSTARTED, "the image has no valid name: it has a blank"
    assert active([waiting("InvalidImageName", "it has a blank", init)]) == expected
    assert active([UNSCHEDULABLE, waiting("ErrImagePull"), waiting("InvalidImageName", "it has a blank")]) == expected


def test_a_container_that_is_being_made_is_no_trouble() -> None:
    assert active([waiting("ContainerCreating"), waiting("PodInitializing")]) == (JobPhase.PENDING, "")


def test_a_pod_without_a_node_waits_for_one() -> None:
    expected = JobPhase.PENDING, "no node has room for the pod: 0/3 nodes: too little memory"
    assert active([UNSCHEDULABLE]) == expected
    assert active([condition("PodScheduled", "True")]) == (JobPhase.PENDING, "")


@pytest.mark.parametrize("other", [waiting("ErrImagePull"), waiting("InvalidImageName"), UNSCHEDULABLE, pod(), {}])
def test_one_pod_that_runs_is_enough_wherever_it_stands(other: dict[str, Any]) -> None:
    """As of a Workflow, whose second step may wait while its first is still at work."""
    assert active([other, pod("Running")]) == active([pod("Running"), other]) == (JobPhase.RUNNING, "")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_between_two_pods_it_has_started_all_the_same(phase: str) -> None:
    """Otherwise a Workflow is ended between its steps, because its container had not started."""
    assert active([pod(phase)]) == (JobPhase.RUNNING, "")
    assert active([pod(phase), waiting("ContainerCreating"), UNSCHEDULABLE]) == (JobPhase.RUNNING, "")
    assert active([pod(phase), waiting("InvalidImageName")])[0] is JobPhase.UNSTARTED


# --- failed


@pytest.mark.parametrize("init", [False, True])
def test_the_exit_code_is_told(init: bool) -> None:
    assert failed([ended(3, init=init)]) == (JobPhase.FAILED, "the container failed: exit code 3")
    assert failed([ended(0, "Completed", phase="Succeeded"), ended(137)])[1].endswith("exit code 137")


@pytest.mark.parametrize("init", [False, True])
def test_a_container_that_ran_out_of_memory_gets_advice(init: bool) -> None:
    expected = JobPhase.FAILED, "the container ran out of memory (OOMKilled): raise its limit"
    assert failed([ended(137, "OOMKilled", init)]) == expected


def test_a_pod_that_was_taken_off_its_node_is_evicted_whatever_its_container_says() -> None:
    containers = ended(137, "OOMKilled")["status"]["containerStatuses"]
    evicted = pod("Failed", reason="Evicted", message="The node was low on disk.", containerStatuses=containers)
    assert failed([evicted]) == (JobPhase.EVICTED, "the pod was evicted: The node was low on disk.")
    assert failed([pod("Failed", reason="Evicted")]) == (JobPhase.EVICTED, "the pod was evicted: Evicted")
    drained = condition("DisruptionTarget", phase="Failed", reason="EvictionByEvictionAPI")
    drained["status"]["containerStatuses"] = containers
    assert failed([drained]) == (JobPhase.EVICTED, "the pod was taken off its node: EvictionByEvictionAPI")


def test_a_pod_that_was_only_to_be_taken_off_failed_by_itself() -> None:
    spared = condition("DisruptionTarget", "False", phase="Failed")
    assert failed([spared]) == (JobPhase.FAILED, "the pod failed")


def test_a_pod_that_failed_before_its_container_says_why() -> None:
    rejected = pod("Failed", reason="UnexpectedAdmissionError", message="no device")
    assert failed([rejected]) == (JobPhase.FAILED, "the pod failed: no device")
    assert failed([pod("Failed", reason="NodeAffinity")]) == (JobPhase.FAILED, "the pod failed: NodeAffinity")


@pytest.mark.parametrize("pods", [[], [pod("Running")], [pod("Unknown", reason="NodeLost")], [{}], [{"status": None}]])
def test_a_job_that_failed_without_a_pod_that_ended_has_lost_it(pods: list[dict[str, Any]]) -> None:
    assert failed(pods) == (JobPhase.LOST, "its pod is gone: it was deleted, or its node was lost")


def test_pods_that_all_succeeded_are_not_lost() -> None:
    """Such a Workflow failed by itself, for example where it names a template that is not there."""
    assert failed([ended(0, "Completed", phase="Succeeded")] * 2) == (JobPhase.FAILED, "")


# --- what is passed on


def test_a_message_is_one_line_without_secrets_and_not_long() -> None:
    message = f"pull  https://bot:{GITHUB}@r.io\nfailed: password=hunter2 " + "x" * 10_000
    for phase, said in (
        active([waiting("ErrImagePull", message)]),
        active([condition("PodScheduled", "False", message=message)]),
        failed([pod("Failed", reason="Evicted", message=message)]),
        failed([condition("DisruptionTarget", message=message)]),
        failed([pod("Failed", message=message)]),
    ):
        assert phase
        assert ": pull https://" in said
        assert GITHUB not in said
        assert "hunter2" not in said
        assert "\n" not in said
        assert len(said) < 260


def test_a_secret_that_the_cut_would_go_through_leaves_nothing() -> None:
    for before in range(150, 205):
        said = active([waiting("ErrImagePull", "y" * before + " " + GITHUB)])[1]
        assert "ghp_" not in said
