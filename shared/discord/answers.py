"""What an answer of Discord's API means here. Nothing of its own words is passed on, and no token."""

import json
import math
from collections.abc import Mapping
from typing import Any

from shared.discord.limits import Answer
from shared.domain.errors import FacteurError, Gone, Rejected, Throttled, Unavailable

# Discord, "JSON Error Codes".
UNKNOWN_WEBHOOK, UNKNOWN_MESSAGE, UNKNOWN_INTERACTION = 10015, 10008, 10062
THREAD_IS_ARCHIVED = 50083
THREAD_IS_THERE = 160004

_LONGEST = 3_600.0
_BUSY_SECONDS, _SETTING_SECONDS = 5, 300


def parsed(data: bytes) -> Any:
    """The JSON of a body, None if it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def code(document: Any) -> int | None:
    """Discord's own number of an error; None where the body is not of Discord."""
    number = document.get("code") if isinstance(document, dict) else None
    return number if isinstance(number, int) else None


def answer(status: int, headers: Mapping[str, str], document: Any) -> Answer:
    """What the limits are told of an answer."""
    if status != 429:
        return Answer(status, headers)
    told = document if isinstance(document, dict) else {}
    seconds = _seconds(told.get("retry_after"), headers.get("Retry-After"), headers.get("X-RateLimit-Reset-After"))
    if not told:
        return Answer(status, headers, seconds, "banned")
    scope = headers.get("X-RateLimit-Scope", "user")
    if told.get("global") is True:
        scope = "global"
    return Answer(status, headers, seconds, scope if scope in ("user", "shared", "global") else "user")


def meaning(given: Answer, document: Any) -> FacteurError:
    """The error of an answer that is no success."""
    status, number = given.status, code(document)
    if status == 429:
        return Throttled("Discord asks for fewer requests", math.ceil(given.retry_after))
    if status == 401 and number == 0:
        return Unavailable("Discord refuses the bot: FACTEUR_DISCORD_BOT_TOKEN is wrong", _SETTING_SECONDS)
    if status == 401 and number:
        return Gone("Discord refuses the token of the interaction: it has expired")
    if number == THREAD_IS_ARCHIVED:
        return Gone("the thread in Discord is closed")
    if status in (403, 404) and number:
        return Gone(f"Discord says that message, channel or permission is gone (code {number})")
    if status in (401, 403, 404):
        return Unavailable("this is not how Discord refuses: check FACTEUR_DISCORD_API_URL", _SETTING_SECONDS)
    if 400 <= status < 500:
        return Rejected(f"Discord cannot make sense of the request (status {status}, code {number})")
    return Unavailable("Discord fails for now", _BUSY_SECONDS)


def away() -> Unavailable:
    """Nobody answered, or not in time."""
    return Unavailable("Discord cannot be reached or does not answer in time", _BUSY_SECONDS)


def _seconds(*said: Any) -> float:
    """The first of these that is a number of seconds, at most an hour; else a few seconds."""
    for value in said:
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            continue
        if 0 <= seconds < math.inf:
            return min(seconds, _LONGEST)
    return float(_BUSY_SECONDS)
