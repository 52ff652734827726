"""What the fake API server can do beyond the real one: stop, forget tokens, and break off lists."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from shared.local.state import free_port
from tests.cluster.api import Api
from tests.cluster.fake import FakeApiServer


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApiServer]:
    # A port that nobody else takes while the server is stopped.
    with FakeApiServer(tmp_path / "credentials", free_port()) as server:
        yield server


@pytest.fixture
def api(fake: FakeApiServer) -> Api:
    return Api(fake.url, fake.credentials)


def _secret(api: Api, name: str) -> None:
    api.create("/api/v1/namespaces/default/secrets", {"metadata": {"name": name}})


def test_it_keeps_port_and_objects_over_a_restart(fake: FakeApiServer, api: Api) -> None:
    _secret(api, "note")
    url = fake.url
    fake.stop()
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.get("/version")
    fake.start()
    assert fake.url == url
    assert api.get("/api/v1/namespaces/default/secrets/note")


def test_it_counts_what_it_is_asked(fake: FakeApiServer, api: Api) -> None:
    _secret(api, "note")
    api.list("/api/v1/namespaces/default/secrets")
    api.get("/api/v1/namespaces/default/secrets/none")
    assert (fake.asked["create secrets"], fake.asked["list secrets"], fake.asked["get secrets"]) == (1, 1, 1)


def test_a_token_can_be_revoked(fake: FakeApiServer, api: Api) -> None:
    fake.revoke((fake.credentials / "token").read_text())
    assert api.request("GET", "/api/v1/namespaces/default/secrets")[0] == 401


def test_a_list_can_be_broken_off(fake: FakeApiServer, api: Api) -> None:
    for name in ("a", "b"):
        _secret(api, name)
    path = "/api/v1/namespaces/default/secrets"
    _, page = api.request("GET", path, query={"limit": "1"})
    fake.expire_pages()
    query = {"limit": "1", "continue": page["metadata"]["continue"]}
    status, answer = api.request("GET", path, query=query)
    assert (status, answer["reason"]) == (410, "Expired")


def test_what_it_does_not_play_is_refused_and_not_ignored(api: Api) -> None:
    path = "/api/v1/namespaces/default/secrets"
    assert api.request("GET", path, query={"watch": "true"})[0] == 400
    assert api.request("POST", path, {"metadata": {"name": "a"}}, query={"dryRun": "All"})[0] == 400
    assert api.get(f"{path}/a") is None
