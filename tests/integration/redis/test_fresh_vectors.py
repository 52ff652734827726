"""Vectors that were made a moment ago, on a real server: no two processes embed the same text."""

from collections.abc import Callable

import pytest
import redis

from shared.local.state import free_port
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from tests.patience import PatientConnection

MODEL = "model:2"


@pytest.fixture
def process(redis_url: str, server: redis.Redis) -> Callable[[], RedisFreshVectors]:
    return lambda: RedisFreshVectors(PatientConnection(redis_url))


def test_a_text_is_one_process_and_what_it_makes_is_everybodys(process: Callable[[], RedisFreshVectors]) -> None:
    assert process().claim(MODEL, ["a", "b"]) == ["a", "b"]
    assert process().claim(MODEL, ["a", "c"]) == ["c"]
    process().put_many(MODEL, {"a": [0.5, 1.0]})
    assert process().get_many(MODEL, ["a", "b"]) == {"a": [0.5, 1.0]}
    assert process().get_many("other:2", ["a"]) == {}


def test_a_text_that_is_given_up_may_be_taken(process: Callable[[], RedisFreshVectors]) -> None:
    process().claim(MODEL, ["a"])
    process().release(MODEL, ["a"])
    assert process().claim(MODEL, ["a"]) == ["a"]


def test_no_text_is_readable_and_everything_ends(process: Callable[[], RedisFreshVectors], server: redis.Redis) -> None:
    process().claim(MODEL, ["private"])
    process().put_many(MODEL, {"also private": [0.5, 1.0]})
    keys = server.keys("*")
    assert len(keys) == 2
    assert not any(b"private" in key for key in keys)
    assert all(0 < server.ttl(key) <= 600 for key in keys)


def test_what_is_no_vector_is_not_taken_for_one(process: Callable[[], RedisFreshVectors], server: redis.Redis) -> None:
    process().put_many(MODEL, {"a": [0.5, 1.0]})
    (key,) = server.keys("*")
    server.set(key, b"odd")
    assert process().get_many(MODEL, ["a"]) == {}


def test_without_redis_every_text_is_ones_own() -> None:
    vectors = RedisFreshVectors(Connection(f"redis://127.0.0.1:{free_port()}"))
    vectors.put_many(MODEL, {"a": [0.5, 1.0]})
    assert vectors.get_many(MODEL, ["a", "b"]) == {}
    assert vectors.claim(MODEL, ["a", "b"]) == ["a", "b"]
    vectors.release(MODEL, ["a"])
