"""Texts cut into pieces by their structure, so that each can be understood alone.

Manifests are cut between documents, then between keys and items of lists, the outermost first; what is a part of an
object begins with the lines that say which. Anything else is cut at headings, paragraphs, lines that end a sentence,
and lines. A block of code stays whole where it fits, and a line is cut only if it alone is too long. The time is
linear in the length of the text, whatever it holds.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.domain.identity import MOST_INDENTATION, Identity, identity

CHUNK_CHARACTERS = 4000

# Where text[start:end] may be cut, in order.
Cut = Callable[[str, int, int], Iterable[int]]

# The white space that the database trims as well: what is left of a text there has a piece here.
_BLANK = " \t\r\n"
# What is nested deeper is cut at any line.
_MOST_LEVELS = 10
# The lines that say which object a piece is a part of may take one in so many characters.
_ABOUT_SHARE = 4

_FENCE = re.compile(r"(?m)^ {0,3}(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)\n?")
_INDENTATION = re.compile(r"(?m)^[ \t]*(?=[^\s}\]])")
_STARTS_JSON = re.compile(r"\s*(?:(?:---|```|~~~)[^\n]*\n\s*)?[\[{][ \t\r]*\n")
_ITEM = re.compile(r"[ \t]*(?:-[ \t]|\{[ \t\r]*\n)")
_SENTENCE_ENDS = re.compile(r"[.!?](?=\s)|[。\uff01\uff1f]")
_WORD_STARTS = re.compile(r"(?<=[\s,;])(?=\S)")


def _before(pattern: str) -> Cut:
    compiled = re.compile(pattern)
    return lambda text, start, end: (found.start() for found in compiled.finditer(text, start, end))


def _after(pattern: str) -> Cut:
    compiled = re.compile(pattern)
    return lambda text, start, end: (found.end() for found in compiled.finditer(text, start, end))


_DOCUMENTS = _before(r"(?m)^---(?=[ \t\r]|$)|(?<=\n\n)apiVersion:(?=[ \t])")
_LINES = _after(r"\n+")
_PROSE = (
    _before(r"(?m)^#{1,6}[ \t]+(?=\S)"),
    _after(r"\n(?:[ \t\r]*\n)+"),
    _after(r"[.!?:。\uff01\uff1f][\"')\]]?[ \t\r]*\n"),
    _LINES,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """text[start:end], and the lines that say of which object it is a part, "" if it says so itself or is of none."""

    start: int
    end: int
    about: str


def chunk(text: str, limit: int = CHUNK_CHARACTERS) -> list[str]:
    """Pieces of at most `limit` characters. Nothing but white space between them is lost."""
    bodies = ((one.about, text[one.start : one.end].lstrip("\r\n").rstrip(_BLANK)) for one in pieces(text, limit))
    return [f"{about}\n{body}" if about else body for about, body in bodies if body]


def pieces(text: str, limit: int) -> list[Piece]:
    """Every character of the text in one piece, in order. White space at the end of a piece does not count."""
    return list(_Cutting(text, limit).all())


class _Cutting:
    """One text while it is cut."""

    def __init__(self, text: str, limit: int) -> None:
        self._text = text
        self._limit = limit
        blocks = list(_blocks_of_code(text))
        self._whole = [block for block in blocks if self._without_blank(*block) - block[0] <= limit]
        self._starts = [start for start, _ in self._whole]
        self._edges = {edge for block in blocks for edge in block}.difference(*self._whole)

    def all(self) -> Iterator[Piece]:
        """Documents and large blocks of code, together while they fit, and each in its own way if it is too large."""
        return self._fill(0, len(self._text), None, self._documents, self._document)

    def _documents(self, text: str, start: int, end: int) -> Iterable[int]:
        return sorted(self._edges.union(_DOCUMENTS(text, start, end)))

    def _document(self, start: int, end: int) -> Iterator[Piece]:
        known = identity(self._text, start, end)
        if known or _STARTS_JSON.match(self._text, start, end):
            return self._part(start, end, self._worth_telling(known), _levels(self._text, start, end))
        return self._part(start, end, None, _PROSE)

    def _part(self, start: int, end: int, known: Identity | None, cuts: Sequence[Cut]) -> Iterator[Piece]:
        """What is too large, cut by the first of the cuts; and what of it is too large still, by the others."""
        if not cuts:
            return self._line(start, end, known)

        def smaller(start: int, end: int) -> Iterator[Piece]:
            own = identity(self._text, start, end) if _ITEM.match(self._text, start, end) else None
            return self._part(start, end, self._worth_telling(own) if own else known, cuts[1:])

        return self._fill(start, end, known, cuts[0], smaller)

    def _fill(
        self, start: int, end: int, known: Identity | None, cut: Cut, smaller: Callable[[int, int], Iterator[Piece]]
    ) -> Iterator[Piece]:
        """Parts together while they fit; `smaller` cuts those that are too large alone."""
        room, opened = self._room(known), start
        for part, following in pairwise([start, *self._outside_of_code(cut(self._text, start, end)), end]):
            last = self._without_blank(part, following)
            if last - part > room:
                yield from self._joined(opened, part, known, smaller(part, following))
                opened = following
            elif last - opened > room:
                yield _piece(opened, part, known)
                opened = part
        if opened < end:
            yield _piece(opened, end, known)

    def _joined(self, opened: int, part: int, known: Identity | None, inner: Iterator[Piece]) -> Iterator[Piece]:
        """What stands before a part, `inner`, together with the beginning of it, if that fits: it is its title."""
        first = next(inner)
        titled = _piece(opened, first.end, known)
        room = self._limit - (len(titled.about) + 1 if titled.about else 0)
        if first.about in ("", titled.about, known.lines if known else "") and self._fits(opened, first.end, room):
            yield titled
        else:
            if part > opened:
                yield _piece(opened, part, known)
            yield first
        yield from inner

    def _line(self, start: int, end: int, known: Identity | None) -> Iterator[Piece]:
        """A line, or a block of code: cut only if it alone is too long; at a sentence, a word, or anywhere."""
        last, room = self._without_blank(start, end), self._room(known)
        if last - start <= self._limit:
            yield Piece(start, end, "")
            return
        while last - start > room:
            places = start + max(1, room // 2), start + room
            found = (list(pattern.finditer(self._text, *places)) for pattern in (_SENTENCE_ENDS, _WORD_STARTS))
            at = next((ends[-1].end() for ends in found if ends), start + room)
            yield _piece(start, at, known)
            start = at
        yield _piece(start, end, known)

    def _outside_of_code(self, places: Iterable[int]) -> Iterable[int]:
        """Without those inside of a block that fits."""
        if not self._whole:
            return places
        return (at for at in places if not self._is_inside(at))

    def _is_inside(self, at: int) -> bool:
        start, end = self._whole[max(0, bisect_right(self._starts, at) - 1)]
        return start < at < end

    def _worth_telling(self, known: Identity | None) -> Identity | None:
        """None if it takes too much room, or tells nothing: a list holds what says more of itself."""
        small = known is not None and len(known.lines) * _ABOUT_SHARE <= self._limit
        return known if known and small and not known.is_list else None

    def _room(self, known: Identity | None) -> int:
        return self._limit - (len(known.lines) + 1 if known else 0)

    def _fits(self, start: int, end: int, room: int) -> bool:
        return self._without_blank(start, end) - start <= room

    def _without_blank(self, start: int, end: int) -> int:
        return start + len(self._text[start:end].rstrip(_BLANK))


def _piece(start: int, end: int, known: Identity | None) -> Piece:
    says_so_itself = known is None or (start <= known.start and known.end <= end)
    return Piece(start, end, "" if known is None or says_so_itself else known.lines)


def _blocks_of_code(text: str) -> Iterator[tuple[int, int]]:
    """From each opening fence to after its closing one, or to the end of the text."""
    opening: re.Match[str] | None = None
    for found in _FENCE.finditer(text):
        if opening is None:
            opening = None if found["fence"][0] == "`" in found["info"] else found
        elif found["fence"].startswith(opening["fence"]) and not found["info"].strip():
            yield opening.start(), found.end()
            opening = None
    if opening:
        yield opening.start(), len(text)


def _levels(text: str, start: int, end: int) -> list[Cut]:
    """Of each indentation, the least first: keys, then keys and items of lists; and lines at last."""
    found = {min(len(each), MOST_INDENTATION) for each in _INDENTATION.findall(text, start, end)}
    cuts = []
    for deep in sorted(found)[:_MOST_LEVELS]:
        cuts.append(_before(rf"(?m)^[ \t]{{0,{deep}}}(?=[^\s}}\]`-]|-(?![ \t\r]|$))"))
        cuts.append(_before(rf"(?m)^[ \t]{{0,{deep}}}(?=[^\s}}\]`])"))
    return [*cuts, _LINES]
