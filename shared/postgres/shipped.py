"""What the migrations of this version make: their digests, and the definitions of their indexes."""

import re
from collections.abc import Mapping

from shared.postgres.migrations import shipped

_STATEMENT = re.compile(
    r"\bCREATE (?:UNIQUE )?INDEX (?P<name>\w+)\s+ON (?P<table>codex_kb\.\w+)[^;]*"
    r"|DROP INDEX (?:codex_kb\.)?(?P<dropped>\w+)"
    r"|ALTER TABLE (?P<altered>codex_kb\.\w+)[^;]*?DROP COLUMN[^;]*"
)
_DROPPED_COLUMN = re.compile(r"\bDROP COLUMN (\w+)")
_COMMENT = re.compile(r"--[^\n]*")


def indexes() -> Mapping[str, str]:
    """By name the statement that makes each index, without holding anybody up.

    An index goes with a column that it reads, and so does its definition.
    """
    known: dict[str, tuple[str, str]] = {}
    for _, text, _ in shipped():
        for match in _STATEMENT.finditer(_COMMENT.sub("", text)):
            if name := match["name"]:
                known[name] = (match["table"], " ".join(match[0].split()))
            elif match["dropped"]:
                known.pop(match["dropped"], None)
            else:
                _forget(known, match["altered"], _DROPPED_COLUMN.findall(match[0]))
    return {
        name: statement.replace(" INDEX ", " INDEX CONCURRENTLY ", 1) + ";" for name, (_, statement) in known.items()
    }


def _forget(known: dict[str, tuple[str, str]], table: str, columns: list[str]) -> None:
    for name, (of, statement) in list(known.items()):
        if of == table and any(re.search(rf"\b{column}\b", statement) for column in columns):
            del known[name]


def digests() -> Mapping[str, str]:
    """By name the digest of each migration."""
    return {name: digest for name, _, digest in shipped()}
