"""How a cluster is looked at, by a kubeconfig: on the fake API server and on a real one, if there is one."""

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from shared.domain.cluster import Right, Unlisted
from shared.domain.errors import Rejected, Unavailable
from shared.kubernetes.inspection import Inspection
from shared.local.state import free_port
from tests.cluster.api import Api
from tests.cluster.kubeconfig import kubeconfig
from tests.serving import serving


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    name = f"inspected-{uuid4().hex[:8]}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api.delete(f"/api/v1/namespaces/{name}")


def inspected(api: Api, folder: Path, token: str = "", page: int = 500) -> Inspection:
    token = token or (api.credentials / "token").read_text(encoding="ascii").strip()
    authority = api.credentials / "ca.crt"
    return Inspection(
        kubeconfig(folder / "config", api.url, token, authority if authority.exists() else None), None, page
    )


def test_objects_are_listed_whole_in_however_many_pages(api: Api, namespace: str, tmp_path: Path) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    for number in range(5):
        api.create(path, {"metadata": {"name": f"secret-{number}"}})
    found = inspected(api, tmp_path, page=2).objects(path)
    assert not isinstance(found, Unlisted)
    assert sorted(each["metadata"]["name"] for each in found) == [f"secret-{number}" for number in range(5)]


def test_a_kind_that_is_not_served_is_told_from_one_without_objects(api: Api, namespace: str, tmp_path: Path) -> None:
    looking = inspected(api, tmp_path)
    assert looking.objects(f"/apis/nobody.example/v1/namespaces/{namespace}/things") is Unlisted.NOT_SERVED
    assert looking.objects(f"/apis/batch/v1/namespaces/{namespace}/jobs") == []


def test_the_rights_of_an_account_are_told(api: Api, namespace: str, tmp_path: Path) -> None:
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]
    api.create(f"{roles}/roles", {"metadata": {"name": "jobs"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jobs"}
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": "somebody"}
    api.create(f"{roles}/rolebindings", {"metadata": {"name": "jobs"}, "roleRef": reference, "subjects": [subject]})
    asked = [Right("batch", "jobs", "create", namespace), Right("batch", "jobs", "delete", namespace)]
    answer = inspected(api, tmp_path).allowed(f"{namespace}:somebody", [*asked, Right("batch", "jobs", "create")])
    assert answer == [True, False, False]


def test_a_user_that_is_not_known_is_told_and_a_token_never(api: Api, tmp_path: Path) -> None:
    secret = "a-token-that-must-never-be-told"
    with pytest.raises(Unavailable, match="does not know the user") as error:
        inspected(api, tmp_path, secret).objects("/api/v1/namespaces")
    assert secret not in str(error.value)


def test_the_clock_of_the_server_is_near_ours(api: Api, tmp_path: Path) -> None:
    clock = inspected(api, tmp_path).clock()
    assert clock
    assert abs(clock.ahead) - clock.within <= 1


def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    away = Inspection(kubeconfig(tmp_path / "config", f"http://127.0.0.1:{free_port()}", "a-token"), "test")
    with pytest.raises(Unavailable, match="does not answer"):
        away.objects("/api/v1/namespaces")


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers every request like this, with an object that might be a list."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response_only(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815  # the name that the server looks for

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


@pytest.mark.parametrize("status", [202, 302, 400, 405, 409, 429, 500, 503])
def test_an_answer_that_is_no_success_is_no_empty_list(tmp_path: Path, status: int) -> None:
    with answering(status) as url:
        looking = Inspection(kubeconfig(tmp_path / "config", url, "a-token"), None)
        with pytest.raises(Unavailable):
            looking.objects("/api/v1/namespaces")
        with pytest.raises(Unavailable):
            looking.allowed("a:b", [Right("batch", "jobs", "create")])


@pytest.mark.parametrize(
    ("status", "why"), [(403, Unlisted.FORBIDDEN), (404, Unlisted.NOT_SERVED)], ids=["forbidden", "not-served"]
)
def test_rights_that_may_not_be_asked_for_are_told(tmp_path: Path, status: int, why: Unlisted) -> None:
    with answering(status) as url:
        looking = Inspection(kubeconfig(tmp_path / "config", url, "a-token"), None)
        assert looking.allowed("a:b", [Right("batch", "jobs", "create")]) is why


@pytest.mark.parametrize("content", ["", "{", "a: [", "current-context: 1", "apiVersion: v1\nkind: Config"])
def test_a_kubeconfig_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(Rejected, match="the kubeconfig cannot be used"):
        Inspection(tmp_path / "config", None)


def test_a_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        Inspection(kubeconfig(tmp_path / "config", "http://127.0.0.1:1", "a-token"), "another")
    with pytest.raises(Rejected):
        Inspection(tmp_path / "nothing", None)
