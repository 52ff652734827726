"""Which tables a function writes, followed from its code through the methods it calls to their SQL."""

import ast
import importlib
import re
from functools import cache

from tests.architecture.tree import classes, dotted, imports, modules, tree

_WRITE = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+codex_kb\.(\w+)")


def written_tables(function: str) -> set[str]:
    """Methods are found by name among those of the adapters that the function imports."""
    files = modules(f"functions/{function}")
    imported = {name for path in files for name in imports(path)}
    attributes = {node.attr for path in files for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    if "shared.events.announcer.Announcer" in imported:
        attributes.add("remove")  # what the announcer asks of the outbox
    called = [
        f"{dotted(path)}.{adapter.name}.{method.name}"
        for path in modules("shared/postgres")
        for adapter in classes(path)
        if f"{dotted(path)}.{adapter.name}" in imported
        for method in adapter.body
        if isinstance(method, ast.FunctionDef) and method.name in attributes
    ]
    return _tables(called)


def _tables(called: list[str]) -> set[str]:
    tables: set[str] = set()
    seen: set[str] = set()
    while called:
        name = called.pop()
        if name in seen or name not in _routines():
            continue
        seen.add(name)
        module, spoken = _routines()[name]
        constants = (getattr(importlib.import_module(module), word, None) for word in spoken)
        tables.update(*(_WRITE.findall(constant) for constant in constants if isinstance(constant, str)))
        called += [f"{module}.{word}" for word in spoken] + [f"shared.postgres.{word}" for word in spoken]
    return tables


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
