"""Both embedders, and a server for the one that needs one."""

from collections.abc import Iterator

import pytest

from shared.embeddings import Embedder
from shared.embeddings.offline import OfflineEmbedder
from shared.embeddings.openai import OpenAIEmbedder
from tests.contract.embedders.openai_server import KEY, OpenAIServer, openai_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai_server() as running:
        yield running


@pytest.fixture
def client(server: OpenAIServer) -> Iterator[OpenAIEmbedder]:
    embedder = OpenAIEmbedder(KEY, server.base_url, "text-embedding-3-large", 48, timeout=60.0)
    yield embedder
    embedder.close()


@pytest.fixture(params=["offline", "openai"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "offline":
        return OfflineEmbedder()
    client: OpenAIEmbedder = request.getfixturevalue("client")
    return client
