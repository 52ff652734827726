from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.broker.actors import BrokerProcess, Delivery, Reply, Subscriber, Valkey, start_all

Subscribe = Callable[..., Subscriber]
Start = Callable[..., BrokerProcess]


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[Valkey]:
    """One server for all tests; each broker has a prefix of its own."""
    with closing(Valkey()) as server:
        server.start()
        yield server


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that a test may kill."""
    with closing(Valkey()) as server:
        server.start()
        yield server


@pytest.fixture
def subscribe() -> Iterator[Subscribe]:
    """Makes subscribers."""
    with ExitStack() as stack:

        def make(answer: Callable[[Delivery, int], Reply] | None = None) -> Subscriber:
            return stack.enter_context(closing(Subscriber(answer) if answer else Subscriber()))

        yield make


@pytest.fixture
def start(tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe) -> Iterator[Start]:
    """Starts brokers; they are gone before the subscribers are."""
    with ExitStack() as stack:

        def make(*documents: Mapping[str, Any], redis: Valkey = shared_valkey, **ends: Subscriber) -> BrokerProcess:
            process = start_all(tmp_path, redis.url, documents, ends)
            stack.callback(process.kill)
            return process

        yield make
