"""Finds the files that an agent leaves, by globs that never lead out of the workspace."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

MAX_FILES = 100
MAX_BYTES = 256 * 1024 * 1024
_MAX_VISITED = 200_000


@dataclass
class Found:
    """Files by the name they are left under, and what is to be said about the search."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find(workspace: Path, patterns: Sequence[str]) -> Found:
    """Regular files that match. No link is followed, wherever it leads; * and ** stand for no dotted name."""
    found, paths, room = Found(), dict[Path, None](), MAX_BYTES
    for pattern in patterns:
        matches = list(_Walk(pattern).matches(workspace))
        if not matches:
            found.notes.append(f"no file matches {pattern}")
        paths.update(dict.fromkeys(matches))
    for path in list(paths)[:MAX_FILES]:
        size = _size(path)
        if size > room:
            found.notes.append(f"{path.relative_to(workspace)} is left out: more than {MAX_BYTES} bytes in all")
            del paths[path]
        else:
            room -= size
    if len(paths) > MAX_FILES:
        found.notes.append(f"only the first {MAX_FILES} of {len(paths)} files are left with the task")
    chosen = list(paths)[:MAX_FILES]
    names = Counter(path.name for path in chosen)
    for path in chosen:
        whole = "-".join(path.relative_to(workspace).parts)
        found.files.append((_printable(path.name if names[path.name] == 1 else whole), path))
    return found


class _Walk:
    """One search; it gives up after very many names, because a workspace may hold any number of them."""

    def __init__(self, pattern: str) -> None:
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        self._pattern = [part for at, part in enumerate(parts) if parts[at : at + 2] != ["**", "**"]]
        self._left = _MAX_VISITED

    def matches(self, workspace: Path) -> Iterator[Path]:
        return self._below(workspace, self._pattern)

    def _below(self, folder: Path, pattern: Sequence[str]) -> Iterator[Path]:
        if not pattern:
            return
        head, rest = pattern[0], pattern[1:]
        if head == "**":
            yield from self._below(folder, rest or ["*"])
        for entry in self._entries(folder):
            if head == "**":
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    yield from self._below(folder / entry.name, pattern)
            elif _fits(entry.name, head):
                if rest and entry.is_dir(follow_symlinks=False):
                    yield from self._below(folder / entry.name, rest)
                elif not rest and entry.is_file(follow_symlinks=False):
                    yield folder / entry.name

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return []
        self._left -= len(listed)
        return listed if self._left > 0 else []


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.lstat().st_size
    return 0


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in name)[-200:]
