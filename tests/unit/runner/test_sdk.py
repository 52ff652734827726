"""The SDK runs in any container that has a Python: nothing to install, nothing too new."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shared.runner

ROOT = Path(shared.runner.__file__).parents[2]
MODULES = sorted(Path(shared.runner.__file__).parent.rglob("*.py"))
each_module = pytest.mark.parametrize("module", MODULES, ids=[path.stem for path in MODULES])


@each_module
def test_a_module_is_written_in_the_grammar_of_python_3_9(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"), feature_version=(3, 9))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    futures = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert module.stem == "__init__" or futures[0] == "__future__", "annotations must not be evaluated"


@each_module
def test_a_module_imports_the_standard_library_and_its_siblings_only(module: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module or "")
    foreign = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert all(name == "shared.runner" or name.startswith("shared.runner.") for name in foreign), foreign


def test_the_sdk_loads_without_any_installed_package(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import shared.runner
foreign = [n for n in sys.modules if n.split(".")[0] not in sys.stdlib_module_names | {{"shared", "__main__"}}]
print(foreign, [n for n in sys.modules if n.startswith("shared.") and not n.startswith("shared.runner")])
"""
    isolated = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(isolated, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[] []\n"
