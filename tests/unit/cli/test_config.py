"""`facteur config check` and `--config`: every mistake at once, and never a value."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from tests.architecture.markdown import fences
from tests.component.functions import settings

UNSET: dict[str, str | None] = dict.fromkeys(
    ("FACTEUR_POSTGRES_DSN", "FACTEUR_CONFIG_FILE", "FACTEUR_REDIS_URL", "OPENAI_API_KEY", "K_SINK")
)


# The other secret that the example leaves to the environment.
GIVEN = {"MINIO_SECRET_KEY": "a-secret-of-the-bucket"}


def facteur(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(app, arguments, env=UNSET | GIVEN | env)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example of the documents."""
    path = tmp_path / "facteur.yaml"
    path.write_text(fences("docs/configuration.md", "yaml")[0])
    return path


def test_a_good_configuration_is_shown_with_its_places(file: Path) -> None:
    done = facteur(
        "config", "check", "--config", str(file), FACTEUR_TOKEN_SECRET="s" * 32, FACTEUR_JOBS_DIR="/a-folder"
    )
    assert done.exit_code == 0, done.output
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["FACTEUR_REDIS_URL"] == ["redis.url", "file"]
    assert rows["FACTEUR_JOBS_DIR"] == ["jobs.dir", "environment"]
    assert rows["FACTEUR_TOKEN_SECRET"] == ["token_secret", "environment"]
    assert "OPENAI_API_KEY" not in rows
    for value in ("s" * 32, "a-secret", "/a-folder", "redis://", "postgresql://", "123456789012345678"):
        assert value not in done.output


def test_the_environment_alone_may_be_checked_for_one_function(tmp_path: Path) -> None:
    environ = settings("postgresql://host/db", "http://broker", tmp_path)
    assert facteur("config", "check", **environ).exit_code == 0
    del environ["FACTEUR_DISCORD_PUBLIC_KEY"]
    assert facteur("config", "check", "--function", "callback", **environ).exit_code == 0
    done = facteur("config", "check", **environ)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "- FACTEUR_DISCORD_PUBLIC_KEY is not set (key discord.public_key)\n"


def test_every_mistake_of_all_functions_is_listed_once(file: Path) -> None:
    file.write_text(file.read_text().replace("redis:", "rediss:") + "openai: {embedding_dimension: a-secret}\n")
    done = facteur("config", "check", "--config", str(file), K_SINK="a-secret", FACTEUR_TOKEN_SECRET="a-secret")
    assert done.exit_code == 1
    said = done.stderr.splitlines()
    assert [line.split()[1] for line in said] == [
        "rediss",
        "FACTEUR_TOKEN_SECRET",
        "K_SINK",
        "openai.embedding_dimension",
        "FACTEUR_REDIS_URL",
    ]
    assert "a-secret" not in done.output


def test_a_file_that_is_missing_and_a_function_that_is_none_are_said(tmp_path: Path) -> None:
    done = facteur("config", "check", "--config", str(tmp_path / "none.yaml"))
    assert done.exit_code == 1
    assert done.stderr == "- the configuration file cannot be read: no such file or directory\n"
    wrong = facteur("config", "check", "--function", "codex")
    assert wrong.exit_code == 2
    assert "must be one of discord-interaction" in " ".join(wrong.stderr.split())


def test_migrate_finds_its_database_in_the_file(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "facteur.yaml").write_text(f"postgres:\n  dsn: {dsn}\n")
    done = facteur("migrate", "--config", str(tmp_path / "facteur.yaml"))
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "nothing to apply: the database is up to date")
    assert facteur("migrate", FACTEUR_CONFIG_FILE=str(tmp_path / "facteur.yaml")).exit_code == 0
    (tmp_path / "facteur.yaml").write_text("postgres: {dsn: postgresql://127.0.0.1:1/none}\n")
    assert facteur("migrate", "--config", str(tmp_path / "facteur.yaml"), FACTEUR_POSTGRES_DSN=dsn).exit_code == 0


def test_migrate_without_a_database_says_where_to_name_it() -> None:
    done = facteur("migrate")
    assert done.exit_code == 2
    assert done.stderr == (
        "FACTEUR_POSTGRES_DSN is not set (key postgres.dsn): give a connection string there, or with --dsn\n"
    )


def test_a_policy_that_is_wrong_is_told_with_its_mistakes(file: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules: [{name: ci, callers: [ci], modes: [everything]}]\n")
    known = {"FACTEUR_TOKEN_SECRET": "s" * 32, "FACTEUR_POLICY_FILE": str(policy)}
    done = facteur("config", "check", "--config", str(file), **known)
    assert done.exit_code == 1
    assert done.stderr.startswith("- the policy file is wrong: rules.0.modes must be among direct, argo, temporal")
    policy.write_text("rules: []\n")
    assert facteur("config", "check", "--config", str(file), **known).exit_code == 0
