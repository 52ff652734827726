"""Nobody asks more of the API server than they may, and nobody waits for long."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.errors import Unavailable
from shared.kubernetes.limiter import LONGEST_PAUSE, Limiter


def seconds(limiter: Limiter, calls: int) -> float:
    started = time.monotonic()
    for _ in range(calls):
        limiter.wait()
    return time.monotonic() - started


def test_a_burst_waits_for_nothing_and_what_follows_is_spread() -> None:
    limiter = Limiter(qps=20, burst=10)
    assert seconds(limiter, 10) < 0.3
    assert seconds(limiter, 10) > 0.2  # 0.5 less what passed before


def test_what_was_not_used_is_kept_up_to_a_burst() -> None:
    limiter = Limiter(qps=50, burst=5)
    limiter.wait()
    time.sleep(0.3)
    assert seconds(limiter, 5) < 0.2
    assert seconds(limiter, 5) > 0.05  # not the fifteen that 0.3 s would bring


def test_many_threads_share_one_allowance() -> None:
    limiter = Limiter(qps=40, burst=10)
    started = time.monotonic()
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda _: limiter.wait(), range(30)))
    assert 0.4 < time.monotonic() - started < 5


def test_who_would_wait_too_long_is_told_so_at_once() -> None:
    limiter = Limiter(qps=0.1, burst=1)
    limiter.wait()
    started = time.monotonic()
    with pytest.raises(Unavailable, match="FACTEUR_KUBERNETES_QPS") as refused:
        limiter.wait()
    assert time.monotonic() - started < LONGEST_PAUSE / 2
    assert refused.value.retry_after == 2


def test_who_is_refused_takes_nothing_from_the_others() -> None:
    limiter = Limiter(qps=0.45, burst=1)  # one call every 2.2 s
    limiter.wait()
    for _ in range(50):
        with pytest.raises(Unavailable):
            limiter.wait()
    time.sleep(0.5)
    limiter.wait()
