"""Whose token it is, and what may be done with it."""

import pytest

from tests.cluster.api import Api, ApiError
from tests.contract.api_server.space import Space, a_job, eventually

RUNS = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}
ONE_SECRET = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]}


def _eventually_may(api: Api, path: str) -> None:
    # Roles are heard of a moment later.
    eventually(lambda: api.request("GET", path)[0] != 403, "the role is in force")


def test_an_unknown_token_is_nobody(space: Space) -> None:
    status, answer = space.with_token("nonsense").request("GET", space.jobs)
    assert (status, answer["reason"], answer["message"]) == (401, "Unauthorized", "Unauthorized")


def test_without_a_token_nothing_may_be_read(space: Space) -> None:
    assert space.with_token(None).request("GET", space.jobs)[0] in (401, 403)


def test_a_role_allows_what_it_names_and_nothing_else(space: Space) -> None:
    member = space.member(RUNS, ONE_SECRET)
    _eventually_may(member, space.jobs)
    member.create(space.jobs, a_job(suspend=True))
    assert [job["metadata"]["name"] for job in member.list(space.jobs)] == ["run"]
    for method, path in (("DELETE", f"{space.jobs}/run"), ("GET", space.pods), ("GET", "/api/v1/namespaces")):
        assert member.request(method, path)[0] == 403
    assert member.request("GET", space.path("secrets", "one"))[0] == 404
    assert member.request("GET", space.path("secrets", "two"))[0] == 403


@pytest.mark.parametrize(
    ("method", "path", "called", "what"),
    [
        ("POST", "/apis/batch/v1/{}/jobs", "jobs.batch", 'create resource "jobs" in API group "batch"'),
        ("GET", "/api/v1/{}/secrets/note", 'secrets "note"', 'get resource "secrets" in API group ""'),
        ("GET", "/api/v1/{}/secrets", "secrets", 'list resource "secrets" in API group ""'),
        ("DELETE", "/apis/batch/v1/{}/jobs/run", 'jobs.batch "run"', 'delete resource "jobs" in API group "batch"'),
        ("PATCH", "/api/v1/{}/pods/a/status", 'pods "a"', 'patch resource "pods/status" in API group ""'),
    ],
)
def test_a_refusal_says_who_may_not_do_what(space: Space, method: str, path: str, called: str, what: str) -> None:
    status, answer = space.member().request(method, path.format(f"namespaces/{space.namespace}"), {})
    user = f"system:serviceaccount:{space.namespace}:runner"
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert (
        answer["message"] == f'{called} is forbidden: User "{user}" cannot {what} in the namespace "{space.namespace}"'
    )


def test_a_role_of_the_cluster_allows_in_every_namespace(space: Space) -> None:
    root, group = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    member = space.member()
    body = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": space.namespace}, "rules": [RUNS]}
    space.api.create(f"{root}/clusterroles", body)
    subject = {"kind": "ServiceAccount", "name": "runner", "namespace": space.namespace}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": space.namespace}
    body = {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": space.namespace}}
    space.api.create(f"{root}/clusterrolebindings", body | {"roleRef": reference, "subjects": [subject]})
    try:
        _eventually_may(member, "/apis/batch/v1/namespaces/default/jobs")
        _eventually_may(member, "/apis/batch/v1/jobs")
    finally:
        space.api.delete(f"{root}/clusterrolebindings/{space.namespace}")
        space.api.delete(f"{root}/clusterroles/{space.namespace}")


def test_whoever_has_a_token_may_look_around(space: Space) -> None:
    member = space.member()
    for path in ("/version", "/api", "/api/v1", "/apis", "/apis/batch/v1", "/apis/argoproj.io/v1alpha1"):
        assert member.request("GET", path)[0] == 200


def test_a_token_has_an_end(space: Space) -> None:
    space.member()
    with pytest.raises(ApiError) as refused:
        space.token("runner", seconds=10)
    assert refused.value.status == 422
    body = {"spec": {"expirationSeconds": 600}}
    made = space.api.create(f"{space.path('serviceaccounts', 'runner')}/token", body)
    assert made["status"]["expirationTimestamp"] > made["metadata"]["creationTimestamp"]


def test_a_token_is_void_once_its_account_is_gone(space: Space) -> None:
    member = space.member(RUNS)
    _eventually_may(member, space.jobs)
    space.api.delete(space.path("serviceaccounts", "runner"))
    eventually(lambda: member.request("GET", space.jobs)[0] == 401, "the token is void")


def test_somebody_can_be_asked_whose_token_it_is(space: Space) -> None:
    space.member()
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": space.token("runner")}}
    status = space.api.create("/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]
    assert status["authenticated"]
    assert status["user"]["username"] == f"system:serviceaccount:{space.namespace}:runner"
    body["spec"] = {"token": "nonsense"}
    assert not space.api.create("/apis/authentication.k8s.io/v1/tokenreviews", body)["status"].get("authenticated")


def test_somebody_can_ask_what_they_may(space: Space) -> None:
    member = space.member(RUNS)
    _eventually_may(member, space.jobs)

    def may(verb: str) -> bool:
        asked = {"namespace": space.namespace, "verb": verb, "group": "batch", "resource": "jobs"}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = member.create(path, body | {"spec": {"resourceAttributes": asked}})
        return bool(answer["status"]["allowed"])

    assert may("create") and not may("delete")
