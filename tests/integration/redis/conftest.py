"""The Redis of a test."""

import pytest
import redis


@pytest.fixture
def server(redis_url: str) -> redis.Redis:
    """A client of a Redis with nothing in it."""
    client: redis.Redis = redis.Redis.from_url(redis_url)
    client.flushall()
    return client
