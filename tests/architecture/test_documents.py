"""What the documents say of the code is true."""

import ast
import inspect
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer

from shared.cli.main import app
from shared.local.gateway import INDEX
from shared.postgres.launches import PgLaunches
from shared.postgres.outbox import PgOutbox
from shared.postgres.runs import PgRuns
from shared.web.problems import _STATUS
from tests.architecture.data_sheet import data_sheet, shape
from tests.architecture.loaded import loaded
from tests.architecture.markdown import DOCUMENTS, fences, said, spans, table
from tests.architecture.test_imports import CONTRACTS
from tests.architecture.tree import FUNCTIONS, ROOT, kebab, modules, targets, text, tree

_VARIABLE = re.compile(r"\b(?:(?:FACTEUR|GRAF|OPENAI|OTEL|CODEX|K)_[A-Z_]+|PORT|TRACEPARENT)\b")
_ROUTE = re.compile(r"\b(GET|POST|PUT|DELETE) (/\S*)")
_PLACE = re.compile(r"([\w./-]+\.py):(\w+(?:\.\w+)?)")
_RULE = re.compile(r"(test_\w+)\.(test_\w+)")


def _constants() -> Iterator[str]:
    for path in modules("functions", "shared"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


VARIABLES = {value for value in _constants() if _VARIABLE.fullmatch(value)}
TARGETS = targets()


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command by its words, like `dlq ls`, with its options."""
    yield name, {option for parameter in command.params for option in parameter.opts}
    for word, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {word}".strip())


COMMANDS = dict(_commands(typer.main.get_command(app)))


def _routes() -> set[str]:
    own = {route for function in FUNCTIONS for route in loaded(function).routes}
    return own | {"GET /healthz", "GET /readyz", f"POST {INDEX['broker']}"}


def _everything() -> str:
    """What a word in a document may come from."""
    places = ("functions", "shared", "migrations", "eventing", "tests")
    files = [path for place in places for path in (ROOT / place).rglob("*") if path.suffix in (".py", ".sql", ".yaml")]
    return " ".join(path.read_text() for path in [*files, ROOT / "Makefile", ROOT / "pyproject.toml"])


# --- names ---


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_variable_that_a_document_names_is_read(document: str) -> None:
    assert set(_VARIABLE.findall(text(document))) <= VARIABLES


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_a_document_names_exists(document: str) -> None:
    for line in said(document):
        assert set(re.findall(r"^make ([a-z0-9-]+)", line)) <= TARGETS, line
        for words in re.findall(r"^(?:\.venv/bin/)?facteur ([a-z].*)", line):
            name = next((name for name in _longest(COMMANDS) if f"{words} ".startswith(f"{name} ")), "")
            assert name, line
            assert set(re.findall(r"--[a-z-]+", words)) <= COMMANDS[name], line
        if line.startswith("--"):
            assert any(line.split()[0] in options for options in COMMANDS.values()), line
        for module in re.findall(r"^python -m ([\w.]+)", line):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file() or _is_program(module), line


def _longest(names: Iterable[str]) -> list[str]:
    return sorted(filter(None, names), key=len, reverse=True)


def _is_program(module: str) -> bool:
    return (ROOT / module.replace(".", "/") / "__main__.py").is_file()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_and_link_in_a_document_leads_somewhere(document: str) -> None:
    here = (ROOT / document).parent
    assert all((here / target).exists() for target in re.findall(r"\]\(([^)#:]+)\)", text(document)))
    top = {path.name for path in ROOT.iterdir()}
    for span in spans(document):
        path = span.partition(":")[0]
        if path.split("/")[0] in top and re.fullmatch(r"[\w./<>*-]+", path) and not path.startswith((".venv", ".fact")):
            assert list(ROOT.glob(re.sub("<[^>]*>", "*", path).rstrip("/"))), span


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_place_in_the_code_that_a_document_names_is_there(document: str) -> None:
    for path, symbol in (match.groups() for span in spans(document) if (match := _PLACE.fullmatch(span))):
        owner, _, member = symbol.partition(".")
        node = _defined(tree(path).body, owner)
        assert node is not None, f"{path}:{symbol}"
        assert not member or (isinstance(node, ast.ClassDef) and _defined(node.body, member)), f"{path}:{symbol}"


def _defined(body: list[ast.stmt], name: str) -> ast.stmt | None:
    for node in body:
        named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        assigned = isinstance(node, ast.Assign) and any(ast.unparse(target) == name for target in node.targets)
        if named or assigned:
            return node
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_route_that_a_document_names_is_served(document: str) -> None:
    for line in said(document):
        for method, path in _ROUTE.findall(line):
            assert f"{method} {shape(path)}" in _routes(), line
        for path in re.findall(r"\$URL(/\S*)", line):
            method = "POST" if " -d " in line else "GET"
            assert f"{method} {re.sub('[$][A-Z]+', '{}', path)}" in _routes(), line


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_other_word_in_backticks_occurs_in_the_code(document: str) -> None:
    everything = _everything()
    strange = [
        span
        for span in spans(document)
        if not span.startswith(("contract:", "make ", ".facteur"))
        and not _RULE.fullmatch(span)
        and not all(word in everything for word in re.findall(r"[\w-]+", span) if len(word) > 1)
        and not (ROOT / span).exists()
    ]
    assert not strange


# --- README.md ---


def test_the_readme_begins_with_the_two_commands_and_ci_runs_the_second_first() -> None:
    assert fences("README.md", "sh")[0].splitlines() == ["make demo", "make test"]
    made = re.findall(r"^make .*", text(".ci/run"), re.MULTILINE)
    assert made[0] == "make test"
    checked = re.search(r"^check: (.*) ##", text("Makefile"), re.MULTILINE)
    assert checked
    assert set(checked[1].split()) <= set(" ".join(made).split())


def test_make_alone_lists_every_target() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listed = subprocess.run(["make"], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert {line.split()[0] for line in listed.stdout.splitlines()} == TARGETS
    phony = re.search(r"^\.PHONY: (.*)", text("Makefile"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == TARGETS


def test_the_readme_lists_the_functions_as_their_data_sheets_do() -> None:
    rows = {row[0]: row[1:] for row in table("README.md", "function")}
    assert rows.keys() == set(map(kebab, FUNCTIONS))
    for function in FUNCTIONS:
        sheet = data_sheet(function)
        wakes, _, emits = rows[kebab(function)]
        assert {f"{method} {shape(path.rstrip('`,;'))}" for method, path in _ROUTE.findall(wakes)} == sheet.routes
        assert set(re.findall(r"`([^`]+)`", wakes.partition("broker: ")[2])) == sheet.hears
        assert set(re.findall(r"`([^`]+)`", emits)) == sheet.says


# --- ARCHITECTURE.md ---


def test_the_map_shows_every_folder_and_nothing_else() -> None:
    shown, above = set(), ""
    for line in fences("ARCHITECTURE.md", "")[0].splitlines():
        name = line.split()[0]
        above = above if line.startswith(" ") else name
        shown.add(above + name if line.startswith(" ") else name)
    assert shown == set(_folders())


def _folders() -> Iterator[str]:
    """Folders that hold something, two deep, and the modules that stand alone in `shared`."""
    ignored = text(".gitignore").split()
    # What editors and tools keep for themselves is hidden; what CI runs is ours.
    places = (path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name in (".ci", ".github"))
    for top in places:
        if any(_files(top)) and not any(fnmatch(f"{top.name}/", pattern) for pattern in ignored):
            yield f"{top.name}/"
            shown = (inner for inner in top.iterdir() if inner.is_dir() and not inner.name.startswith("."))
            yield from (f"{top.name}/{inner.name}/" for inner in shown if any(_files(inner)))
    yield from (f"shared/{path.name}" for path in (ROOT / "shared").glob("*.py") if path.name != "__init__.py")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_every_rule_that_the_architecture_names_is_kept_by_something() -> None:
    kept = 0
    for span in spans("ARCHITECTURE.md"):
        if rule := _RULE.fullmatch(span):
            assert _defined(tree(f"tests/architecture/{rule[1]}.py").body, rule[2]), span
            kept += 1
        if span.startswith("contract: "):
            assert span.removeprefix("contract: ") in CONTRACTS, span
            kept += 1
    assert kept > 15


def test_the_architecture_tells_errors_as_the_edge_does() -> None:
    rows = {row[0].strip("`"): int(row[1]) for row in table("ARCHITECTURE.md", "raised")}
    assert rows == {kind.__name__: status.value for kind, status in _STATUS.items()}


def test_the_architecture_tells_waits_as_the_code_does() -> None:
    stuck = inspect.signature(PgRuns.open).parameters["stuck_seconds"].default
    lease = inspect.signature(PgLaunches).parameters["lease_seconds"].default
    left = inspect.signature(PgOutbox.relay).parameters["older_than"].default
    document = text("ARCHITECTURE.md")
    assert f"waits for its launch for {stuck:.0f} seconds" in document
    assert f"taken over after {lease:.0f}" in document
    assert f"left over for {left:.0f} seconds" in document
