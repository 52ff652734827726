"""Sessions of users, in the form that the earlier system gave them."""

import json

import pytest
import redis

from shared.domain.session import Session
from shared.local.state import free_port
from shared.redis.connection import Connection
from shared.redis.sessions import RedisSessions
from tests.patience import PatientConnection

SESSION = Session("codex", "codex-1", "task 1 was requested", "correlation", "trace")
KEY = "facteur:dispatch:1000000000000000000"


def test_a_session_is_found_by_its_user_and_replaced_by_the_next(redis_url: str, server: redis.Redis) -> None:
    sessions = RedisSessions(PatientConnection(redis_url))
    assert sessions.get("1") is None
    sessions.put("1", SESSION)
    later = Session("codex", "codex-2", "", "", "")
    sessions.put("1", later)
    assert sessions.get("1") == later
    assert sessions.get("2") is None


def test_a_session_is_what_the_earlier_system_wrote_for_a_quarter_of_an_hour(
    redis_url: str, server: redis.Redis
) -> None:
    RedisSessions(PatientConnection(redis_url)).put("1000000000000000000", SESSION)
    assert json.loads(server.get(KEY) or b"") == {
        "Namespace": "codex",
        "WorkflowName": "codex-1",
        "Message": "task 1 was requested",
        "CorrelationID": "correlation",
        "TraceID": "trace",
    }
    assert 890 < server.ttl(KEY) <= 900


def test_while_redis_is_away_nobody_has_a_session() -> None:
    sessions = RedisSessions(Connection(f"redis://127.0.0.1:{free_port()}"))
    sessions.put("1", SESSION)
    assert sessions.get("1") is None


@pytest.mark.parametrize("raw", [b"no json", b"[]", b'"text"', b"\xff\xfe"])
def test_what_is_no_session_is_none(redis_url: str, server: redis.Redis, raw: bytes) -> None:
    server.set("facteur:dispatch:1", raw)
    assert RedisSessions(PatientConnection(redis_url)).get("1") is None


def test_a_session_with_less_in_it_is_read_as_far_as_it_goes(redis_url: str, server: redis.Redis) -> None:
    server.set("facteur:dispatch:1", json.dumps({"CorrelationID": "c", "Namespace": 7}))
    assert RedisSessions(PatientConnection(redis_url)).get("1") == Session("7", "", "", "c", "")
