"""Creating, reading and changing objects."""

import base64

import pytest

from tests.cluster.api import ApiError
from tests.contract.api_server.space import MERGE, Object, Space, a_job


def test_what_is_created_has_a_uid_a_version_and_a_time(space: Space) -> None:
    made = space.secret()
    assert made["metadata"]["uid"] and made["metadata"]["resourceVersion"] and made["metadata"]["creationTimestamp"]
    assert made["type"] == "Opaque"
    assert base64.b64decode(made["data"]["PROMPT"]) == b"do it"
    assert "stringData" not in made
    assert space.api.get(space.path("secrets", "note")) == made


def test_a_name_is_taken_once(space: Space) -> None:
    space.secret()
    status, answer = space.api.request("POST", space.path("secrets"), {"metadata": {"name": "note"}})
    assert (status, answer["reason"]) == (409, "AlreadyExists")
    assert answer["kind"] == "Status" and answer["details"] == {"name": "note", "kind": "secrets"}
    assert answer["message"] == 'secrets "note" already exists'


def test_a_job_that_exists_is_told_with_its_group(space: Space) -> None:
    space.job(suspend=True)
    status, answer = space.api.request("POST", space.jobs, a_job())
    assert (status, answer["reason"]) == (409, "AlreadyExists")
    assert answer["details"] == {"name": "run", "group": "batch", "kind": "jobs"}


def test_what_is_not_there_is_not_found(space: Space) -> None:
    status, answer = space.api.request("GET", f"{space.jobs}/none")
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["details"] == {"name": "none", "group": "batch", "kind": "jobs"}
    assert space.api.request("DELETE", f"{space.jobs}/none")[0] == 404
    assert space.api.request("PATCH", f"{space.jobs}/none", {}, MERGE)[0] == 404


def test_an_unknown_kind_is_not_found(space: Space) -> None:
    assert space.api.request("GET", space.path("batch/v1/nonsense"))[0] == 404
    assert space.api.request("GET", space.path("nonsense.example/v1/things"))[0] == 404
    assert space.api.request("GET", space.path("argoproj.io/v1alpha1/nonsense"))[0] == 404


def test_a_namespace_must_exist(space: Space) -> None:
    status, answer = space.api.request("POST", "/api/v1/namespaces/no-such/secrets", {"metadata": {"name": "note"}})
    assert (status, answer["reason"]) == (404, "NotFound")
    assert answer["details"] == {"name": "no-such", "kind": "namespaces"}


@pytest.mark.parametrize("name", ["Upper", "under_score", "-first", "last-", "a" * 254, "sp ace", "é"])
def test_a_name_is_a_dns_name(space: Space, name: str) -> None:
    status, answer = space.api.request("POST", space.path("secrets"), {"metadata": {"name": name}})
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["details"]["causes"][0]["field"] == "metadata.name"


def test_a_name_is_needed(space: Space) -> None:
    assert space.api.request("POST", space.path("secrets"), {"metadata": {}})[0] == 422
    made = space.api.create(space.path("secrets"), {"metadata": {"generateName": "note-"}})
    assert made["metadata"]["name"].startswith("note-") and len(made["metadata"]["name"]) == 10


@pytest.mark.parametrize("labels", [{"a": "x" * 64}, {"a": "b c"}, {"b c": "a"}, {"a/b/c": "d"}, {"": "a"}])
def test_labels_are_short_words(space: Space, labels: dict[str, str]) -> None:
    body: Object = {"metadata": {"name": "note", "labels": labels}}
    assert space.api.request("POST", space.path("secrets"), body)[0] == 422


def test_a_body_must_be_of_its_kind(space: Space) -> None:
    path = space.path("secrets")
    assert (
        space.api.request("POST", path, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}})[0] == 400
    )
    assert space.api.request("POST", path, ["no", "object"])[0] == 400
    assert space.api.request("POST", path, {"metadata": {"name": "a"}, "data": {"A": "no base64!"}})[0] == 400
    assert space.api.request("POST", path, {"metadata": {"name": "a"}, "stringData": {"A": 1}})[0] == 400
    assert space.api.request("POST", path, {"metadata": {"name": "a", "namespace": "default"}})[0] == 400
    assert space.api.request("POST", path, {"metadata": {"name": "a"}}, "text/plain")[0] == 415


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"metadata": {"name": "note"}', b"\xff\xfe"])
def test_a_body_must_be_json(space: Space, raw: bytes) -> None:
    assert space.send(space.path("secrets"), raw) == 400


def test_what_is_too_large_is_refused(space: Space) -> None:
    for size, status in ((1_100_000, 422), (3_300_000, 413)):
        body: Object = {"metadata": {"name": "note"}, "stringData": {"A": "x" * size}}
        assert space.api.request("POST", space.path("secrets"), body)[0] == status
    body = {"metadata": {"name": "note", "annotations": {"a": "x" * 300_000}}}
    assert space.api.request("POST", space.path("secrets"), body)[0] == 422


def test_a_merge_patch_changes_what_it_names_and_takes_nulls_away(space: Space) -> None:
    made = space.secret(metadata={"labels": {"a": "1", "b": "2"}})
    changed = space.api.merge(space.path("secrets", "note"), {"metadata": {"labels": {"a": None, "c": "3"}}})
    assert changed["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert changed["data"] == made["data"]
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_a_patch_that_changes_nothing_is_no_new_version(space: Space) -> None:
    made = space.secret(metadata={"labels": {"a": "1"}})
    assert space.api.merge(space.path("secrets", "note"), {"metadata": {"labels": {"a": "1"}}}) == made


def test_a_patch_may_demand_the_version_it_has_seen(space: Space) -> None:
    made, path = space.secret(), space.path("secrets", "note")
    seen = {"resourceVersion": made["metadata"]["resourceVersion"]}
    space.api.merge(path, {"metadata": {**seen, "labels": {"a": "1"}}})
    with pytest.raises(ApiError) as refused:
        space.api.merge(path, {"metadata": {**seen, "labels": {"a": "2"}}})
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")


def test_a_patch_for_another_uid_is_invalid_and_changes_nothing(space: Space) -> None:
    made, path = space.secret(), space.path("secrets", "note")
    space.api.merge(path, {"metadata": {"uid": made["metadata"]["uid"], "labels": {"a": "1"}}})
    status, answer = space.api.request("PATCH", path, {"metadata": {"uid": "other", "labels": {"a": "2"}}}, MERGE)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert {cause["field"] for cause in answer["details"]["causes"]} == {"metadata.uid"}
    found = space.api.get(path)
    assert found and found["metadata"]["labels"] == {"a": "1"}


def test_a_patch_must_be_an_object(space: Space) -> None:
    space.secret()
    assert space.api.request("PATCH", space.path("secrets", "note"), ["a"], MERGE)[0] == 400
    assert space.api.request("PATCH", space.path("secrets", "note"), {}, "application/json")[0] == 415


def test_a_put_replaces_the_version_that_was_seen(space: Space) -> None:
    made, path = space.secret(), space.path("secrets", "note")
    changed = {**made, "metadata": {**made["metadata"], "labels": {"a": "1"}}}
    assert space.api.request("PUT", path, changed)[0] == 200
    assert space.api.request("PUT", path, changed)[0] == 409
    other = {**made, "metadata": {"name": "note", "uid": "other"}}
    assert space.api.request("PUT", path, other)[0] == 409
    assert space.api.request("PUT", path, {"metadata": {"name": "else"}})[0] == 400
    assert space.api.request("PUT", space.path("secrets", "none"), {"metadata": {"name": "none"}})[0] == 404


@pytest.mark.parametrize("patch", [{"data": {"PROMPT": "eA=="}}, {"stringData": {"MORE": "x"}}, {"immutable": False}])
def test_an_immutable_secret_keeps_its_data(space: Space, patch: dict[str, object]) -> None:
    space.secret(immutable=True)
    status, answer = space.api.request("PATCH", space.path("secrets", "note"), patch, MERGE)
    assert (status, answer["reason"]) == (422, "Invalid")
    found = space.api.get(space.path("secrets", "note"))
    assert found and base64.b64decode(found["data"]["PROMPT"]) == b"do it"


def test_an_immutable_secret_may_get_an_owner(space: Space) -> None:
    space.secret(immutable=True)
    job = space.job(suspend=True)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "run", "uid": job["metadata"]["uid"]}
    owned = space.api.merge(space.path("secrets", "note"), {"metadata": {"ownerReferences": [owner]}})
    assert owned["metadata"]["ownerReferences"] == [owner]
    nobody = {"metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "run"}]}}
    assert space.api.request("PATCH", space.path("secrets", "note"), nobody, MERGE)[0] == 422


def test_a_workflow_is_kept_as_it_is_and_has_no_status_subresource(space: Space) -> None:
    made = space.workflow(suspend=True, whatever={"is": ["inside"]})
    assert made["spec"] == {"suspend": True, "whatever": {"is": ["inside"]}}
    changed = space.api.merge(f"{space.workflows}/flow", {"status": {"phase": "Running"}})
    assert changed["status"] == {"phase": "Running"}
    assert changed["metadata"]["generation"] == 2
    assert space.api.request("PATCH", f"{space.workflows}/flow/status", {"status": {}}, MERGE)[0] == 404
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "flow-2"}}
    assert space.api.request("POST", space.workflows, body)[0] == 422
    assert space.api.request("POST", space.workflows, {"metadata": {"name": "flow-3"}, "spec": {}})[0] == 400


def test_a_deployment_can_be_read_for_a_snapshot(space: Space) -> None:
    pod = {"containers": [{"name": "web", "image": "web:1"}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    space.api.create(space.path("apps/v1/deployments"), body)
    found = space.api.get(space.path("apps/v1/deployments", "web"))
    assert found and found["kind"] == "Deployment" and found["spec"]["replicas"] == 1
    assert found["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
