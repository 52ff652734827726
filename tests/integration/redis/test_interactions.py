"""Tokens of interactions: kept for as long as they live, by Redis or else by this process, and told to nobody."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis

from shared.domain.card import Opened
from shared.local.state import free_port
from shared.redis.interactions import RedisInteractions
from tests.component.conftest import until
from tests.patience import PatientConnection

TASK = uuid4()
# What time it is does not matter to a token that lives for as long as the test.
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OPENED = Opened("1" * 18, "a-token-that-is-a-secret", "2" * 18, None, "4" * 18, True, NOW)


class Clock:
    """What time it is, as a test has it."""

    def __init__(self) -> None:
        self.time = NOW.timestamp()

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["on a server", "while Redis is away", "without Redis"])
def interactions(
    request: pytest.FixtureRequest, redis_url: str, server: redis.Redis, clock: Clock
) -> RedisInteractions:
    away = f"redis://127.0.0.1:{free_port()}"
    url = {"on a server": redis_url, "while Redis is away": away}.get(request.param)
    return RedisInteractions(PatientConnection(url), clock)


@pytest.mark.parametrize("guild", [None, "3" * 18], ids=["in a direct message", "on a server"])
def test_an_interaction_is_found_by_its_task(interactions: RedisInteractions, guild: str | None) -> None:
    assert interactions.get(TASK) is None
    opened = replace(OPENED, guild_id=guild)
    for _ in range(2):
        interactions.put(TASK, opened)
    assert interactions.get(TASK) == opened
    assert interactions.get(uuid4()) is None


def test_an_interaction_whose_token_has_ended_is_not_kept(interactions: RedisInteractions) -> None:
    interactions.put(TASK, replace(OPENED, created_at=NOW - timedelta(minutes=15)))
    assert interactions.get(TASK) is None


def test_an_interaction_is_forgotten_when_its_token_ends(interactions: RedisInteractions, clock: Clock) -> None:
    interactions.put(TASK, OPENED)
    clock.time += 15 * 60 - 1
    assert interactions.get(TASK)
    clock.time += 1
    assert interactions.get(TASK) is None


def test_redis_forgets_by_itself(redis_url: str, server: redis.Redis, clock: Clock) -> None:
    interactions = RedisInteractions(PatientConnection(redis_url), clock)
    interactions.put(TASK, replace(OPENED, created_at=NOW - timedelta(minutes=10)))
    left = server.pttl(f"facteur:interaction:{TASK}")
    assert 290_000 < left <= 300_000
    interactions.put(TASK, replace(OPENED, created_at=NOW - timedelta(minutes=14, seconds=59)))
    until(lambda: not server.exists(f"facteur:interaction:{TASK}"))


def test_every_process_finds_what_redis_has(redis_url: str, server: redis.Redis, clock: Clock) -> None:
    RedisInteractions(PatientConnection(redis_url), clock).put(TASK, OPENED)
    assert RedisInteractions(PatientConnection(redis_url), clock).get(TASK) == OPENED


def test_what_a_process_keeps_itself_is_bounded_and_the_latest_stay(clock: Clock) -> None:
    interactions = RedisInteractions(PatientConnection(None), clock)
    tasks = [uuid4() for _ in range(1200)]
    for task in tasks:
        interactions.put(task, OPENED)
    assert [interactions.get(task) is not None for task in tasks] == [False] * 200 + [True] * 1000


@pytest.mark.parametrize("raw", [b"no json", b"[]", b"{}", b'{"created_at": "never"}', b'{"created_at": null}', b"7"])
def test_what_is_no_interaction_is_none(redis_url: str, server: redis.Redis, raw: bytes) -> None:
    server.set(f"facteur:interaction:{TASK}", raw)
    assert RedisInteractions(PatientConnection(redis_url)).get(TASK) is None


def test_the_token_is_not_told_by_whoever_prints_the_interaction() -> None:
    assert OPENED.token not in repr(OPENED)
