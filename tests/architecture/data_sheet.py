"""The data sheet of a function: what the docstring of its main.py says about In, Out and Writes."""

import ast
import re
from dataclasses import dataclass

from tests.architecture.tree import tree

_ROUTE = re.compile(r"(GET|POST|PUT|DELETE) (/[^\s,;]*)")


@dataclass(frozen=True)
class DataSheet:
    """Routes are `METHOD /path/{}`; events are words of the catalogue."""

    title: str
    routes: frozenset[str]
    hears: frozenset[str]
    says: frozenset[str]
    writes: frozenset[str]


def data_sheet(function: str) -> DataSheet:
    document = ast.get_docstring(tree(f"functions/{function}/main.py")) or ""
    title, _, body = document.partition(".\n")
    parts = dict(re.findall(r"^(\w+): *(.*(?:\n[ \t]+.*)*)", body, re.MULTILINE))
    assert list(parts) == ["In", "Out", "Writes"], f"{function}/main.py says In, Out and Writes, in this order"
    said = {name: re.sub(r"\s*\([^)]*\)|\n", "", re.sub(r"\s+", " ", part)) for name, part in parts.items()}
    return DataSheet(
        title,
        frozenset(f"{method} {shape(path)}" for method, path in _ROUTE.findall(said["In"])),
        words(said["In"].partition("broker: ")[2].partition(";")[0]),
        words(said["Out"].partition(";")[0]),
        words(re.sub("[;]", ",", said["Writes"])),
    )


def shape(path: str) -> str:
    return re.sub(r"\{\w*\}", "{}", path)


def words(listed: str) -> frozenset[str]:
    return frozenset(word.strip() for word in listed.split(",") if word.strip() not in ("", "nothing"))
