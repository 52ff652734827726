"""`facteur doctor` as a person meets it."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.doctor.examination import CHECKS
from tests.component.functions import settings

UNSET: dict[str, str | None] = dict.fromkeys(
    ("FACTEUR_POSTGRES_DSN", "FACTEUR_CONFIG_FILE", "FACTEUR_REDIS_URL", "OPENAI_API_KEY", "K_SINK", "MINIO_ENDPOINT")
)
SECRET = "a-secret-that-must-never-be-told"


def doctor(*arguments: str | Path, **env: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)], env=UNSET | env)


def test_nothing_to_look_at_is_no_health() -> None:
    done = doctor()
    assert done.exit_code == 2
    assert "no database was named: give it with --dsn" in done.output
    assert "no cluster was named: give --kubeconfig or --context" in done.output


def test_the_kubeconfig_of_a_shell_alone_is_not_taken(tmp_path: Path) -> None:
    done = doctor(KUBECONFIG=str(tmp_path / "anybody's"))
    assert "no cluster was named" in done.output


def test_settings_that_are_wrong_are_told_without_a_value(tmp_path: Path) -> None:
    (tmp_path / "facteur.yaml").write_text(f"token_secret: {SECRET[:10]}\nqueue: {{max_runs: {SECRET}}}\n")
    done = doctor("--config", tmp_path / "facteur.yaml", "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    told = [finding["what"] for finding in report["findings"] if finding["check"] == "settings-wrong"]
    assert any("queue.max_runs (in the configuration file) must be a whole number" in what for what in told)
    assert SECRET[:10] not in done.output


def test_settings_of_one_function_are_well_by_themselves(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        _well_but_for_its_database(settings("", f"http://127.0.0.1:{broker.getsockname()[1]}", tmp_path))


def _well_but_for_its_database(environ: dict[str, str]) -> None:
    del environ["FACTEUR_DISCORD_PUBLIC_KEY"], environ["FACTEUR_REDIS_URL"]
    # Its database is away, and is found to be: what else is wrong would be found with it.
    environ["FACTEUR_POSTGRES_DSN"] = "postgresql://nobody@127.0.0.1:1/none"
    done = doctor("--function", "callback", "--json", **environ)
    assert [finding["check"] for finding in json.loads(done.stdout)["findings"]] == ["server-away"]


def test_a_function_that_there_is_not_is_refused() -> None:
    done = doctor("--function", "another")
    assert done.exit_code == 2
    assert "must be one of discord-interaction" in done.output


def test_what_is_wrong_is_told_with_why_and_how_it_is_mended() -> None:
    done = doctor(
        "--dsn", "postgresql://nobody:a-password@127.0.0.1:1/none", "--redis", "redis://:a-password@127.0.0.1:1"
    )
    assert done.exit_code == 1
    assert "1. PostgreSQL does not answer" in done.output
    assert "   why: Nothing that needs it works" in done.output
    assert "   fix: see that the server runs and that FACTEUR_POSTGRES_DSN" in done.output
    assert "not looked at" in done.output
    assert "a-password" not in done.output


@pytest.mark.parametrize("dsn", ["nonsense with spaces", "postgresql://[", "host=127.0.0.1 port=x"])
def test_a_dsn_that_is_none_is_told(dsn: str) -> None:
    done = doctor("--dsn", dsn)
    assert done.exit_code == 1
    assert "PostgreSQL does not answer" in done.output


def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path) -> None:
    done = doctor("--kubeconfig", tmp_path / "nothing")
    assert done.exit_code == 2
    assert "the kubeconfig cannot be used" in done.output


def test_all_that_is_looked_for_is_listed() -> None:
    done = doctor("--list")
    assert done.exit_code == 0
    assert done.output.splitlines() == [f"{each.name}: {each.why}" for each in CHECKS]
