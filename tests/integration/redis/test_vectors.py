"""The cache of question vectors on a real server: kept for a day, and missed without harm."""

import pytest
import redis

from shared.redis.vectors import RedisVectors
from tests.contract.embedders.openai_server import closed_port

VECTOR = [0.5, -0.25, 1.0, 0.0]


@pytest.fixture
def server(redis_url: str) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(redis_url)
    client.flushall()
    return client


def test_a_vector_is_found_again_by_any_process(redis_url: str, server: redis.Redis) -> None:
    RedisVectors(redis_url).put("model:4", "a question", VECTOR)
    assert RedisVectors(redis_url).get("model:4", "a question") == VECTOR


def test_another_question_and_another_model_are_misses(redis_url: str, server: redis.Redis) -> None:
    vectors = RedisVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    assert vectors.get("model:4", "a question?") is None
    assert vectors.get("other:4", "a question") is None


def test_the_question_itself_is_not_in_the_key_and_everything_ends(redis_url: str, server: redis.Redis) -> None:
    RedisVectors(redis_url).put("model:4", "a private question", VECTOR)
    (key,) = server.keys("*")
    assert b"private" not in key
    assert 23 * 3600 < server.ttl(key) <= 24 * 3600


def test_a_flushed_server_is_a_miss(redis_url: str, server: redis.Redis) -> None:
    vectors = RedisVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    server.flushall()
    assert vectors.get("model:4", "a question") is None


def test_what_is_no_vector_is_a_miss(redis_url: str, server: redis.Redis) -> None:
    vectors = RedisVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    (key,) = server.keys("*")
    server.delete(key)
    server.rpush(key, b"a list")
    assert vectors.get("model:4", "a question") is None


def test_a_server_that_is_away_is_a_miss() -> None:
    vectors = RedisVectors(f"redis://127.0.0.1:{closed_port()}")
    vectors.put("model:4", "a question", VECTOR)
    assert vectors.get("model:4", "a question") is None


def test_a_server_that_comes_back_is_used_again(redis_url: str, server: redis.Redis) -> None:
    vectors = RedisVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    for connection in server.client_list():
        if connection["id"] != str(server.client_id()):
            server.client_kill_filter(_id=connection["id"])
    assert vectors.get("model:4", "a question") in (VECTOR, None)
    assert vectors.get("model:4", "a question") == VECTOR
