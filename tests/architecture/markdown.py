"""The project's documents, in pieces that a test can compare with the code."""

import re

from tests.architecture.tree import ROOT, text

DOCUMENTS = ("README.md", "ARCHITECTURE.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(document: str, language: str) -> list[str]:
    """The blocks of one language, "" for those of none."""
    return [block for name, block in _FENCE.findall(text(document)) if name == language]


def spans(document: str) -> list[str]:
    """Everything in backticks outside of the blocks."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", text(document)))


def said(document: str) -> list[str]:
    """Every span, and every line of a shell block."""
    return spans(document) + [line for block in fences(document, "sh") for line in block.splitlines()]


def table(document: str, first: str) -> list[list[str]]:
    """The rows of the table whose first heading is `first`, cell by cell."""
    lines = text(document).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
