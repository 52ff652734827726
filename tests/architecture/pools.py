"""How many connections functions open."""

import ast
import re

from tests.architecture.tree import text, tree


def pooled(function: str) -> int:
    """How many connections one process of the function opens at most."""
    default = re.search(r"dsn: str, size: int = (\d+)", text("shared/postgres/database.py"))
    assert default
    sizes = [
        next((ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg == "size"), int(default[1]))
        for node in ast.walk(tree(f"functions/{function}/wiring.py"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Database"
    ]
    assert sizes
    return sum(sizes)
