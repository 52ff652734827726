"""Nobody asks more of the API server than they may, and nobody waits for long."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.errors import Unavailable
from shared.kubernetes import limiter as module
from shared.kubernetes.limiter import Limiter


class Clock:
    """A time that passes where somebody sleeps, and nowhere else."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Standing(Clock):
    """A time that never passes; it keeps for how long somebody would have slept."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def seconds(clock: Clock, limiter: Limiter, calls: int) -> float:
    started = clock.now
    for _ in range(calls):
        limiter.wait()
    return clock.now - started


def test_a_burst_waits_for_nothing_and_what_follows_is_spread(clock: Clock) -> None:
    limiter = Limiter(qps=20, burst=10)
    assert seconds(clock, limiter, 10) == 0
    assert seconds(clock, limiter, 10) == pytest.approx(0.5)


def test_what_was_not_used_is_kept_up_to_a_burst(clock: Clock) -> None:
    limiter = Limiter(qps=50, burst=5)
    limiter.wait()
    clock.sleep(0.3)  # would bring fifteen
    assert seconds(clock, limiter, 5) == 0
    assert seconds(clock, limiter, 5) == pytest.approx(0.1)


def test_many_threads_share_one_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = Standing()
    monkeypatch.setattr(module, "time", standing)
    limiter = Limiter(qps=40, burst=10)
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda _: limiter.wait(), range(30)))
    # In whatever order they come: ten wait for nothing, and each of the others for a turn of its own.
    assert sorted(standing.pauses) == pytest.approx([number / 40 for number in range(1, 21)])


def test_who_would_wait_too_long_is_told_so_at_once(clock: Clock) -> None:
    limiter = Limiter(qps=0.1, burst=1)
    limiter.wait()
    with pytest.raises(Unavailable, match="FACTEUR_KUBERNETES_QPS") as refused:
        limiter.wait()
    assert clock.now == 0
    assert refused.value.retry_after == 2


def test_who_is_refused_takes_nothing_from_the_others(clock: Clock) -> None:
    limiter = Limiter(qps=0.45, burst=1)  # one call every 2.2 s
    limiter.wait()
    for _ in range(50):
        with pytest.raises(Unavailable):
            limiter.wait()
    clock.sleep(0.5)
    assert seconds(clock, limiter, 1) == pytest.approx(1 / 0.45 - 0.5)
