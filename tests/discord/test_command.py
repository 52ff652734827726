"""`facteur discord`: the commands are registered, and an interaction is tried without any Discord."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from functions.discord_interaction.commands import COMMANDS
from shared.cli.main import app
from shared.local.state import State
from tests.discord.application import Application
from tests.discord.shapes import command_faults
from tests.discord.simulator import KEY, Discord

VARIABLES = ("APPLICATION_ID", "BOT_TOKEN", "API_URL", "GUILD_ID")
GUILD = "1100000000000000001"


def facteur(*arguments: str, **env: str) -> Result:
    clean: dict[str, str | None] = {f"FACTEUR_DISCORD_{name}": None for name in VARIABLES}
    return CliRunner().invoke(app, ["discord", *arguments], env=clean | {"FACTEUR_CONFIG_FILE": None} | env)


@pytest.fixture
def seed(tmp_path: Path) -> str:
    path = tmp_path / "seed"
    path.write_text(KEY.encode().hex() + "\n")
    return str(path)


def test_the_commands_are_as_discord_wants_them() -> None:
    assert command_faults(json.loads(json.dumps(COMMANDS))) == []


def test_a_dry_run_prints_the_commands_and_sends_nothing(discord: Discord) -> None:
    done = facteur("register", "--dry-run", **discord.settings())
    assert (done.exit_code, json.loads(done.stdout)) == (0, json.loads(json.dumps(COMMANDS)))
    assert discord.api.seen == []


@pytest.mark.parametrize(
    ("arguments", "variable", "where"),
    [((), {}, None), (("--guild", GUILD), {}, GUILD), ((), {"FACTEUR_DISCORD_GUILD_ID": GUILD}, GUILD)],
    ids=["everywhere", "option", "variable"],
)
def test_commands_are_registered_where_it_is_said_however_often(
    discord: Discord, arguments: tuple[str, ...], variable: dict[str, str], where: str | None
) -> None:
    for _ in range(2):
        done = facteur("register", *arguments, **discord.settings(), **variable)
        assert done.exit_code == 0, done.stderr
    assert discord.world.commands == {where: json.loads(json.dumps(COMMANDS))}


def test_a_registration_that_fails_says_why_and_shows_no_token(discord: Discord) -> None:
    wrong = "x" * 30
    refused = facteur("register", **discord.settings() | {"FACTEUR_DISCORD_BOT_TOKEN": wrong})
    assert refused.exit_code == 1
    assert "FACTEUR_DISCORD_BOT_TOKEN" in refused.stderr and wrong not in refused.output
    assert facteur("register").exit_code == 2
    without = facteur("register", **{k: v for k, v in discord.settings().items() if not k.endswith("TOKEN")})
    assert (without.exit_code, "FACTEUR_DISCORD_BOT_TOKEN is not set" in without.stderr) == (1, True)
    assert facteur("register", "--guild", "../x", **discord.settings()).exit_code == 1


def test_a_command_is_signed_and_posted_and_its_answer_shown(application: Application, seed: str) -> None:
    words = ("codex", "implement", "prompt=a=b", "--role", "100000000000000001", "--user", "42")
    done = facteur("simulate", *words, "--url", application.url, "--key-file", seed)
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"type": 5})
    (came,) = application.came
    assert came["type"] == 2
    assert came["data"]["options"] == [
        {"name": "implement", "type": 1, "options": [{"name": "prompt", "type": 3, "value": "a=b"}]}
    ]
    assert came["member"]["roles"] == ["100000000000000001"] and came["member"]["user"]["id"] == "42"


def test_every_type_of_interaction_can_be_tried(application: Application, seed: str) -> None:
    to = ("--url", application.url, "--key-file", seed)
    for words in (
        ("ping",),
        ("codex", "status", "--complete", "task"),
        ("f1:cancel:00", "--button"),
        ("plan", "prompt=x", "--modal"),
        ("codex", "plan", "prompt=x", "--private"),
    ):
        assert facteur("simulate", *words, *to).exit_code == 0
    assert [came["type"] for came in application.came] == [1, 4, 3, 5, 2]
    assert application.came[1]["data"]["options"][0]["options"][0]["focused"] is True
    assert application.came[2]["data"]["custom_id"] == "f1:cancel:00"
    assert "member" not in application.came[4] and application.came[4]["user"]["id"]


def test_without_an_address_it_is_the_twin(tmp_path: Path) -> None:
    state = State.open(tmp_path / "twin")
    port = state.port("gateway")
    state.close()
    done = facteur("simulate", "ping", "--state", str(tmp_path / "twin"))
    assert (done.exit_code, f"127.0.0.1:{port}" in done.stderr) == (1, True)
    assert state.discord_private_key not in done.output
    assert facteur("simulate", "ping", "--state", str(tmp_path / "none")).exit_code == 2


@pytest.mark.parametrize("words", [("prompt=x",), ("codex", "prompt=x", "plan"), ("codex", "=x")])
def test_what_is_no_command_is_refused(words: tuple[str, ...], application: Application, seed: str) -> None:
    done = facteur("simulate", *words, "--url", application.url, "--key-file", seed)
    assert (done.exit_code, application.came) == (2, [])


def test_a_seed_that_is_none_is_refused(application: Application, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("abc")
    for name in ("short", "none"):
        done = facteur("simulate", "ping", "--url", application.url, "--key-file", str(tmp_path / name))
        assert (done.exit_code, application.came) == (2, [])
