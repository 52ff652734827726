"""`facteur memory migrate` and `models`: what is refused before anything happens, and what is said in the end."""

from collections.abc import Iterator
from itertools import groupby

import pytest
import typer
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.cli.memory_migrate import model_name
from shared.embeddings.coalescing import AT_ONCE
from shared.postgres.database import Database
from shared.postgres.memory_migration import PgMigration, alone
from shared.postgres.memory_models import PgMemoryModels
from tests.contract.embedders.openai_server import KEY, OpenAIServer, openai_server, well
from tests.integration.postgres.generated_memories import generate_rows

OFFLINE = "facteur-offline-lexical-v1"
NOWHERE = "postgresql://nobody:secret-word@127.0.0.1:1/none"
_VARIABLES = ("FACTEUR_CONFIG_FILE", "FACTEUR_POSTGRES_DSN", "FACTEUR_REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")


def facteur(*arguments: str, **env: str) -> Result:
    clean: dict[str, str | None] = dict.fromkeys(_VARIABLES)
    return CliRunner().invoke(app, ("memory", *arguments), env=clean | env)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("text-embedding-3-large", "text-embedding-3-large:3072"),
        ("text-embedding-3-small", "text-embedding-3-small:1536"),
        ("text-embedding-3-large:256", "text-embedding-3-large:256"),
        ("nomic-embed-text:latest:0768", "nomic-embed-text:latest:768"),
        (OFFLINE, f"{OFFLINE}:512"),
        (f"{OFFLINE}-256", f"{OFFLINE}-256:256"),
        (f"{OFFLINE}-256:256", f"{OFFLINE}-256:256"),
    ],
)
def test_a_model_is_a_name_and_a_dimension(given: str, meant: str) -> None:
    assert model_name(given) == meant


@pytest.mark.parametrize(
    "given", ["ada", "nomic:latest", "", ":3", "a b:3", "a\x1b[31m:3", "a:0", "a:4001", "ä:9", "x" * 201 + ":3"]
)
def test_what_is_no_model_is_refused(given: str) -> None:
    with pytest.raises(typer.Exit) as refused:
        model_name(given)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        ((), {}, "give a model with --to, or --abandon"),
        (("--to", "a:3", "--abandon"), {}, "give a model with --to, or --abandon"),
        (("--to", "a:3"), {"FACTEUR_POSTGRES_DSN": ""}, "FACTEUR_POSTGRES_DSN is not set"),
        (("--to", "a:3"), {}, "cannot be asked, because OPENAI_API_KEY is not set"),
        (("--to", f"{OFFLINE}:256"), {}, "cannot be asked, because no offline model"),
        (("--to", OFFLINE), {}, "the database is away"),
        (("--abandon",), {}, "the database is away"),
    ],
    ids=["nothing", "both", "no database", "no key", "no such model", "database away", "database away, abandon"],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    arguments: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    done = facteur("migrate", *arguments, **{"FACTEUR_POSTGRES_DSN": NOWHERE} | env)
    assert done.exit_code == (1 if "away" in said else 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secret-word" not in done.output


def test_an_offline_model_takes_over_and_the_list_says_so(dsn: str, database: Database) -> None:
    generate_rows(dsn, AT_ONCE + 10)
    PgMemoryModels(database).in_use("old:3")
    done = facteur("migrate", "--to", f"{OFFLINE}-64", "--keep-old", "--dsn", dsn)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{OFFLINE}-64:64: 266 texts to embed, about ")
    # A step that takes long says so more than once.
    assert [step for step, _ in groupby(line.partition(":")[0] for line in lines[1:-1])] == [
        "texts embedded",
        "index of the vectors",
        "questions compared with an exact search",
        "texts that came meanwhile",
        "switch",
        "until every process has noticed",
        "texts that came meanwhile",
    ]
    assert lines[-1] == f"{OFFLINE}-64:64 is in use"
    shown = [line.split() for line in facteur("models", "--dsn", dsn).stdout.splitlines()]
    assert [[row[0], row[1], *row[3:]] for row in shown] == [
        ["model", "state", "texts", "refused", "missing", "index"],
        [f"{OFFLINE}-64:64", "active", "266", "0", "0", "none"],
        ["old:3", "retiring", "0", "0", "266", "none"],
    ]


def test_another_model_has_to_wait_or_is_given_the_place(dsn: str, database: Database) -> None:
    PgMemoryModels(database).in_use("old:3")
    PgMigration(database).begin("begun:3")
    refused = facteur("migrate", "--to", OFFLINE, "--dsn", dsn)
    assert refused.exit_code == 1
    assert "`facteur memory migrate --to begun:3`" in refused.stderr
    assert "`facteur memory migrate --abandon`" in refused.stderr
    given_up = facteur("migrate", "--abandon", "--dsn", dsn)
    assert given_up.exit_code == 0, given_up.output
    assert PgMigration(database).states() == {"old:3": "active"}
    assert "no migration was begun" in facteur("migrate", "--abandon", "--dsn", dsn).stderr


PAID = "text-embedding-3-small:64"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with openai_server() as server:
        yield server


def to_paid(dsn: str, api: OpenAIServer, *arguments: str) -> Result:
    env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": api.base_url}
    return facteur("migrate", "--to", PAID, "--keep-old", "--dsn", dsn, *arguments, **env)


def in_use_for_long(database: Database) -> None:
    PgMemoryModels(database).in_use(PAID)
    database.do("UPDATE codex_kb.memory_models SET since = now() - interval '1 hour'", {})


def test_where_nobody_can_be_asked_no_money_is_spent_without_yes(
    dsn: str, database: Database, api: OpenAIServer
) -> None:
    generate_rows(dsn, 3)
    in_use_for_long(database)
    refused = to_paid(dsn, api)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert api.requests == []
    agreed = to_paid(dsn, api, "--yes")
    assert agreed.exit_code == 0, agreed.output
    assert len(api.requests) == 1


def test_where_nothing_is_missing_nobody_is_asked(dsn: str, database: Database, api: OpenAIServer) -> None:
    in_use_for_long(database)
    done = to_paid(dsn, api)
    assert done.exit_code == 0, done.output
    assert api.requests == []


def test_an_api_that_does_not_know_dimensions_ends_the_command(dsn: str, database: Database, api: OpenAIServer) -> None:
    generate_rows(dsn, 3)
    PgMemoryModels(database).in_use("old:3")
    api.respond = lambda request: well({**request, "dimensions": 1536})
    done = to_paid(dsn, api, "--yes")
    assert done.exit_code == 1
    assert "vectors of another length" in done.stderr
    assert len(api.requests) == 3


def test_one_migration_at_a_time(dsn: str) -> None:
    with alone(dsn):
        done = facteur("migrate", "--to", OFFLINE, "--dsn", dsn)
    assert (done.exit_code, done.stderr) == (1, "another migration is running\n")


def test_no_model_has_made_anything_in_a_new_database(dsn: str) -> None:
    done = facteur("models", "--dsn", dsn)
    assert (done.exit_code, done.stdout) == (0, "no model has made a vector yet\n")
