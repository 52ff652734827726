"""YAML as people write settings: a map, read as text, so that `no`, `010` and `1e3` mean what they say.

Anchors, aliases, tags and a second document are refused. Imported only where a file is named: nobody
else pays for PyYAML.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from shared.watched_file import read_text

_MAX_DEPTH = 16
_MAX_NAME = 400
_NULLS = ("", "~", "null", "Null", "NULL")


class Unreadable(ValueError):
    """The file cannot be read as YAML at all; the message says why, and shows nothing of it."""


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The map that the file is, every scalar a string or None, and the names that are there twice."""
    try:
        text = read_text(path)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return parse(text)


def parse(text: str) -> tuple[dict[str, Any], list[str]]:
    """The same, of the text of a file."""
    document = _Document(text)
    return document.root(), document.mistakes


class _Document:
    """A YAML document built from the parser's events: every scalar a string, or None if it is left empty."""

    def __init__(self, text: str) -> None:
        self.mistakes: list[str] = []
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)

    def root(self) -> dict[str, Any]:
        """The map that the file is; Unreadable if it is anything else."""
        try:
            return self._root()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise Unreadable("is not YAML" + (f": see line {mark.line + 1}" if mark else "")) from None

    def _root(self) -> dict[str, Any]:
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Unreadable("holds more than one document")
                value = self._value(next(self._events), "", 1)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Unreadable("must be a map of keys")
        return value

    def _value(self, event: Any, path: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Unreadable(f"is nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None or event.tag is not None:
            line = event.start_mark.line + 1
            raise Unreadable(f"uses an anchor, an alias or a tag in line {line}: write the value out")
        if isinstance(event, yaml.MappingStartEvent):
            return self._map(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path, depth)
        if "\0" in event.value:
            raise Unreadable(f"holds the character U+0000 in line {event.start_mark.line + 1}")
        plain = event.implicit[0]
        return None if plain and event.value in _NULLS else event.value

    def _list(self, path: str, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, f"{path}{len(values)}.", depth + 1))
        return values

    def _map(self, path: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._value(event, path, depth + 1)
            if not isinstance(name, str) or not name.isprintable() or len(name) > _MAX_NAME:
                raise Unreadable(f"has a key that is no name in line {event.start_mark.line + 1}")
            if name in values:
                self.mistakes.append(f"{path}{name} is there twice")
            values[name] = self._value(next(self._events), f"{path}{name}.", depth + 1)
        return values
