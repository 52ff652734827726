"""Every function has the same rooms, and nothing grows beyond what can be read at once."""

import ast
import re
from pathlib import Path

import pytest

from shared.web.serve import FUNCTIONS as SERVED
from tests.architecture.data_sheet import data_sheet
from tests.architecture.loaded import loaded
from tests.architecture.test_events import WORDS, emitted
from tests.architecture.tree import FUNCTIONS, ROOT, classes, imports, kebab, modules, text, tree, use_cases
from tests.architecture.writes import written_tables

# Aims are 60 lines for a handler, 250 for a module, 30 for a function; these are the ends.
HANDLER_LINES = 100
MODULE_LINES = 300
FUNCTION_LINES = 40

SOURCES = modules("functions", "shared", "migrations")


def test_a_function_is_a_folder_and_every_folder_is_a_function() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/__init__.py")}
    assert folders == set(FUNCTIONS)
    assert set(map(kebab, FUNCTIONS)) == set(SERVED)
    assert {path.name for path in (ROOT / "functions").glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_the_same_rooms_as_every_other(function: str) -> None:
    folder = ROOT / "functions" / function
    assert {"__init__.py", "main.py", "wiring.py", "settings.py"} <= {path.name for path in folder.iterdir()}
    assert use_cases(function), "a function has a use case: a file with Protocols for what it needs"
    assert [node.name for node in classes(f"functions/{function}/settings.py")] == ["Settings"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_wiring_alone_connects_use_cases_with_doors(function: str) -> None:
    doors = {
        f"shared.{door}"
        for door in ("postgres", "redis", "broker", "embeddings", "artifacts", "processes", "kubernetes", "discord")
    }
    for path in modules(f"functions/{function}"):
        used = {".".join(name.split(".")[:2]) for name in imports(path)} & doors
        # Which embedder to use, where artifacts are and how Discord is reached are read from the environment.
        read = {"shared.embeddings", "shared.artifacts", "shared.discord"}
        places = {"wiring.py": doors, "settings.py": read, "setting_groups.py": read}
        # Discord is answered before the drivers are loaded that the rest needs.
        places["door_wiring.py"] = {"shared.broker"}
        allowed = places.get(Path(path).name, set())
        assert used <= allowed, path


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_handler_serves_the_functions_framework(function: str) -> None:
    path = f"functions/{function}/main.py"
    handlers = [node for node in tree(path).body if isinstance(node, ast.FunctionDef) and node.name == "handle"]
    assert [ast.unparse(decorator) for decorator in handlers[0].decorator_list] == ["functions_framework.http"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_data_sheet_names_the_routes_that_are_registered(function: str) -> None:
    sheet = data_sheet(function)
    assert sheet.title == kebab(function)
    assert sheet.routes == loaded(function).routes


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_data_sheet_names_the_events_that_are_handled_and_made(function: str) -> None:
    sheet = data_sheet(function)
    assert {WORDS[word] for word in sheet.hears} == loaded(function).events
    assert {WORDS[word] for word in sheet.says} == emitted(function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_data_sheet_names_the_tables_that_are_written(function: str) -> None:
    elsewhere = {"jobs", "files", "vectors of questions and the pace of an API in Redis"}
    elsewhere |= {"vectors and due times in Redis", "tokens and sessions in Redis"}
    assert data_sheet(function).writes - elsewhere == written_tables(function)


def test_handlers_stay_short() -> None:
    assert not [f for f in FUNCTIONS if len(text(f"functions/{f}/main.py").splitlines()) > HANDLER_LINES]


def test_modules_stay_short() -> None:
    assert not [path for path in SOURCES if len(text(path).splitlines()) > MODULE_LINES]


def test_functions_stay_short() -> None:
    long = [
        f"{path}:{node.name}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
    ]
    assert not long


def test_nothing_is_named_for_nothing() -> None:
    banned = {"utils", "util", "helpers", "helper", "common", "manager", "service", "misc", "base"}
    assert not [path for path in SOURCES if banned & set(path.removesuffix(".py").split("/"))]


def test_migrations_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (ROOT / "migrations").glob("*.sql"))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in names)
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
