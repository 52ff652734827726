"""The queue of what is tried later, on a real server and in a process of its own."""

from contextlib import suppress
from uuid import uuid4

import pytest
import redis

from shared.local.state import free_port
from shared.redis.later import RedisLater
from tests.patience import PatientConnection

ONE, TWO, THREE = (uuid4() for _ in range(3))


@pytest.fixture(params=["on a server", "while Redis is away", "without Redis"])
def later(request: pytest.FixtureRequest, redis_url: str, server: redis.Redis) -> RedisLater:
    away = f"redis://127.0.0.1:{free_port()}"
    url = {"on a server": redis_url, "while Redis is away": away}.get(request.param)
    return RedisLater(PatientConnection(url), "model:3")


def test_what_is_added_is_due_in_the_order_in_which_it_came(later: RedisLater) -> None:
    assert later.take(9) == []
    for task in (TWO, ONE, THREE):
        later.add([task])
    assert later.take(2) == [TWO, ONE]
    assert later.take(9) == [THREE]


def test_what_is_taken_nobody_else_has_until_it_is_given_back(later: RedisLater) -> None:
    later.add([ONE])
    later.add([TWO])
    assert later.take(1) == [ONE]
    later.add([ONE])
    assert later.take(9) == [TWO]
    assert later.take(9) == []
    later.give_back([ONE, THREE])
    assert later.take(9) == [ONE]


def test_one_caller_at_a_time_is_alone(later: RedisLater) -> None:
    with later.alone() as first, later.alone() as second:
        assert (first, second) == (True, False)
    with suppress(ZeroDivisionError), later.alone() as alone:
        assert alone
        raise ZeroDivisionError
    with later.alone() as again:
        assert again


def test_what_was_taken_by_one_who_died_is_due_after_a_minute(redis_url: str, server: redis.Redis) -> None:
    later = RedisLater(PatientConnection(redis_url), "model:3")
    later.add([ONE])
    before = clock(server)
    assert later.take(9) == [ONE]
    taken_until = float(server.zscore("facteur:later:model:3:due", str(ONE)) or 0)
    assert before <= taken_until - 60 <= clock(server)
    server.zincrby("facteur:later:model:3:due", -60, str(ONE))
    assert later.take(9) == [ONE]


def clock(server: redis.Redis) -> float:
    seconds, micros = server.time()
    return float(seconds + micros / 1e6)


def test_tasks_that_were_tried_in_vain_stay_together_behind_the_others(later: RedisLater) -> None:
    tasks = [uuid4() for _ in range(50)]
    later.add([*tasks, ONE])
    for _ in range(3):
        later.put_off(tasks)
    assert later.take(1) == [ONE]
    assert set(later.take(99)) == set(tasks)


def test_what_is_done_is_gone(later: RedisLater) -> None:
    later.add([ONE, TWO])
    later.done([ONE, THREE])
    assert later.take(9) == [TWO]


def test_what_is_put_off_is_not_due_and_adding_it_again_changes_nothing(later: RedisLater) -> None:
    tasks = [uuid4() for _ in range(200)]
    later.add([*tasks, ONE])
    for _ in range(20):
        later.put_off(tasks)
    later.add(tasks)
    # Each is due at a random moment of the next ten minutes.
    due = later.take(999)
    assert len(set(due) & set(tasks)) < 20
    assert ONE in due
    later.done(tasks)
    later.add(tasks)
    later.give_back([ONE])
    assert len(later.take(999)) == 201


def test_nothing_to_do_is_fine(later: RedisLater) -> None:
    later.add([])
    later.put_off([])
    later.done([])
    later.give_back([])
    assert later.take(9) == []


def test_a_queue_is_every_processs_and_its_own_models(redis_url: str, server: redis.Redis) -> None:
    RedisLater(PatientConnection(redis_url), "model:3").add([ONE])
    assert RedisLater(PatientConnection(redis_url), "model:3").take(9) == [ONE]
    assert RedisLater(PatientConnection(redis_url), "other:3").take(9) == []


def test_a_flushed_queue_is_empty_and_can_be_filled(redis_url: str, server: redis.Redis) -> None:
    later = RedisLater(PatientConnection(redis_url), "model:3")
    later.add([ONE])
    later.put_off([ONE])
    server.flushall()
    assert later.take(9) == []
    later.add([ONE])
    assert later.take(9) == [ONE]


def test_what_is_no_queue_is_treated_as_a_redis_that_is_away(redis_url: str, server: redis.Redis) -> None:
    server.zadd("facteur:later:model:3:due", {"no id": 0})
    later = RedisLater(PatientConnection(redis_url), "model:3")
    assert later.take(9) == []
