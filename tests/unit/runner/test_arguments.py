"""The command line says what to run, and every mistake ends with code 2."""

import os
from pathlib import Path

import pytest

from shared.runner.wrapping.arguments import read_arguments


def test_what_is_not_said_has_a_default() -> None:
    options = read_arguments(["--", "codex", "exec", "--", "-x"])
    assert options.command == ("codex", "exec", "--", "-x")
    assert (options.workspace, options.artifacts, options.memories, options.heartbeat) == (Path.cwd(), (), 5, 15.0)


@pytest.mark.parametrize(
    ("arguments", "codex"),
    [
        (["--", "codex", "exec", "--json"], True),
        (["--", "/usr/bin/codex", "exec", "--json", "-"], True),
        (["--", "codex", "exec"], False),
        (["--", "other", "--json"], False),
        (["--format", "text", "--", "codex", "--json"], False),
        (["--format", "codex", "--", "other"], True),
    ],
)
def test_the_format_follows_from_the_command_unless_it_is_said(arguments: list[str], codex: bool) -> None:
    assert read_arguments(arguments).codex is codex


@pytest.mark.parametrize(
    "own",
    [
        ["--artifact", "../x"],
        ["--artifact", "a/../../x"],
        ["--artifact", "/etc/*"],
        ["--artifact", ""],
        ["--workspace", os.devnull],
        ["--format", "xml"],
        ["--memories", "-1"],
        ["--memories", "51"],
        ["--heartbeat", "0"],
        ["--heartbeat", "nan"],
        ["--heartbeat", "soon"],
        ["--unknown"],
        ["stray"],
    ],
)
def test_a_mistake_ends_with_code_2(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments([*own, "--", "true"])
    assert ended.value.code == 2
    assert "usage: python -m shared.runner" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--"], ["--memories", "1"]])
def test_a_command_is_needed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(arguments)
    assert ended.value.code == 2
    assert "Write it behind --" in capsys.readouterr().err
