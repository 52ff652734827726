"""Which files a build may see, by the rules of a `.dockerignore`: the last pattern that fits decides."""

import re
from collections.abc import Iterable
from pathlib import Path


def let_through(paths: Iterable[str], ignore_file: Path) -> set[str]:
    """Those of the paths, relative to the root of the build, that reach the build."""
    rules = [(not line.startswith("!"), _pattern(line.removeprefix("!"))) for line in _lines(ignore_file)]
    return {path for path in paths if not _ignored(path, rules)}


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]


def _ignored(path: str, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    decided = [ignores for ignores, pattern in rules if pattern.fullmatch(path)]
    return bool(decided) and decided[-1]


def _pattern(line: str) -> re.Pattern[str]:
    """`*` stays within a folder, `**/` is any folders or none, and what fits a folder fits all that is in it."""
    parts = re.split(r"(\*\*/|\*)", line)
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts) + "(?:/.*)?")
