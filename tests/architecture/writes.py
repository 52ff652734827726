"""The SQL of a function, followed from its code through the methods it calls; and the tables that it writes."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache

from tests.architecture.tree import classes, code, dotted, imports, modules, tree

_WRITE = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+codex_kb\.(\w+)")
_ANNOUNCERS = {"shared.events.announcer.Announcer", "shared.events.announcer.BackgroundAnnouncer"}


def written_tables(function: str) -> set[str]:
    return {table for text in spoken_sql(function) for table in _WRITE.findall(text)}


@cache
def spoken_sql(function: str) -> frozenset[str]:
    """Statements and parts of statements. Methods are found by name among those of the adapters that are imported."""
    files = code(function)
    imported = {name for path in files for name in imports(path)}
    attributes = {node.attr for path in files for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    attributes.add("__init__")
    if _ANNOUNCERS & imported:
        attributes.add("remove")  # what the announcer asks of the outbox
    called = [
        f"{dotted(path)}.{adapter.name}.{method.name}"
        for path in modules("shared/postgres")
        for adapter in classes(path)
        if f"{dotted(path)}.{adapter.name}" in imported
        for method in adapter.body
        if isinstance(method, ast.FunctionDef) and method.name in attributes
    ]
    return frozenset(_followed(called))


def _followed(called: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    while called:
        name = called.pop()
        if name in seen or name not in _routines():
            continue
        seen.add(name)
        module, spoken = _routines()[name]
        for word in spoken:
            constant = getattr(importlib.import_module(module), word, None)
            yield from _texts(constant)
        called += [f"{module}.{word}" for word in spoken] + [f"shared.postgres.{word}" for word in spoken]


def _texts(constant: object) -> list[str]:
    parts = constant.values() if isinstance(constant, dict) else [constant]
    return [part for part in parts if isinstance(part, str)]


@cache
def _routines() -> dict[str, tuple[str, set[str]]]:
    """Each function and method of shared.postgres: its module, and the names that it speaks of."""
    found = {}
    for path in modules("shared/postgres"):
        module = dotted(path)
        owners = {"": tree(path).body, **{f"{owner.name}.": owner.body for owner in classes(path)}}
        for within, body in owners.items():
            for node in body:
                if isinstance(node, ast.FunctionDef):
                    spoken = {_spoken(part, within) for part in ast.walk(node)}
                    found[f"{module}.{within}{node.name}"] = (module, spoken)
    return found


def _spoken(node: ast.AST, within: str) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{within}{node.attr}" if node.value.id == "self" else f"{node.value.id}.{node.attr}"
    return ""
