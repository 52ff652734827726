"""The cache of question vectors on a real server: kept for a day, and missed without harm."""

import hashlib

import redis

from shared.local.state import free_port
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.vectors import RedisVectors
from tests.patience import PatientConnection, PatientVectors

VECTOR = [0.5, -0.25, 1.0, 0.0]


def test_a_vector_is_found_again_by_any_process(redis_url: str, server: redis.Redis) -> None:
    PatientVectors(redis_url).put("model:4", "a question", VECTOR)
    assert PatientVectors(redis_url).get("model:4", "a question") == VECTOR


def test_another_question_and_another_model_are_misses(redis_url: str, server: redis.Redis) -> None:
    vectors = PatientVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    assert vectors.get("model:4", "a question?") is None
    assert vectors.get("other:4", "a question") is None


def test_the_question_itself_is_not_in_the_key_and_everything_ends(redis_url: str, server: redis.Redis) -> None:
    PatientVectors(redis_url).put("model:4", "a private question", VECTOR)
    (key,) = server.keys("*")
    assert b"private" not in key
    assert 23 * 3600 < server.ttl(key) <= 24 * 3600


def test_a_flushed_server_is_a_miss(redis_url: str, server: redis.Redis) -> None:
    vectors = PatientVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    server.flushall()
    assert vectors.get("model:4", "a question") is None


def test_what_is_no_vector_is_a_miss(redis_url: str, server: redis.Redis) -> None:
    vectors = PatientVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    (key,) = server.keys("*")
    server.delete(key)
    server.rpush(key, b"a list")
    assert vectors.get("model:4", "a question") is None


def test_a_server_that_is_away_is_a_miss() -> None:
    vectors = RedisVectors(f"redis://127.0.0.1:{free_port()}")
    vectors.put("model:4", "a question", VECTOR)
    assert vectors.get("model:4", "a question") is None


def test_a_server_that_comes_back_is_used_again(redis_url: str, server: redis.Redis) -> None:
    vectors = PatientVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    for connection in server.client_list():
        if connection["id"] != str(server.client_id()):
            server.client_kill_filter(_id=connection["id"])
    assert vectors.get("model:4", "a question") in (VECTOR, None)
    assert vectors.get("model:4", "a question") == VECTOR


def test_texts_are_forgotten_by_their_hashes_whoever_made_their_vectors(redis_url: str, server: redis.Redis) -> None:
    vectors, fresh = PatientVectors(redis_url), RedisFreshVectors(PatientConnection(redis_url))
    for model in ("model:4", "other:4"):
        vectors.put(model, "a question", VECTOR)
    fresh.put_many("model:4", {"a text": VECTOR, "another": VECTOR})
    hashes = [hashlib.sha256(text.encode()).digest() for text in ("a question", "a text", "unknown")]
    assert vectors.forget(["model:4", "other:4"], hashes)
    assert [vectors.get(model, "a question") for model in ("model:4", "other:4")] == [None, None]
    assert fresh.get_many("model:4", ["a text", "another"]) == {"another": VECTOR}


def test_more_texts_than_one_command_takes_are_forgotten(redis_url: str, server: redis.Redis) -> None:
    vectors = PatientVectors(redis_url)
    vectors.put("model:4", "a question", VECTOR)
    hashes = [number.to_bytes(32, "big") for number in range(2500)]
    assert vectors.forget(["model:4"], [*hashes, hashlib.sha256(b"a question").digest()])
    assert server.keys("*") == []


def test_without_redis_nothing_is_said_to_be_forgotten() -> None:
    assert not RedisVectors(f"redis://127.0.0.1:{free_port()}").forget(["model:4"], [b"x"])
