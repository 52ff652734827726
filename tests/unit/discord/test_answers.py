"""What Discord answers is gone for ever, away for now, or our fault; and how long to wait is never guessed wildly."""

from typing import Any

import pytest

from shared.discord import answers
from shared.domain.errors import FacteurError, Gone, Rejected, Throttled, Unavailable

OF_DISCORD = {"message": "m", "code": 10008}


def meaning(status: int, document: Any) -> FacteurError:
    return answers.meaning(answers.answer(status, {}, document), document)


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (401, {"message": "401: Unauthorized", "code": 0}, Unavailable),
        (401, {"message": "m", "code": 50027}, Gone),
        (403, {"message": "m", "code": 50001}, Gone),
        (403, {"message": "m", "code": 50013}, Gone),
        (404, OF_DISCORD, Gone),
        (404, {"message": "m", "code": 10003}, Gone),
        (400, {"message": "m", "code": 50083}, Gone),
        (400, {"message": "m", "code": 50035}, Rejected),
        (405, None, Rejected),
        (429, {"retry_after": 1.5}, Throttled),
        (401, None, Unavailable),
        (403, None, Unavailable),
        (404, {"message": "404: Not Found", "code": 0}, Unavailable),
        (404, ["code"], Unavailable),
        (500, OF_DISCORD, Unavailable),
        (502, None, Unavailable),
        (302, None, Unavailable),
    ],
)
def test_what_an_answer_means(status: int, document: Any, expected: type[FacteurError]) -> None:
    error = meaning(status, document)
    assert type(error) is expected


@pytest.mark.parametrize(
    ("document", "headers", "seconds", "scope"),
    [
        ({"retry_after": 1.5}, {"Retry-After": "9"}, 1.5, "user"),
        ({"retry_after": 1, "global": True}, {}, 1.0, "global"),
        ({"retry_after": 1}, {"X-RateLimit-Scope": "shared"}, 1.0, "shared"),
        ({"retry_after": 1}, {"X-RateLimit-Scope": "surprise"}, 1.0, "user"),
        ({"message": "m", "code": 30046}, {"X-RateLimit-Reset-After": "17.2"}, 17.2, "user"),
        ({"retry_after": "soon"}, {}, 5.0, "user"),
        ({"retry_after": -1}, {}, 5.0, "user"),
        ({"retry_after": float("nan")}, {"Retry-After": "3"}, 3.0, "user"),
        ({"retry_after": 1e12}, {}, 3600.0, "user"),
        (None, {"Retry-After": "600"}, 600.0, "banned"),
    ],
)
def test_how_long_to_wait_and_for_whose_limit(
    document: Any, headers: dict[str, str], seconds: float, scope: str
) -> None:
    given = answers.answer(429, headers, document)
    assert (given.retry_after, given.scope) == (seconds, scope)


def test_who_waits_waits_whole_seconds_and_not_too_few() -> None:
    error = meaning(429, {"retry_after": 1.2})
    assert isinstance(error, Throttled) and error.retry_after == 2


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff", b"[" * 100_000], ids=["empty", "html", "bytes", "deep"])
def test_what_is_no_json_is_none(data: bytes) -> None:
    assert answers.parsed(data) is None
