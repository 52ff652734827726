"""What a process makes of the model in use, and how soon it notices another."""

import logging
import threading

import pytest

from shared.domain.errors import Unavailable
from shared.embeddings.in_use import NOTICED_SECONDS, InUse


class Models:
    """A database that says which model is in use."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.away = False
        self.asked = 0

    def in_use(self, configured: str) -> str:
        self.asked += 1
        if self.away:
            raise Unavailable("the database is away")
        self.model = self.model or configured
        return self.model


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def current(models: Models, clock: Clock, made: list[str]) -> InUse[object]:
    def make(name: str) -> object:
        made.append(name)
        return object()

    return InUse(models.in_use, "configured:3", make, clock)


def test_the_database_is_asked_once_in_five_seconds(models: Models, clock: Clock, current: InUse[object]) -> None:
    first = current()
    clock.now = NOTICED_SECONDS - 0.001
    assert (current(), models.asked) == (first, 1)
    clock.now = NOTICED_SECONDS
    assert (current(), models.asked) == (first, 2)


def test_another_model_is_noticed_and_what_was_made_of_the_one_before_is_kept(
    models: Models, clock: Clock, current: InUse[object], made: list[str]
) -> None:
    first = current()
    seen = []
    for model in ("other:3", "configured:3", "other:3"):
        models.model = model
        clock.now += NOTICED_SECONDS
        seen.append(current())
    assert seen[1] is first
    assert seen[0] is seen[2] is not first
    assert made == ["configured:3", "other:3"]


def test_a_model_that_is_not_the_configured_one_is_told_once_and_what_to_do(
    models: Models, clock: Clock, current: InUse[object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        current()
        assert caplog.records == []
        models.model = "other:3"
        for _ in range(3):
            clock.now += NOTICED_SECONDS
            current()
    (record,) = caplog.records
    assert "facteur memory migrate --to" in record.getMessage()
    assert record.__dict__["facts"] == {"in_use": "other:3", "configured": "configured:3"}


def test_a_database_that_is_away_is_said_and_asked_again(models: Models, clock: Clock, current: InUse[object]) -> None:
    models.away = True
    with pytest.raises(Unavailable):
        current()
    models.away = False
    first = current()
    models.away = True
    assert current() is first
    clock.now = NOTICED_SECONDS
    with pytest.raises(Unavailable):
        current()


def test_many_threads_get_the_same(current: InUse[object], made: list[str]) -> None:
    start = threading.Barrier(8)
    got: list[object] = []

    def ask() -> None:
        start.wait()
        got.append(current())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(set(got)), made) == (8, 1, ["configured:3"])
