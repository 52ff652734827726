"""What becomes of a Job and its pod."""

import pytest

from tests.contract.api_server.space import MERGE, Object, Space, a_job, eventually

TRACKING = "batch.kubernetes.io/job-tracking"


def test_a_suspended_job_has_no_pod(space: Space) -> None:
    space.job(suspend=True)
    assert eventually(lambda: space.condition("Suspended"), "it is said to be suspended")["reason"] == "JobSuspended"
    assert space.pods_of() == []
    assert "startTime" not in space.status() and "active" not in space.status()


def test_a_job_that_is_resumed_has_one_pod(space: Space) -> None:
    job = space.job(suspend=True)
    eventually(lambda: space.condition("Suspended"), "it is said to be suspended")
    space.api.merge(f"{space.jobs}/run", {"spec": {"suspend": False}})
    pod = space.pod_of()
    assert len(space.pods_of()) == 1
    assert space.status()["active"] == 1 and space.status()["startTime"]
    assert not space.condition("Suspended")
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "run", job["metadata"]["uid"])
    assert owner["controller"] and owner["blockOwnerDeletion"]


def test_a_pod_is_named_and_labelled_after_its_job(space: Space) -> None:
    job = space.job()
    metadata = space.pod_of()["metadata"]
    assert metadata["name"].startswith("run-") and len(metadata["name"]) == len("run-") + 5
    uid = job["metadata"]["uid"]
    assert metadata["labels"] == {
        "colour": "blue",
        "job-name": "run",
        "batch.kubernetes.io/job-name": "run",
        "controller-uid": uid,
        "batch.kubernetes.io/controller-uid": uid,
    }
    assert metadata["finalizers"] == [TRACKING]


def test_a_job_that_is_sent_is_completed_with_defaults(space: Space) -> None:
    job = space.job(suspend=True)
    spec = job["spec"]
    assert (spec["parallelism"], spec["completions"], spec["completionMode"]) == (1, 1, "NonIndexed")
    assert spec["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    assert spec["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "run"
    assert job["metadata"]["labels"] == {"facteur.test/role": "run"}
    assert job["metadata"]["generation"] == 1
    pod = spec["template"]["spec"]
    assert (pod["terminationGracePeriodSeconds"], pod["dnsPolicy"]) == (30, "ClusterFirst")


def test_a_pod_that_succeeds_completes_its_job(space: Space) -> None:
    space.job()
    space.tell(space.running_pod_of(), "Succeeded")
    complete = eventually(lambda: space.condition("Complete"), "it is complete")
    assert complete["reason"] == "CompletionsReached"
    status = space.status()
    assert [each["type"] for each in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert status["succeeded"] == 1 and status["completionTime"]
    assert "active" not in status and "failed" not in status
    assert "finalizers" not in space.pods_of()[0]["metadata"]


def test_a_pod_that_fails_fails_its_job(space: Space) -> None:
    space.job()
    space.tell(space.running_pod_of(), "Failed")
    failed = eventually(lambda: space.condition("Failed"), "it has failed")
    assert failed["reason"] == "BackoffLimitExceeded"
    status = space.status()
    assert [each["type"] for each in status["conditions"]] == ["FailureTarget", "Failed"]
    assert status["failed"] == 1 and "completionTime" not in status
    assert len(space.pods_of()) == 1


def test_a_job_past_its_deadline_fails_and_its_pod_is_deleted(space: Space) -> None:
    space.job(activeDeadlineSeconds=3600)
    pod = space.running_pod_of()
    space.api.merge(f"{space.jobs}/run", {"spec": {"activeDeadlineSeconds": 1}})
    target = eventually(lambda: space.condition("FailureTarget"), "its time is up")
    assert target["reason"] == "DeadlineExceeded"
    assert not space.condition("Failed")
    assert "deletionTimestamp" in space.pods_of()[0]["metadata"]
    space.remove(pod)
    assert eventually(lambda: space.condition("Failed"), "it has failed")["reason"] == "DeadlineExceeded"
    assert space.pods_of() == []


def test_a_suspended_job_has_no_deadline(space: Space) -> None:
    space.job("other", activeDeadlineSeconds=1)
    space.job(suspend=True, activeDeadlineSeconds=1)
    eventually(lambda: space.condition("Failed", "other"), "the time of the other one is up")
    eventually(lambda: space.condition("Suspended"), "it is said to be suspended")
    assert not space.condition("Failed")


def test_a_pod_that_is_deleted_counts_as_failed(space: Space) -> None:
    space.job()
    pod = space.running_pod_of()
    space.api.delete(f"{space.pods}/{pod['metadata']['name']}")
    assert eventually(lambda: space.condition("FailureTarget"), "it will fail")["reason"] == "BackoffLimitExceeded"
    assert not space.condition("Failed")
    space.remove(pod)
    assert eventually(lambda: space.condition("Failed"), "it has failed")["reason"] == "BackoffLimitExceeded"
    assert space.status()["failed"] == 1


def test_a_job_that_is_suspended_again_gives_up_its_pod(space: Space) -> None:
    space.job()
    pod = space.running_pod_of()
    space.api.merge(f"{space.jobs}/run", {"spec": {"suspend": True}})
    eventually(lambda: space.condition("Suspended"), "it is said to be suspended")
    eventually(lambda: "deletionTimestamp" in space.pods_of()[0]["metadata"], "its pod is being deleted")
    space.remove(pod)
    eventually(lambda: space.status()["terminating"] == 0, "no pod is left")
    assert "failed" not in space.status() and not space.condition("Failed")


def test_a_finished_job_goes_when_its_time_has_come(space: Space) -> None:
    space.job(ttlSecondsAfterFinished=1)
    space.tell(space.running_pod_of(), "Succeeded")
    space.gone(f"{space.jobs}/run")
    eventually(lambda: space.pods_of() == [], "its pods are gone")


def test_a_finished_job_may_be_given_a_time_to_go(space: Space) -> None:
    space.job()
    space.tell(space.running_pod_of(), "Failed")
    eventually(lambda: space.condition("Failed"), "it has failed")
    space.api.merge(f"{space.jobs}/run", {"spec": {"ttlSecondsAfterFinished": 0}})
    space.gone(f"{space.jobs}/run")


IMAGE: Object = {"template": {"spec": {"containers": [{"name": "agent", "image": "other:1"}]}}}


@pytest.mark.parametrize("patch", [IMAGE, {"selector": {"matchLabels": {"a": "b"}}}, {"completions": 2}])
@pytest.mark.parametrize("suspended", [True, False])
def test_what_a_job_runs_is_settled_when_it_is_made(space: Space, patch: Object, suspended: bool) -> None:
    space.job(suspend=suspended)
    status, answer = space.api.request("PATCH", f"{space.jobs}/run", {"spec": patch}, MERGE)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["details"]["kind"] == "Job"


def test_annotations_of_the_pod_may_change_until_the_job_starts(space: Space) -> None:
    patch = {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
    space.job(suspend=True)
    assert space.api.merge(f"{space.jobs}/run", patch)["metadata"]["generation"] == 2
    space.job("started")
    space.pod_of("started")
    assert space.api.request("PATCH", f"{space.jobs}/started", patch, MERGE)[0] == 422


def test_a_status_cannot_be_changed_by_the_way(space: Space) -> None:
    space.job(suspend=True)
    changed = space.api.merge(f"{space.jobs}/run", {"status": {"succeeded": 1}})
    assert "succeeded" not in changed["status"]


@pytest.mark.parametrize(
    "change",
    [
        {"restartPolicy": "Always"},
        {"containers": []},
        {"containers": [{"name": "agent"}]},
        {"containers": [{"name": "Bad_Name", "image": "agent:1"}]},
        {"containers": [{"name": "a", "image": "a:1", "volumeMounts": [{"name": "none", "mountPath": "/a"}]}]},
    ],
)
def test_a_pod_template_must_make_sense(space: Space, change: Object) -> None:
    job = a_job()
    job["spec"]["template"]["spec"] |= change
    assert space.api.request("POST", space.jobs, job)[0] == 422


@pytest.mark.parametrize("spec", [{"suspend": "yes"}, {"backoffLimit": "1"}, {"template": []}])
def test_a_job_must_have_the_right_types(space: Space, spec: Object) -> None:
    assert space.api.request("POST", space.jobs, a_job(**spec))[0] == 400


def test_a_job_has_a_name_that_fits_into_a_label(space: Space) -> None:
    assert space.api.request("POST", space.jobs, a_job("x" * 64))[0] == 422
    assert space.api.request("POST", space.jobs, a_job("x" * 63, suspend=True))[0] == 201
