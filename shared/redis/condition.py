"""How Redis is. Reads only."""

import time
from typing import Any
from urllib.parse import urlsplit

from shared.domain import clock_reading
from shared.domain.condition import Clock, Redis
from shared.domain.errors import Unavailable

_TIMEOUT_SECONDS = 3.0
_LOCAL = ("127.0.0.1", "localhost", "::1", "", None)


def look(url: str) -> tuple[Redis, Clock]:
    """What the server at `url` says of itself, and its clock; Unavailable with what went wrong, in a word."""
    import redis

    # A password in the query or as a user's is found by the client, not by us.
    try:
        client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS)
        with client:
            info = client.info()
            return _redis(url, client, info), _clock(client)
    except (redis.RedisError, ValueError, OSError) as error:
        raise Unavailable(type(error).__name__) from None


def _redis(url: str, client: Any, info: dict[str, Any]) -> Redis:
    asked = urlsplit(url)
    return Redis(
        info={name: str(value) for name, value in info.items()},
        save=_save(client),
        password=bool(client.connection_pool.connection_kwargs.get("password")),
        local=asked.scheme == "unix" or asked.hostname in _LOCAL,
    )


def _save(client: Any) -> str | None:
    import redis

    try:
        return str(client.config_get("save").get("save", ""))
    except redis.RedisError:  # a managed server hides its settings
        return None


def _clock(client: Any) -> Clock:
    before = time.time()
    seconds, microseconds = client.time()
    return clock_reading.read("Redis", seconds + microseconds / 1e6, before, time.time())
