"""`facteur memory` without a database: every command says the same, and reads the same settings."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli.main import app

COMMANDS = (["lift"], ["models"], ["forget", "--caller", "ada"], ["migrate", "--to", "facteur-offline-lexical-v1"])


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FACTEUR_POSTGRES_DSN", "FACTEUR_CONFIG_FILE", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_that_is_given_no_database_says_where_to_name_it(command: list[str]) -> None:
    done = CliRunner().invoke(app, ["memory", *command])
    assert done.exit_code == 2
    assert "FACTEUR_POSTGRES_DSN is not set" in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_finds_its_database_in_the_file(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "facteur.yaml"
    file.write_text("postgres:\n  dsn: nonsense\n")
    done = CliRunner().invoke(app, ["memory", *command, "--config", str(file)])
    assert done.exit_code == 1
    assert "must be like postgresql://" in done.stderr
