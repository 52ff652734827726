"""The pace of an API on a real server: every process keeps the pauses that one has heard of."""

import time
from collections.abc import Callable

import pytest
import redis

from shared.local.state import free_port
from shared.redis.connection import Connection
from shared.redis.pace import RedisPace
from tests.patience import PatientConnection


@pytest.fixture
def process(redis_url: str, server: redis.Redis) -> Callable[[], RedisPace]:
    """One more process."""
    return lambda: RedisPace(PatientConnection(redis_url), "model:3")


def test_an_api_that_has_not_failed_may_be_asked_by_all_at_once(process: Callable[[], RedisPace]) -> None:
    assert [process().enter() for _ in range(5)] == [0.0] * 5


def test_a_pause_is_everybodys_and_lasts_as_long_as_was_asked_and_some_jitter_more(
    process: Callable[[], RedisPace],
) -> None:
    began = time.monotonic()
    process().failed(60)
    waits = [process().enter() for _ in range(3)]
    assert all(left(60, began) <= wait <= 61 for wait in waits)
    assert process().pause() >= left(60, began)


def left(seconds: float, began: float) -> float:
    """How much is left at least of a pause of so many seconds that began then; Redis counts in milliseconds."""
    return seconds - (time.monotonic() - began) - 0.01


def test_a_shorter_pause_does_not_end_a_longer_one(process: Callable[[], RedisPace]) -> None:
    process().failed(600)
    process().failed(1)
    assert process().pause() > 500


def test_the_back_off_doubles_is_random_and_ends_at_a_minute(process: Callable[[], RedisPace]) -> None:
    first = {round(alone_after(1), 3) for _ in range(20)}
    assert len(first) > 10
    assert max(first) <= 1
    assert max(alone_after(5) for _ in range(30)) > 2
    assert max(alone_after(30) for _ in range(10)) <= 60.1


def alone_after(failures: int) -> float:
    """The pause that the last of some failures in a row adds, in a process without Redis."""
    pace = RedisPace(Connection(None), "model:3")
    pace._failed = failures - 1
    pace.failed(0)
    return pace.pause()


def test_after_a_pause_one_tries_while_the_others_wait(process: Callable[[], RedisPace], server: redis.Redis) -> None:
    process().failed(60)
    server.delete("facteur:pace:model:3:pause")  # it is over
    one, other = process(), process()
    assert (one.pause(), other.pause()) == (0.0, 0.0)
    assert one.enter() == 0.0
    assert 0 < other.enter() <= 30
    one.succeeded()
    assert (one.enter(), other.enter()) == (0.0, 0.0)


def test_a_probe_that_fails_opens_the_breaker_for_longer(process: Callable[[], RedisPace], server: redis.Redis) -> None:
    process().failed(60)
    server.delete("facteur:pace:model:3:pause")
    one = process()
    assert one.enter() == 0.0
    began = time.monotonic()
    one.failed(60)
    assert process().enter() >= left(60, began)
    assert server.get("facteur:pace:model:3:failures") == b"2"


def test_a_process_whose_redis_is_flushed_keeps_the_pauses_that_it_has_seen(
    process: Callable[[], RedisPace], server: redis.Redis
) -> None:
    pace, began = process(), time.monotonic()
    pace.failed(60)
    server.flushall()
    assert pace.enter() >= left(60, began)


def test_without_redis_a_process_keeps_its_own_pauses() -> None:
    pace = RedisPace(Connection(f"redis://127.0.0.1:{free_port()}"), "model:3")
    assert pace.enter() == 0.0
    began = time.monotonic()
    pace.failed(60)
    assert pace.enter() >= left(60, began)


def test_models_have_paces_of_their_own(process: Callable[[], RedisPace], redis_url: str) -> None:
    process().failed(60)
    assert RedisPace(PatientConnection(redis_url), "other:3").enter() == 0.0
