"""Strict JSON text: valid UTF-8, bounded depth, no duplicate keys, nothing a jsonb column cannot hold.

Linear in the length of the text, whatever the text. A value keeps the very characters it was sent
with, so that numbers, escapes and key order survive being handed on.
"""

import json
import re
from math import isfinite
from typing import Any, NamedTuple, NoReturn

from shared.domain.errors import Malformed

MAX_DEPTH = 64

_BLANK = re.compile(r"[ \t\n\r]*")
# Every backslash of a JSON text is inside a string, so escapes can be judged without parsing.
_ESCAPE = re.compile(r"\\(?:[^u]|u(?!0000|[dD][89a-fA-F])|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F])")
# What is no bracket, once escapes are gone. A string without its end reaches to the end of the text.
_NO_STRUCTURE = re.compile(r'"[^"]*"?|[^"\[\]{}]+')


class Member(NamedTuple):
    """A JSON value and the text it was written as."""

    value: Any
    text: str


Members = dict[str, Member]


def read_object(body: bytes) -> Members:
    """The members of the one JSON object in `body`; Malformed for anything else."""
    reader = _Reader(_text(body))
    members = reader.object()
    reader.end()
    return members


def read_objects(body: bytes) -> list[Members]:
    """The members of each object of the JSON array in `body`; Malformed for anything else."""
    reader = _Reader(_text(body))
    objects = reader.objects()
    reader.end()
    return objects


def can_be_member(text: str) -> bool:
    """Whether `text` is one strict JSON value that `read_object` would give back unchanged."""
    try:
        _check(text, MAX_DEPTH - 1)
        reader = _Reader(text)
        member = reader.value()
    except Malformed:
        return False
    return member.text == text


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the body is not valid UTF-8") from None
    _check(text, MAX_DEPTH)
    return text


def _check(text: str, max_depth: int) -> None:
    unescaped = _ESCAPE.sub("", text)
    if "\\" in unescaped:
        raise Malformed("the JSON text contains U+0000, a lone surrogate or an unfinished escape")
    depth = 0
    for bracket in _NO_STRUCTURE.sub("", unescaped):
        depth += 1 if bracket in "[{" else -1
        if depth > max_depth:
            raise Malformed(f"the JSON text is nested deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a JSON object has a duplicate key")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise Malformed("the JSON text contains NaN or Infinity, which are not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise Malformed("a number of the JSON text is out of range")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


class _Reader:
    """Walks the outermost levels of a text that passed `_check`; the standard parser does the rest."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip_blank()

    def object(self) -> Members:
        pairs: list[tuple[str, Member]] = []
        self._expect("{", "an event must be a JSON object")
        if not self._take("}"):
            pairs.append(self._pair())
            while self._take(","):
                pairs.append(self._pair())
            self._expect("}")
        return _unique(pairs)

    def objects(self) -> list[Members]:
        objects: list[Members] = []
        self._expect("[", "a batch must be a JSON array")
        if not self._take("]"):
            objects.append(self.object())
            while self._take(","):
                objects.append(self.object())
            self._expect("]")
        return objects

    def value(self) -> Member:
        start = self._at
        try:
            value, self._at = _DECODER.raw_decode(self._text, start)
        except json.JSONDecodeError:
            raise Malformed("the body is not valid JSON") from None
        except ValueError:  # the interpreter's limit on the digits of an integer
            raise Malformed("a number of the JSON text is out of range") from None
        member = Member(value, self._text[start : self._at])
        self._skip_blank()
        return member

    def end(self) -> None:
        if self._at != len(self._text):
            raise Malformed("the body is not valid JSON")

    def _pair(self) -> tuple[str, Member]:
        if not self._text.startswith('"', self._at):
            raise Malformed("the body is not valid JSON")
        key = self.value().value
        self._expect(":")
        return key, self.value()

    def _take(self, symbol: str) -> bool:
        if not self._text.startswith(symbol, self._at):
            return False
        self._at += 1
        self._skip_blank()
        return True

    def _expect(self, symbol: str, otherwise: str = "the body is not valid JSON") -> None:
        if not self._take(symbol):
            raise Malformed(otherwise)

    def _skip_blank(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
