"""What the Dockerfile of the functions says, without building it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.local.conformance.containers import USER
from tests.images.dockerfile import FUNCTIONS_DOCKERFILE, ROOT, config, instructions, last_stage
from tests.images.ignored import let_through
from tests.images.laid_out import closed

IGNORE_FILE = FUNCTIONS_DOCKERFILE.with_name("Dockerfile.dockerignore")
SECRET_OR_USELESS = (
    ".env",
    "functions/.env",
    "functions/callback/.env.local",
    "functions/callback/token.json",
    "shared/local/policy.yaml",
    "shared/secret.pem",
    ".git/config",
    ".venv/lib/python3.11/site-packages/flask/app.py",
    ".facteur/state.json",
    "tests/conftest.py",
    "knative/base/callback.yaml",
    "migrations/dump.sql.gz",
    "functions/callback/__pycache__/main.cpython-311.pyc",
)


def test_a_container_starts_as_nobody_in_particular_and_writes_to_tmp_alone() -> None:
    start = config()
    assert start.user == f"{USER}:{USER}"
    assert start.environment["HOME"] == "/tmp"
    assert start.environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert (start.entrypoint, start.command) == (["/app/start"], [])


def test_the_entry_point_is_a_program_and_not_a_line_for_a_shell() -> None:
    assert all(json.loads(rest) for name, rest in last_stage(FUNCTIONS_DOCKERFILE) if name in ("ENTRYPOINT", "CMD"))


def test_every_stage_has_the_same_python_at_an_exact_version() -> None:
    (default,) = [rest for name, rest in instructions(FUNCTIONS_DOCKERFILE) if rest.startswith("PYTHON_IMAGE=")]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-[a-z]+", default)
    bases = {rest.split(" AS ")[0].split()[-1] for name, rest in instructions(FUNCTIONS_DOCKERFILE) if name == "FROM"}
    assert bases == {"${PYTHON_IMAGE}", "packages"}


def test_the_last_stage_takes_what_the_script_has_made_and_nothing_else() -> None:
    copied = [rest.split() for name, rest in last_stage(FUNCTIONS_DOCKERFILE) if name in ("COPY", "ADD")]
    assert copied == [["--from=packages", "/app/packages", "/app/packages"], ["--from=code", "/code", "/app"]]
    made = " ".join(rest for name, rest in instructions(FUNCTIONS_DOCKERFILE) if name == "RUN")
    assert 'functions/build.sh packages "$FUNCTION" /app' in made
    assert 'functions/build.sh code "$FUNCTION" /code' in made


def test_no_secret_can_be_given_to_a_build() -> None:
    given = {rest.partition("=")[0] for name, rest in instructions(FUNCTIONS_DOCKERFILE) if name == "ARG"}
    assert given == {"PYTHON_IMAGE", "FUNCTION", "TARGETARCH", "VERSION", "REVISION"}


def test_what_is_secret_or_of_no_use_never_reaches_the_build() -> None:
    assert let_through(SECRET_OR_USELESS, IGNORE_FILE) == set()


def test_all_code_reaches_the_build() -> None:
    found = [path for place in ("functions", "shared", "migrations") for path in (ROOT / place).rglob("*")]
    code = {str(path.relative_to(ROOT)) for path in found if path.suffix in (".py", ".sql")}
    assert len(code) > 100
    needed = code | {"pyproject.toml", "uv.lock", "functions/build.sh"}
    assert let_through(needed, IGNORE_FILE) == needed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say uv, packages FUNCTION APP, or code FUNCTION APP"),
        (["code", "callback"], "say uv, packages FUNCTION APP, or code FUNCTION APP"),
        (["code", "nothing", "app"], "there is no function nothing"),
        (["ship", "callback", "app"], "there is no step ship"),
    ],
    ids=["nothing", "no folder", "unknown function", "unknown step"],
)
def test_a_wrong_call_of_the_script_is_refused_in_words(arguments: list[str], said: str, tmp_path: Path) -> None:
    words = [str(tmp_path / word) if word == "app" else word for word in arguments]
    done = subprocess.run([ROOT / "functions/build.sh", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"functions/build.sh: {said}\n")
    assert list(tmp_path.iterdir()) == []


def test_code_may_be_read_by_everybody_whatever_the_umask_of_who_builds(tmp_path: Path) -> None:
    command = [str(ROOT / "functions/build.sh"), "code", "callback", str(tmp_path / "app")]
    subprocess.run(command, env={**os.environ, "PYTHON": sys.executable}, umask=0o077, check=True)
    assert (tmp_path / "app/functions/callback/main.py").is_file()
    assert closed(tmp_path / "app") == []


def test_a_machine_without_packages_is_refused_in_words(tmp_path: Path) -> None:
    command = [str(ROOT / "functions/build.sh"), "packages", "callback", str(tmp_path / "app")]
    done = subprocess.run(command, env={"TARGETARCH": "s390x"}, capture_output=True, text=True, check=False)
    assert (done.returncode, "amd64 and arm64 only" in done.stderr) == (2, True)
