"""Who may import whom: one door for each driver, words and use cases without any, and no empty contract."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import (
    FUNCTIONS,
    ROOT,
    classes,
    dotted,
    imports,
    is_protocol,
    modules,
    text,
    tree,
    use_cases,
    within,
)

# Every package that is not ours: where it may be imported. A place is a folder or a file.
DOORS: dict[str, tuple[str, ...]] = {
    "psycopg": (
        "shared/postgres/",
        "shared/local/servers/postgres.py",  # asks its own server whether it answers
    ),
    "psycopg_pool": ("shared/postgres/",),
    "redis": (
        "shared/redis/",
        "shared/local/broker/",  # keeps its events there
        "shared/local/twin.py",  # asks the user's own server whether it answers
    ),
    "pycurl": ("shared/broker/",),
    "kubernetes": ("shared/kubernetes/",),
    "urllib3": (
        "shared/kubernetes/",
        "shared/discord/",
        "shared/cli/discord.py",  # posts as Discord does
        "shared/local/demo/story.py",  # the demo is a client from outside
    ),
    "openai": ("shared/embeddings/",),
    "obstore": ("shared/artifacts/",),
    "nacl": (
        "functions/discord_interaction/signature.py",
        "shared/local/discord.py",  # makes test keys, and signs as Discord does
    ),
    "google": (
        "shared/events/protobuf/",
        "shared/local/demo/inputs.py",  # sends what the earlier system sends
    ),
    "opentelemetry": ("shared/telemetry_export.py",),
    "granian": ("shared/web/serve.py",),
    "werkzeug": ("shared/web/edge.py",),
    "flask": (
        "shared/web/",
        "functions/callback/artifacts.py",
        "functions/callback/reporting.py",
        "functions/codex_intake/doors.py",
        "functions/codex_intake/questions.py",
        "functions/codex_intake/views.py",
        "functions/discord_interaction/door.py",
        "functions/discord_interaction/events.py",
        "functions/memory_query/asking.py",
        *(f"functions/{function}/main.py" for function in FUNCTIONS),
    ),
    "functions_framework": tuple(f"functions/{function}/main.py" for function in FUNCTIONS),
    "msgspec": (
        "shared/embeddings/openai.py",  # thousands of numbers a text
        "shared/events/catalogue.py",
        "shared/local/event_documents.py",  # the schemas of these
        "shared/web/",
        "shared/postgres/reports.py",  # many events become one parameter
        "shared/postgres/tasks.py",  # many tasks become one parameter
        # the shapes of what a function is sent and answers
        "functions/callback/artifact_bodies.py",
        "functions/callback/bodies.py",
        "functions/codex_intake/answers.py",
        "functions/codex_intake/openapi.py",
        "functions/codex_intake/producers.py",
        "functions/codex_intake/questions.py",
        "functions/codex_intake/shapes.py",
        "functions/discord_interaction/interaction.py",
        "functions/memory_query/bodies.py",
    ),
    "aiohttp": ("shared/local/",),
    "multidict": ("shared/local/gateway.py",),
    "yarl": ("shared/local/gateway.py",),
    "croniter": ("shared/local/broker/", "shared/local/manifest_fields.py"),
    "psutil": ("shared/local/",),
    "yaml": (
        "shared/yaml_document.py",
        "shared/local/",  # reads manifests
    ),
    "typer": ("shared/cli/",),
    "rich": ("shared/cli/",),
}
OURS = {"functions", "shared", "migrations"}
SOURCES = modules("functions", "shared", "migrations")


def _foreign(path: str) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} - OURS - sys.stdlib_module_names


def test_each_driver_is_imported_by_its_door_only() -> None:
    astray = [
        f"{path} imports {package}: give it a door, or name the place and the reason in DOORS"
        for path in SOURCES
        for package in _foreign(path)
        if not path.startswith(DOORS.get(package, ()))
    ]
    assert not astray, "\n".join(astray)


def test_every_place_that_may_import_a_driver_does() -> None:
    stale = [
        f"{place} does not import {package}"
        for package, places in DOORS.items()
        for place in places
        # Generated classes are not read as source.
        if place != "shared/events/protobuf/"
        and not any(package in _foreign(path) for path in SOURCES if path.startswith(place))
    ]
    assert not stale, "\n".join(stale)


@pytest.mark.parametrize("package", ["shared/domain", "shared/runner"])
def test_words_and_the_runner_need_the_standard_library_and_themselves_only(package: str) -> None:
    files = modules(package)
    assert files
    for path in files:
        ours = {name for name in imports(path) if name.split(".")[0] in OURS}
        assert not _foreign(path), path
        assert all(within(name, dotted(package)) for name in ours), path


def test_the_runner_is_written_in_the_syntax_of_python_3_9() -> None:
    for path in modules("shared/runner"):
        ast.parse(text(path), path, feature_version=(3, 9))


PURE = [path for function in FUNCTIONS for path in use_cases(function)]
IMPURE_MODULES = {"os", "time", "random", "secrets", "socket", "subprocess", "threading", "io", "pathlib"}
IMPURE_NAMES = {"uuid1", "uuid4", "now", "utcnow", "today", "environ", "getenv", "open", "sleep", "urandom"}


def _impurities(path: str) -> Iterator[str]:
    for name in imports(path):
        if name.split(".")[0] in IMPURE_MODULES or name.split(".")[-1] in IMPURE_NAMES:
            yield f"{path} imports {name}"
    for node in ast.walk(tree(path)):
        called = node.func if isinstance(node, ast.Call) else None
        # A port may well have a method `open`; the module-level name is the file system.
        if isinstance(called, ast.Name) and called.id in IMPURE_NAMES:
            yield f"{path} calls {called.id}"
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            module = {"datetime", "date", "uuid", "os", "time"} & {called.value.id}
            if module and called.attr in IMPURE_NAMES | {"time", "monotonic"}:
                yield f"{path} calls {called.value.id}.{called.attr}"


@pytest.mark.parametrize("path", PURE)
def test_a_use_case_asks_no_clock_no_environment_and_no_dice(path: str) -> None:
    assert not list(_impurities(path))


@pytest.mark.parametrize("path", PURE)
def test_a_use_case_imports_words_and_facts_and_nothing_below_them(path: str) -> None:
    function = ".".join(dotted(path).split(".")[:2])
    allowed = ("shared.domain", "shared.events", function)
    ours = {name for name in imports(path) if name.split(".")[0] in OURS}
    assert not _foreign(path)
    assert all(any(within(name, package) for package in allowed) for name in ours), sorted(ours)


CONFIGURATION = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]
CONTRACTS = {contract["name"].split(":")[0]: contract for contract in CONFIGURATION["contracts"]}


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_every_module_that_a_contract_names_exists() -> None:
    for contract in CONTRACTS.values():
        named = [
            *contract.get("modules", ()),
            *contract.get("source_modules", ()),
            *contract.get("forbidden_modules", ()),
        ]
        layers = [name.strip() for layer in contract.get("layers", ()) for name in layer.split("|")]
        ours = [name for name in [*named, *layers] if name.split(".")[0] in OURS]
        assert ours
        assert [name for name in ours if not _is_module(name)] == []


def test_every_function_and_every_package_stands_in_a_contract() -> None:
    functions = {f"functions.{function}" for function in FUNCTIONS}
    assert set(CONTRACTS["No function knows another"]["modules"]) == functions
    layers = CONTRACTS["Functions stand on the web edge, the edge on doors, doors on facts, facts on words"]["layers"]
    placed = {name.strip() for layer in layers for name in layer.split("|")} | {"shared.runner"}
    packages = {f"shared.{path.parent.name}" for path in (ROOT / "shared").glob("*/__init__.py")}
    assert packages <= placed


def test_every_use_case_is_in_the_contract_that_keeps_it_pure() -> None:
    contract = CONTRACTS["Use cases are pure"]
    assert {dotted(path) for path in PURE} <= set(contract["source_modules"])
    doors = {dotted(place.rstrip("/")) for places in DOORS.values() for place in places if place.startswith("shared/")}
    doors = {door for door in doors if door.count(".") == 1} - {
        "shared.local",
        "shared.cli",
        "shared.telemetry",
        "shared.settings_file",
    }
    assert doors <= set(contract["forbidden_modules"])


def test_the_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_protocol_stands_beside_the_use_case_that_needs_it(function: str) -> None:
    for path in use_cases(function):
        name = "".join(part.capitalize() for part in Path(path).stem.split("_"))
        own = [node.name for node in classes(path) if not is_protocol(node)]
        assert name in own, f"{path} declares Protocols and no class {name} that needs them"
