"""The project's own source, as the tests of this folder read it."""

import ast
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = tuple(sorted(path.parent.name for path in (ROOT / "functions").glob("*/main.py")))


def modules(*places: str) -> list[str]:
    """Every Python file below the places, by its path from the root; generated ones are left out."""
    found = (path for place in places for path in (ROOT / place).rglob("*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in found if not path.name.endswith("_pb2.py"))


def below(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder whose names fit, but nothing hidden: what `knative/deploy.sh` renders comes and goes."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if fnmatch(name, pattern)]
    return sorted(found)


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def targets() -> set[str]:
    """What can be made."""
    return set(re.findall(r"^([a-z0-9-]+):", text("Makefile"), re.MULTILINE))


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def dotted(path: str) -> str:
    """The name by which a file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str) -> set[str]:
    """The modules that a file imports anywhere; `from a import b` is `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} imports relatively"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def classes(path: str) -> Iterator[ast.ClassDef]:
    return (node for node in tree(path).body if isinstance(node, ast.ClassDef))


def is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def use_cases(function: str) -> list[str]:
    """The files of a function that declare what they need as Protocols."""
    return [path for path in modules(f"functions/{function}") if any(map(is_protocol, classes(path)))]


def code(function: str) -> list[str]:
    """The files of a function, and the use cases that it shares with others: what makes events, but no catalogue."""
    own = modules(f"functions/{function}")
    shared = [path for path in modules("shared/events") if "shared.events.catalogue.announce" in imports(path)]
    return own + [path for path in shared if any(dotted(path) in imports(user) for user in own)]


def kebab(function: str) -> str:
    """The name of the service of a function's folder."""
    return function.replace("_", "-")
