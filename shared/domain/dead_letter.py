"""A dead letter: an event that nobody could handle, and why."""

import base64
import codecs
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.domain.redaction import redact

ANSWER_CHARACTERS = 1024
# What is looked at: the answer in base64, and some of what will be cut.
_ENCODED_CHARACTERS = 4 * ANSWER_CHARACTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One event and one destination. `error_code` and `error_data` are the broker's words, `reason` is ours.

    It is `waiting`, or `redriven` until it comes back. `event` is its JSON format as it came.
    """

    id: UUID
    state: str
    source: str
    event_id: str
    type: str
    subject: str | None
    destination: str
    error_code: str | None
    error_data: str | None
    reason: str | None
    times_seen: int
    first_seen_at: datetime
    last_seen_at: datetime
    times_redriven: int
    redriven_at: datetime | None
    event: str = ""

    @property
    def answer(self) -> str:
        """The body of the last answer as text, at most 1,024 characters, without credentials."""
        return redact(decoded(self.error_data or ""))[:ANSWER_CHARACTERS]

    @property
    def cause(self) -> str:
        """Why it is here, as far as anybody said so: our reason, a problem's detail, or the answer itself."""
        return self.reason or _detail(self.answer) or self.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters: each condition that is given must hold. `types` are alternatives, `destination` a part of it."""

    types: tuple[str, ...] | None = None
    destination: str | None = None
    since_seconds: float | None = None
    state: str | None = None


def decoded(error_data: str) -> str:
    """The text in `knativeerrordata`: base64, unless it is not; the broker may have cut it anywhere."""
    looked_at = error_data[:_ENCODED_CHARACTERS]
    try:
        body = base64.b64decode(looked_at[: len(looked_at) // 4 * 4], validate=True)
        # What is left of a character at the end is not given out.
        return codecs.getincrementaldecoder("utf-8")().decode(body)
    except ValueError:
        return looked_at


def _detail(answer: str) -> str:
    try:
        problem = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return detail if isinstance(detail, str) else ""
