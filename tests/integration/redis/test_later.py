"""The queue of what is tried later, on a real server and in a process of its own."""

from uuid import uuid4

import pytest
import redis

from shared.redis.connection import Connection
from shared.redis.later import RedisLater
from tests.contract.embedders.openai_server import closed_port

ONE, TWO, THREE = (uuid4() for _ in range(3))


@pytest.fixture
def server(redis_url: str) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(redis_url)
    client.flushall()
    return client


@pytest.fixture(params=["on a server", "while Redis is away", "without Redis"])
def later(request: pytest.FixtureRequest, redis_url: str, server: redis.Redis) -> RedisLater:
    away = f"redis://127.0.0.1:{closed_port()}"
    url = {"on a server": redis_url, "while Redis is away": away}.get(request.param)
    return RedisLater(Connection(url), "model:3")


def test_what_is_added_is_due_in_the_order_in_which_it_came(later: RedisLater) -> None:
    assert later.due(9) == []
    for task in (TWO, ONE, THREE):
        later.add([task])
    assert later.due(9) == [TWO, ONE, THREE]
    assert later.due(2) == [TWO, ONE]


def test_what_is_done_is_gone(later: RedisLater) -> None:
    later.add([ONE, TWO])
    later.done([ONE, THREE])
    assert later.due(9) == [TWO]


def test_what_is_put_off_is_not_due_and_adding_it_again_changes_nothing(later: RedisLater) -> None:
    tasks = [uuid4() for _ in range(200)]
    later.add([*tasks, ONE])
    for _ in range(12):
        later.put_off(tasks)
    later.add(tasks)
    # Each is due at a random moment of the next ten minutes.
    assert len(set(later.due(999)) & set(tasks)) < 20
    assert ONE in later.due(999)
    later.done(tasks)
    later.add(tasks)
    assert len(later.due(999)) == 201


def test_nothing_to_do_is_fine(later: RedisLater) -> None:
    later.add([])
    later.put_off([])
    later.done([])
    assert later.due(9) == []


def test_a_queue_is_every_processs_and_its_own_models(redis_url: str, server: redis.Redis) -> None:
    RedisLater(Connection(redis_url), "model:3").add([ONE])
    assert RedisLater(Connection(redis_url), "model:3").due(9) == [ONE]
    assert RedisLater(Connection(redis_url), "other:3").due(9) == []


def test_a_flushed_queue_is_empty_and_can_be_filled(redis_url: str, server: redis.Redis) -> None:
    later = RedisLater(Connection(redis_url), "model:3")
    later.add([ONE])
    later.put_off([ONE])
    server.flushall()
    assert later.due(9) == []
    later.add([ONE])
    assert later.due(9) == [ONE]


def test_what_is_no_queue_is_treated_as_a_redis_that_is_away(redis_url: str, server: redis.Redis) -> None:
    server.zadd("facteur:later:model:3:due", {"no id": 0})
    later = RedisLater(Connection(redis_url), "model:3")
    assert later.due(9) == []
