"""How dead letters are shown. What is in them was chosen by whoever sent it: nothing of it reaches a terminal raw."""

import base64
import json
import re
from typing import Any

from shared.cli.terminal import utc
from shared.domain.dead_letter import DeadLetter
from shared.domain.memory import snippet
from shared.domain.redaction import redact
from shared.events.catalogue import WORDS
from shared.events.dead_letter import DATA

SHORT_ID = 8
_LINE = 200
# A string of an indented JSON text ends with a quote, so this stands where a number stood.
_BARE_MARK = re.compile(r"(\[redacted:[0-9a-f]{8}\])(?=,?$)", re.MULTILINE)


def brief(letter: DeadLetter) -> str:
    """Two lines: which letter, and why it is one."""
    parts = [
        str(letter.id)[:SHORT_ID],
        f"{letter.state:<8}",
        utc(letter.last_seen_at),
        _line(WORDS.get(letter.type, letter.type), 60),
        f"buried {_times(letter.times_seen)}{_redrives(letter)}",
    ]
    return "  ".join(parts) + f"\n{'':10}{_failure(letter)}"


def whole(letter: DeadLetter, raw: bool) -> str:
    """Everything about a letter, one fact a line, then its event as JSON."""
    facts = {
        "id": str(letter.id),
        "state": letter.state + _redrives(letter),
        "type": letter.type,
        "source": letter.source,
        "event id": letter.event_id,
        "subject": letter.subject or "",
        "destination": letter.destination,
        "status": letter.error_code or "",
        "cause": letter.cause,
        "buried": _times(letter.times_seen),
        "first seen": utc(letter.first_seen_at),
        "last seen": utc(letter.last_seen_at),
        "redriven at": utc(letter.redriven_at) if letter.redriven_at else "",
    }
    lines = [f"{name:<12} {_line(value, 1024)}" for name, value in facts.items() if value]
    event = "\n".join(map(_neutral, _event(letter, raw).split("\n")))
    return "\n".join([*lines, "event", event])


def document(letter: DeadLetter) -> dict[str, Any]:
    """A letter as JSON, without its event."""
    return {
        "id": str(letter.id),
        "state": letter.state,
        "type": letter.type,
        "source": redact(letter.source),
        "eventId": redact(letter.event_id),
        "subject": redact(letter.subject) if letter.subject else None,
        "destination": redact(letter.destination),
        "status": letter.error_code,
        "cause": letter.cause,
        "answer": letter.answer,
        "attempts": letter.times_seen,
        "firstSeenAt": utc(letter.first_seen_at),
        "lastSeenAt": utc(letter.last_seen_at),
        "redrives": letter.times_redriven,
        "redrivenAt": utc(letter.redriven_at) if letter.redriven_at else None,
    }


def document_with_event(letter: DeadLetter, raw: bool) -> dict[str, Any]:
    """A letter as JSON; its event is an object, or a text where taking out credentials left no JSON."""
    text = _event(letter, raw)
    try:
        return {**document(letter), "event": json.loads(text)}
    except ValueError:
        return {**document(letter), "event": text}


def as_json(value: object) -> str:
    """JSON that a terminal may be shown: ASCII without control characters."""
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")


def _event(letter: DeadLetter, raw: bool) -> str:
    event = json.loads(letter.event)
    if raw:
        return json.dumps(event, indent=2, ensure_ascii=False)
    if DATA in event:
        event[DATA] = letter.answer
    if "data_base64" in event:
        size = len(base64.b64decode(event["data_base64"]))
        event["data_base64"] = f"({size} bytes, to be seen with --raw)"
    # Each text by itself, as it reads without the escapes of JSON; then names and values together.
    text = redact(json.dumps(_redacted(event), indent=2, ensure_ascii=False))
    return _BARE_MARK.sub(r'"\1"', text)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if isinstance(value, dict):
        return {redact(name): _redacted(member) for name, member in value.items()}
    return value


def _failure(letter: DeadLetter) -> str:
    status = f" answered {letter.error_code}" if letter.error_code else ""
    return _line(": ".join(filter(None, (f"{letter.destination}{status}".strip(), letter.cause))) or "cause unknown")


def _redrives(letter: DeadLetter) -> str:
    return f", redriven {_times(letter.times_redriven)}" if letter.times_redriven else ""


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _line(text: str, limit: int = _LINE) -> str:
    return _neutral(snippet(redact(text), limit))


def _neutral(text: str) -> str:
    """The text with `\\uXXXX` for what a terminal would act on or not show."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else f"{as_json(letter)[1:-1]}" for letter in text)
