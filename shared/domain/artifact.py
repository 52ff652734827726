"""Files that runs leave: what is promised, under which key it is stored, and how it is shown to a browser."""

import re
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from shared.domain.errors import Rejected
from shared.domain.redaction import redact

MAX_PART = 64 * 1024 * 1024
MAX_PARTS = 16
MAX_SIZE = MAX_PARTS * MAX_PART
LINK_SECONDS = 900

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes that are sent at once: `size` in bytes, `sha256` in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a container wants to leave: `size` in bytes, `sha256` in hex, `key` chosen by us.

    A file that is sent in `parts` has so many of them, else none.
    """

    id: UUID
    name: str
    size: int
    sha256: str
    content_type: str
    key: str
    parts: int = 0

    @property
    def part_keys(self) -> tuple[str, ...]:
        """Where its parts are until they are put together."""
        return tuple(f"{self.key}.{number}" for number in range(1, self.parts + 1))


@dataclass(frozen=True, slots=True)
class Link:
    """Where to PUT exactly the bytes that were promised, with these headers, until the Unix time `expires`."""

    url: str
    headers: dict[str, str]
    expires: int


def key(task: UUID, attempt: int, artifact: UUID) -> str:
    """The key of an artifact: nothing in it was chosen by a container."""
    return f"tasks/{task}/{attempt}/{artifact}"


def bare_name(said: str) -> str:
    """The name without folders and credentials; Rejected if none is left, or one that no file can have."""
    last = re.split(r"[/\\]", said)[-1]
    name = redact(last).strip()
    if name in ("", ".", "..") or _CONTROL.search(last):
        raise Rejected("the name of an artifact is that of a file: not empty, and without control characters")
    return name


def disposition(name: str) -> str:
    """The Content-Disposition of an artifact: saved under its name, and shown by no browser."""
    plain = _PLAIN.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
