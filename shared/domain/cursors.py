"""Places to go on from: opaque to whoever is given one, and refused unless one of ours."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.domain.errors import Malformed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of the 64 bits of the time the first seven are 0: later times than the year 6536 are none of ours.
TASK_CURSOR = "^A[A-Za-f][A-Za-z0-9_-]{30}$"
_TASK = re.compile(TASK_CURSOR)
_OPAQUE = re.compile(r"[A-Za-z0-9_-]{1,400}")
_ENTRY = re.compile(r"([0-9]{1,20})\.([0-9]{1,17})\.([0-9])\.([a-z0-9-]{0,120})")
_HIGHEST_POSITION = 2**64 - 1


@dataclass(frozen=True, slots=True, order=True)
class TaskCursor:
    """The place of a task in a list: its time of acceptance, to the microsecond, and its id."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return urlsafe_b64encode(micros.to_bytes(8, "big") + self.id.bytes).decode()

    @classmethod
    def parse(cls, text: str) -> "TaskCursor":
        """Malformed for anything that is not the text of a cursor."""
        if _TASK.fullmatch(text):
            raw = urlsafe_b64decode(text)
            return cls(_EPOCH + timedelta(microseconds=int.from_bytes(raw[:8], "big")), UUID(bytes=raw[8:]))
        raise Malformed("cursor must be the `next` of an earlier answer")


@dataclass(frozen=True, slots=True, order=True)
class EntryId:
    """The place of an entry in the story of its task, the same for ever.

    `position` is the transaction that wrote it, `micros` its time since 1970 (which orders what was
    there before positions were), `place` and `tie` order what one transaction wrote.
    """

    position: int = 0
    micros: int = 0
    place: int = 0
    tie: str = ""

    def __str__(self) -> str:
        text = f"{self.position}.{self.micros}.{self.place}.{self.tie}"
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "EntryId":
        """Malformed for anything that is not the text of an id."""
        found = _ENTRY.fullmatch(_decoded(text))
        if found and int(found[1]) <= _HIGHEST_POSITION:
            entry = cls(int(found[1]), int(found[2]), int(found[3]), found[4])
            if str(entry) == text:
                return entry
        raise Malformed("the id of the last event must be one that this stream has sent")


def _decoded(text: str) -> str:
    if not _OPAQUE.fullmatch(text) or len(text) % 4 == 1:
        return ""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii", "replace")
