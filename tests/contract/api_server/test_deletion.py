"""How objects end, and what ends with them."""

import time

import pytest

from tests.cluster.api import ApiError
from tests.contract.api_server.space import Object, Space, eventually


def _owned_by(job: Object, blocking: bool = False) -> list[Object]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    return [owner | ({"blockOwnerDeletion": True} if blocking else {})]


def test_a_deletion_says_what_is_gone(space: Space) -> None:
    made = space.secret()
    answer = space.api.delete(space.path("secrets", "note"))
    details = {"name": "note", "kind": "secrets", "uid": made["metadata"]["uid"]}
    assert answer and (answer["kind"], answer["status"], answer["details"]) == ("Status", "Success", details)
    assert space.api.get(space.path("secrets", "note")) is None
    assert space.api.delete(space.path("secrets", "note")) is None


@pytest.mark.parametrize("plural", ["secrets", "batch/v1/jobs", "argoproj.io/v1alpha1/workflows"])
def test_a_deletion_may_demand_the_uid_it_means(space: Space, plural: str) -> None:
    name = {"secrets": space.secret, "batch/v1/jobs": space.job}.get(plural, space.workflow)()["metadata"]["name"]
    with pytest.raises(ApiError) as refused:
        space.api.delete(space.path(plural, name), {"preconditions": {"uid": "other"}})
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    found = space.api.get(space.path(plural, name))
    assert found and "deletionTimestamp" not in found["metadata"]
    space.api.delete(space.path(plural, name), {"preconditions": {"uid": found["metadata"]["uid"]}})


def test_a_policy_must_be_known(space: Space) -> None:
    space.secret()
    assert space.api.request("DELETE", space.path("secrets", "note"), {"propagationPolicy": "Never"})[0] == 422


def test_a_finalizer_holds_what_is_deleted(space: Space) -> None:
    space.config_map("held", finalizers=["facteur.test/hold"])
    path = space.path("configmaps", "held")
    space.api.delete(path)
    held = space.api.get(path)
    assert held and held["metadata"]["deletionTimestamp"]
    assert space.api.request("POST", space.path("configmaps"), {"metadata": {"name": "held"}})[0] == 409
    with pytest.raises(ApiError) as refused:
        space.api.merge(path, {"metadata": {"finalizers": ["facteur.test/hold", "facteur.test/more"]}})
    assert refused.value.status == 422
    space.api.merge(path, {"metadata": {"finalizers": None}})
    assert space.api.get(path) is None


def test_what_a_job_owns_goes_with_it(space: Space) -> None:
    job = space.job(suspend=True)
    space.secret(metadata={"ownerReferences": _owned_by(job)})
    space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Background"})
    assert space.api.get(f"{space.jobs}/run") is None
    space.gone(space.path("secrets", "note"))


def test_what_an_owner_left_long_ago_goes_too(space: Space) -> None:
    job = space.job(suspend=True)
    space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Background"})
    space.secret(metadata={"ownerReferences": _owned_by(job)})
    space.gone(space.path("secrets", "note"))


def test_an_owner_is_the_object_and_not_its_name(space: Space) -> None:
    old = space.job(suspend=True)
    space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Background"})
    new = space.job(suspend=True)
    space.secret("of-old", metadata={"ownerReferences": _owned_by(old)})
    space.secret("of-new", metadata={"ownerReferences": _owned_by(new)})
    space.gone(space.path("secrets", "of-old"))
    assert space.api.get(space.path("secrets", "of-new"))


def test_what_has_another_owner_stays(space: Space) -> None:
    job, other = space.job(suspend=True), space.job("other", suspend=True)
    space.secret(metadata={"ownerReferences": _owned_by(job) + _owned_by(other)})
    space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Background"})

    def owners() -> list[str]:
        found = space.api.get(space.path("secrets", "note"))
        assert found
        return [owner["name"] for owner in found["metadata"]["ownerReferences"]]

    eventually(lambda: owners() == ["other"], "the owner that is gone is forgotten")


def test_a_job_that_is_deleted_in_the_foreground_outlives_its_pods(space: Space) -> None:
    space.job()
    pod = space.running_pod_of()
    answer = space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Foreground"})
    assert answer and answer["kind"] == "Job" and answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    path = f"{space.pods}/{pod['metadata']['name']}"

    def deleting() -> bool:
        found = space.api.get(path)
        return found is not None and "deletionTimestamp" in found["metadata"]

    eventually(deleting, "its pod is being deleted")
    assert space.api.get(f"{space.jobs}/run")
    space.remove(pod)
    space.gone(f"{space.jobs}/run")
    assert space.api.get(path) is None


def test_a_job_that_is_deleted_in_the_background_is_gone_before_its_pods(space: Space) -> None:
    space.job()
    pod = space.running_pod_of()
    answer = space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Background"})
    assert answer and answer["kind"] == "Status"
    assert space.api.get(f"{space.jobs}/run") is None
    path = f"{space.pods}/{pod['metadata']['name']}"
    eventually(lambda: (space.api.get(path) or pod)["metadata"].get("deletionTimestamp"), "its pod is being deleted")
    space.remove(pod)
    space.gone(path)


def test_a_job_without_a_policy_leaves_its_pods_behind(space: Space) -> None:
    space.job()
    pod = space.running_pod_of()
    space.api.delete(f"{space.jobs}/run")
    space.gone(f"{space.jobs}/run")
    path = f"{space.pods}/{pod['metadata']['name']}"
    eventually(lambda: "ownerReferences" not in (space.api.get(path) or {})["metadata"], "its pod is nobody's")
    found = space.api.get(path)
    assert found and "deletionTimestamp" not in found["metadata"]


def test_a_pod_on_a_node_waits_for_its_kubelet(space: Space) -> None:
    space.job()
    pod = space.running_pod_of()
    path = f"{space.pods}/{pod['metadata']['name']}"
    answer = space.api.delete(path, {"gracePeriodSeconds": 7})
    assert answer and answer["metadata"]["deletionGracePeriodSeconds"] == 7
    space.remove(pod)
    space.gone(path)


def test_a_namespace_takes_everything_along(space: Space) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{space.namespace}-2"}}
    space.api.create("/api/v1/namespaces", namespace)
    path = f"/api/v1/namespaces/{space.namespace}-2"
    space.api.create(f"{path}/secrets", {"metadata": {"name": "note", "finalizers": ["facteur.test/hold"]}})
    space.api.delete(path)
    found = space.api.get(path)
    assert found and found["status"]["phase"] == "Terminating"
    time.sleep(0.1)
    status, answer = space.api.request("POST", f"{path}/secrets", {"metadata": {"name": "late"}})
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    eventually(
        lambda: "deletionTimestamp" in (space.api.get(f"{path}/secrets/note") or {})["metadata"], "it is emptied"
    )
    space.api.merge(f"{path}/secrets/note", {"metadata": {"finalizers": None}})
    space.gone(path, seconds=90)
