import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.contract.broker.brokers import Broker, KnativeBroker, LocalBroker, Namespace
from tests.integration.broker.actors import Valkey

BROKERS = ["local", *(["knative"] if "FACTEUR_TEST_KNATIVE_KUBECONFIG" in os.environ else [])]


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One server for all tests; each broker has a prefix of its own."""
    with closing(Valkey()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Brokers are gone before their subscribers are."""
    with ExitStack() as undo:
        if request.param == "knative":
            yield KnativeBroker(request.getfixturevalue("namespace"), undo)
        else:
            yield LocalBroker(tmp_path, request.getfixturevalue("valkey").url, undo)
