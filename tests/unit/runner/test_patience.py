"""Waiting grows, obeys, and ends."""

import pytest

from shared.runner import patience
from shared.runner.errors import Away
from shared.runner.patience import Backoff, persist


def test_pauses_grow_to_a_cap_and_start_again_after_success() -> None:
    backoff = Backoff()
    pauses = [backoff.pause(Away("")) for _ in range(12)]
    assert all(0.1 * 2**number <= pause <= 0.2 * 2**number for number, pause in enumerate(pauses[:5]))
    assert max(pauses) <= 10
    backoff.reset()
    assert backoff.pause(Away("")) <= 0.2


def test_what_the_other_side_asks_for_is_obeyed_within_reason() -> None:
    assert [Backoff().pause(Away("", seconds)) for seconds in (0.0, 7.0, 86_400.0)] == [0.0, 7.0, 300.0]


class Clock:
    """A time that passes where somebody sleeps, and nowhere else."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def test_work_is_tried_until_it_succeeds(clock: Clock) -> None:
    tries = iter([Away("first", 0.0), Away("second", 0.0), None])

    def work() -> str:
        if fault := next(tries):
            raise fault
        return "done"

    assert persist(work, clock.now + 5) == "done"


def test_the_last_try_is_at_the_end_of_the_patience(clock: Clock) -> None:
    began = clock.now
    tried: list[float] = []

    def work() -> None:
        tried.append(clock.now - began)
        raise Away("away", 60.0)

    with pytest.raises(Away, match=r"^away$"):
        persist(work, began + 0.1)
    assert len(tried) == 2
    assert 0.1 <= tried[-1] < 2


def test_patience_that_is_over_allows_one_try(clock: Clock) -> None:
    assert persist(lambda: "done", clock.now - 100) == "done"
