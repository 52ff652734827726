"""`facteur runner check` at the terminal: images and commands, exit codes, and what a mistake is answered."""

import json
import shutil
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.local.conformance.checks import CHECKS
from tests.component.runner.fake_engine import IMAGE

AGENT = str(Path(__file__).with_name("plain_agent.py"))
FAKE = Path(__file__).with_name("fake_engine.py")


def facteur(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, ["runner", "check", *arguments], env=env)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A folder with nothing but a docker that plays."""
    folder = tmp_path / "bin"
    folder.mkdir()
    docker = folder / "docker"
    docker.write_text(f'#!/bin/sh\nexec {sys.executable} {folder / "engine.py"} "$@"\n')
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    shutil.copy(FAKE, folder / "engine.py")
    shutil.copy(AGENT, folder / "plain_agent.py")
    return folder


def test_an_image_that_keeps_the_contract_passes_as_a_container_without_rights(engine: Path) -> None:
    done = facteur("--json", "--env", "A_KEY", IMAGE, PATH=str(engine), A_KEY="a-secret-key")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["passed"]
    assert {one["state"] for one in told["checks"]} == {"passed"}
    started = [json.loads(path.read_text()) for path in engine.glob("*.json")]
    assert len(started) == 10
    for arguments in started:
        assert {"--read-only", "--user=65532:65532", "--cap-drop=ALL", "--rm", "--network=host"} <= set(arguments)
        assert "--env=A_KEY" in arguments
        assert "a-secret-key" not in " ".join(arguments)


def test_an_image_may_be_given_arguments_and_is_named_as_one_by_the_engine(engine: Path) -> None:
    done = facteur("--engine", "docker", "--timeout", "60", IMAGE, "valid", PATH=str(engine))
    assert done.exit_code == 1
    assert [line.split()[:2] for line in done.stdout.splitlines() if line[0] != " "] == [
        ["✗" if name == "valid" else "✓", name] for name in [*(one.name for one in CHECKS), "hides"]
    ]
    assert "eventType" in done.stdout


def test_an_image_that_is_not_there_is_no_failed_check(engine: Path) -> None:
    done = facteur("registry.test/unknown:1", PATH=str(engine))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "docker cannot run this image: docker: no such image: registry.test/unknown:1\n"


def test_without_an_engine_it_says_what_is_missing(tmp_path: Path) -> None:
    done = facteur("registry.test/agent:1", PATH=str(tmp_path))
    assert done.exit_code == 2
    assert done.stderr == (
        "registry.test/agent:1 is no program here, and there is no docker or podman to run it as an image\n"
    )


@pytest.mark.parametrize("words", [["/nowhere/agent"], ["./agent"], ["nothing-like-this", "argument"]])
def test_a_program_that_is_not_there_is_not_taken_for_an_image(words: list[str], engine: Path) -> None:
    done = facteur("--", *words, PATH=str(engine))
    assert done.exit_code == 2
    assert done.stderr == f"{words[0]} is no program here; --engine says that it is an image\n"


@pytest.mark.parametrize(
    "options", [["--engine", "lxc", "image"], ["--env", "NOT_SET_ANYWHERE", "image"], ["--timeout", "0", "image"], []]
)
def test_wrong_usage_is_told_apart_from_a_failed_check(options: list[str]) -> None:
    assert facteur(*options).exit_code == 2


def test_a_command_that_reports_nothing_fails_with_advice() -> None:
    done = facteur("true")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "✗ authorises  sends the token of the token file with every request",
        "              no event arrived (exit code 0; its last words: none).",
        "              Send `Authorization: Bearer` and the content of the file that CODEX_CALLBACK_TOKEN_FILE names.",
    ]


def test_what_a_container_says_steers_no_terminal() -> None:
    done = facteur("--", sys.executable, "-c", r"print('\x1b[31mred [bold]')")
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout
    assert "?[31mred [bold]" in done.stdout


def test_a_command_sees_nothing_of_the_environment_but_what_is_named() -> None:
    program = "import os; print(sorted(n for n in os.environ if n.endswith('_OF_MINE')))"
    done = facteur("--env", "B_OF_MINE", "--", sys.executable, "-c", program, A_OF_MINE="1", B_OF_MINE="2")
    assert "its last words: ['B_OF_MINE']" in done.stdout
