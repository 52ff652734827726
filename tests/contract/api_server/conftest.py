"""The API servers of the suite: the fake one, and a real one where the environment names it."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cluster.api import Api
from tests.cluster.fake import FakeApiServer
from tests.contract.api_server.space import Space, eventually

SERVERS = ["fake", *(["real"] if "FACTEUR_TEST_API_URL" in os.environ else [])]


@pytest.fixture(scope="session", params=SERVERS)
def api_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Api]]:
    """The name of the implementation, and somebody who may do everything."""
    if request.param == "real":
        credentials = Path(os.environ["FACTEUR_TEST_CREDENTIALS"])
        yield "real", Api(os.environ["FACTEUR_TEST_API_URL"], credentials)
        return
    with FakeApiServer(tmp_path_factory.mktemp("fake-api")) as server:
        yield "fake", Api(server.url, server.credentials)


@pytest.fixture
def space(api_server: tuple[str, Api], tmp_path: Path) -> Iterator[Space]:
    """A fresh namespace, deleted afterwards."""
    name, api = api_server
    space = Space(name, api, f"facteur-test-{uuid4().hex[:10]}", tmp_path)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.namespace}}
    api.create("/api/v1/namespaces", namespace)
    eventually(lambda: api.get(space.path("serviceaccounts", "default")), "the namespace has its account")
    yield space
    for pod in api.list(space.pods):
        space.remove(pod)
    api.delete(f"/api/v1/namespaces/{space.namespace}")
