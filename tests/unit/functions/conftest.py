"""Stores in memory, and everything that the use cases say."""

import pytest

from shared.events.event import Event
from tests.contract.stores.conftest import Stores, fakes


class Said(list[Event]):
    """What was announced."""

    def __call__(self, *events: Event) -> None:
        self.extend(events)

    @property
    def types(self) -> list[str]:
        return [event.type.removeprefix("ai.proompteng.codex.") for event in self]


@pytest.fixture
def stores() -> Stores:
    return fakes()


@pytest.fixture
def said() -> Said:
    return Said()
