"""What a statement of SQL is in this source, and how it is told to PostgreSQL without its values."""

import re

STATEMENT = re.compile(r"\s*(--[^\n]*\s+)*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|TRUNCATE)\s")
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s|%%")


def numbered(statement: str) -> str:
    """The statement with `$n` for each placeholder, one number for one name."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match[1] or f"#{len(names)}"
        return f"${names.setdefault(name, len(names) + 1)}"

    return _PLACEHOLDER.sub(number, statement)
