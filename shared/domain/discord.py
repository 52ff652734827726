"""Words of Discord: what a message shows, where it is, and how text that nobody vouches for is put into one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CONTENT_LIMIT = 2000
_UNSEEN = "\u200b"  # a zero-width space: what it stands in is read as before, and means nothing to Discord
_FENCE = "```"
# Other control characters, what turns the direction of writing, and halves of characters.
_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MARKDOWN = frozenset("\\*_~`|>#-+.[]()<:/!=")


@dataclass(frozen=True, slots=True)
class Message:
    """What is shown: at most 2,000 characters, and components as Discord's JSON has them."""

    content: str
    components: tuple[Mapping[str, Any], ...] = ()
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a message is."""

    channel_id: str
    message_id: str


def length(text: str) -> int:
    """The length in UTF-16 units: Discord's clients count so, and no other way of counting finds more."""
    return len(text) + sum(character > "\uffff" for character in text)


def contained(text: str, limit: int) -> str:
    """Hostile text as a code block that it cannot leave, of at most `limit` characters; empty if there is none."""
    clean = _HOSTILE.sub("", text.replace("\r\n", "\n").replace("\t", "    ")).strip("\n")
    if not clean.strip() or limit <= 2 * len(_FENCE) + 2:
        return ""
    defused = ("`" + _UNSEEN if c == "`" else "@" + _UNSEEN if c == "@" else c for c in clean)
    return f"{_FENCE}\n{_fitted(defused, limit - 2 * len(_FENCE) - 2)}\n{_FENCE}"


def plain(text: str, limit: int) -> str:
    """Hostile text as one line outside a code block, of at most `limit` characters: it formats and mentions nothing."""
    line = " ".join(_HOSTILE.sub(" ", text).split())
    return _fitted((_literal(character) for character in line), limit)


def fitted(content: str) -> str:
    """The content, cut to the 2,000 characters of a message; a code block that is cut open is closed."""
    if length(content) <= CONTENT_LIMIT:
        return content
    room = CONTENT_LIMIT - len("\n" + _FENCE)
    cut = _fitted(content, room)[:-1].rstrip("`") + "…"
    return f"{cut}\n{_FENCE}" if cut.count(_FENCE) % 2 else cut


def _literal(character: str) -> str:
    if character == "@":
        return "@" + _UNSEEN
    return "\\" + character if character in _MARKDOWN else character


def _fitted(pieces: Iterable[str], limit: int) -> str:
    """The pieces joined; if that is too long, the first of them and an ellipsis. No piece is cut."""
    kept: list[str] = []
    used, end = 0, 0
    for piece in pieces:
        used += length(piece)
        if used > limit:
            return "".join(kept[:end]) + "…" if limit > 0 else ""
        kept.append(piece)
        end += used < limit  # room for the ellipsis after it
    return "".join(kept)
