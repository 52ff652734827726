"""Discord is answered if it signs, and nobody else is; what it asks for is a task."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.local.demo.inputs import discord_task, task_id
from shared.local.discord import COMMAND, PING, Person, command, interaction, signed, snowflake
from tests.e2e.system import System
from tests.e2e.target import DISCORD_KEY, DISCORD_URL, Target

PONG = {"type": 1}
# What a stranger without roles may be told, by systems that are not for everyone.
REFUSALS = ("Your roles do not allow this command here.", "I do not work for this server.")
Ask = Callable[[bytes, dict[str, str]], tuple[int, bytes]]


@pytest.fixture(scope="module")
def discord_key(under_test: Target) -> str:
    if not under_test.discord_key:
        pytest.skip(f"nothing can be signed here: {DISCORD_KEY}")
    return under_test.discord_key


@pytest.fixture(scope="module")
def ask(system: System) -> Ask:
    """Posts an interaction; status and body of the answer."""
    door = system.target.discord
    if door is None:
        pytest.skip(f"discord-interaction cannot be reached from here: {DISCORD_URL}")

    def asked(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        answer = system.known_by("").post(door, "/interactions", body, headers)
        return answer.status, answer.data

    return asked


def test_a_signed_ping_is_answered(ask: Ask, discord_key: str) -> None:
    status, said = ask(*signed(discord_key, interaction(PING, {}, Person())))
    assert (status, json.loads(said)) == (200, PONG)


def test_a_ping_of_ten_minutes_ago_is_refused(ask: Ask, discord_key: str) -> None:
    assert ask(*signed(discord_key, interaction(PING, {}, Person()), time.time() - 600)) == (401, b"")


@pytest.mark.parametrize("kept", [(), ("X-Signature-Timestamp",)], ids=["nothing", "timestamp"])
def test_a_ping_without_a_signature_is_refused(ask: Ask, kept: tuple[str, ...]) -> None:
    body, headers = signed("07" * 32, interaction(PING, {}, Person()))
    assert ask(body, {name: headers[name] for name in ("Content-Type", *kept)}) == (401, b"")


def test_a_ping_with_the_signature_of_somebody_else_is_refused(ask: Ask) -> None:
    assert ask(*signed("07" * 32, interaction(PING, {}, Person()))) == (401, b"")


def test_a_command_that_is_sent_twice_is_one_task_that_goes_to_its_end(
    system: System, ask: Ask, discord_key: str, key: str
) -> None:
    somebody = Person(user_id=snowflake(time.time()))
    options = {"prompt": f"Say that {key} was asked for in Discord"}
    document = interaction(COMMAND, command(["codex", "implement"], options), somebody)
    (task,) = {_asked(ask, discord_key, document) for _ in range(2)}
    ended = system.ended(task)
    assert (ended["status"], ended["attempts"]) == ("succeeded", 1)
    listed = system.get(system.target.intake, f"/v1/codex/tasks?caller=discord:{somebody.user_id}").json()["tasks"]
    assert [found["taskId"] for found in listed] == [task]


def _asked(ask: Ask, discord_key: str, document: dict[str, Any]) -> str:
    """The id of the task that the command becomes."""
    sent = discord_task(discord_key, document)
    status, said = ask(sent.body, dict(sent.headers))
    assert status == 200, said
    refusal = json.loads(said).get("data", {}).get("content")
    if refusal in REFUSALS:
        pytest.skip(f"commands of strangers are refused here: {refusal}")
    return str(task_id(sent, said))
