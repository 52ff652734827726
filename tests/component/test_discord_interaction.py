"""discord-interaction over HTTP: verified, checked against roles, handed on once, answered at once."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from nacl.signing import SigningKey
from urllib3 import BaseHTTPResponse

from shared.domain.ids import event_delivery, run_id
from shared.events.catalogue import TASK_REQUESTED
from tests.component.conftest import until
from tests.component.functions import DISCORD, Function, Sink, free_port, running, settings

SOURCE = "/facteur/discord-interaction"
MAINTAINER, STRANGER = "100000000000000001", "100000000000000002"
PROMPT = "Rewrite the changelog @everyone <@123> `code` of unit-7f3a"


@pytest.fixture(scope="module")
def environment(module_sink: Sink, folder: Path) -> dict[str, str]:
    roles = {"review": [MAINTAINER, "100000000000000009"]}
    return settings("unused", module_sink.url, folder) | {"FACTEUR_ROLE_MAP": json.dumps(roles)}


@pytest.fixture(scope="module")
def discord(environment: dict[str, str], folder: Path) -> Iterator[Function]:
    with running("discord-interaction", environment, folder / "log") as function:
        yield function


def command(name: str, prompt: str | None = PROMPT, roles: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """A slash command, as a member of a guild gives it."""
    options = [] if prompt is None else [{"name": "prompt", "type": 3, "value": prompt}]
    return {
        "id": str(uuid4().int)[:19],
        "application_id": "1200000000000000000",
        "type": 2,
        "token": "an-interaction-token-that-must-never-be-logged",
        "version": 1,
        "data": {"id": "1", "name": "codex", "type": 1, "options": [{"name": name, "type": 1, "options": options}]},
        "guild_id": "1100000000000000000",
        "member": {"user": {"id": "42", "username": "ada"}, "roles": roles or [], "permissions": "0"},
        **more,
    }


def in_private(interaction: dict[str, Any]) -> dict[str, Any]:
    """The same command as a direct message."""
    del interaction["guild_id"], interaction["member"]
    return interaction | {"user": {"id": "42", "username": "ada"}}


def signed(body: bytes, timestamp: str | None = None, key: SigningKey = DISCORD) -> dict[str, str]:
    timestamp = timestamp or str(int(time.time()))
    signature = key.sign(timestamp.encode() + body).signature.hex()
    return {"X-Signature-Timestamp": timestamp, "X-Signature-Ed25519": signature, "Content-Type": "application/json"}


def send(discord: Function, interaction: Any) -> BaseHTTPResponse:
    body = json.dumps(interaction).encode()
    return discord.post("/interactions", body, signed(body))


def said(response: BaseHTTPResponse) -> str:
    """The text of a message that only its user sees, and that mentions nobody."""
    assert response.status == 200, response.data
    document = json.loads(response.data)
    assert document["type"] == 4
    assert document["data"]["flags"] & 64
    assert document["data"]["allowed_mentions"] == {"parse": []}
    text: str = document["data"]["content"]
    assert len(text) <= 2000
    assert "unit-7f3a" not in text
    return text


def test_a_ping_is_answered_with_a_pong(discord: Function, broker: Sink) -> None:
    answer = send(discord, {"id": "1", "application_id": "2", "type": 1, "token": "t", "version": 1})
    assert (answer.status, json.loads(answer.data)) == (200, {"type": 1})
    assert broker.events == []


@pytest.mark.parametrize(
    ("name", "stage"),
    [("plan", "planning"), ("implement", "implementation"), ("review", "review"), ("PLAN", "planning")],
)
def test_a_command_becomes_one_request_however_often_it_comes(
    discord: Function, broker: Sink, name: str, stage: str
) -> None:
    interaction = command(name, roles=[MAINTAINER])
    options = interaction["data"]["options"][0]["options"]
    options += [{"name": "repository", "type": 3, "value": "o/r"}, {"name": "surprise", "type": 3, "value": "x"}]
    texts = [said(send(discord, interaction)) for _ in range(2)]
    first, again = broker.events
    assert (first.id, first.source, first.type) == (again.id, SOURCE, TASK_REQUESTED)
    task = run_id(event_delivery(SOURCE, first.id))
    assert texts == [f"Task `{task}` is on its way."] * 2
    assert json.loads(first.data or b"") == {
        "prompt": PROMPT,
        "repository": "o/r",
        "stage": stage,
        "metadata": {"caller": "discord:42", "guildId": "1100000000000000000"},
        "tags": ["discord"],
    }


def test_two_interactions_are_two_requests(discord: Function, broker: Sink) -> None:
    for _ in range(2):
        said(send(discord, command("implement")))
    assert len({event.id for event in broker.events}) == 2


def test_what_is_not_signed_by_discord_now_is_refused_without_a_word(discord: Function, broker: Sink) -> None:
    body = json.dumps(command("implement")).encode()
    good = signed(body)
    other = SigningKey(b"\x08" * 32)
    attempts = [
        {},
        {**good, "X-Signature-Ed25519": ""},
        {**good, "X-Signature-Ed25519": "zz" * 64},
        {**good, "X-Signature-Ed25519": good["X-Signature-Ed25519"][:-2]},
        {**good, "X-Signature-Ed25519": good["X-Signature-Ed25519"] + "00"},
        {**good, "X-Signature-Timestamp": str(int(good["X-Signature-Timestamp"]) + 1)},
        {**good, "X-Signature-Timestamp": "not a time"},
        {**good, "X-Signature-Timestamp": "9" * 40},
        signed(body, key=other),
        signed(body, str(int(time.time()) - 301)),
        signed(body, str(int(time.time()) + 310)),
        signed(body + b" "),
    ]
    answers = [discord.post("/interactions", body, headers) for headers in attempts]
    answers.append(discord.post("/interactions", b"not json", signed(body)))
    assert [(answer.status, answer.data) for answer in answers] == [(401, b"")] * len(answers)
    assert broker.events == []
    almost_old = signed(body, str(int(time.time()) - 290))
    assert discord.post("/interactions", body, almost_old).status == 200


def test_a_signed_body_that_is_no_interaction_is_malformed(discord: Function) -> None:
    for body in (b"", b"not json", b"[]", b"{}", b'{"id": 1, "type": 2}', b'{"id": "1", "type": "2"}'):
        assert discord.post("/interactions", body, signed(body)).status == 400, body


def test_roles_decide_who_may_use_a_command(discord: Function, broker: Sink) -> None:
    refusal = "Your roles do not allow this command here."
    assert said(send(discord, command("review", roles=[STRANGER]))) == refusal
    assert said(send(discord, command("review"))) == refusal
    assert said(send(discord, command("REVIEW"))) == refusal
    assert said(send(discord, in_private(command("review", roles=[MAINTAINER])))) == refusal
    assert broker.events == []
    said(send(discord, command("review", roles=[STRANGER, MAINTAINER])))
    assert len(broker.events) == 1


def test_a_command_without_a_rule_is_for_everyone_even_in_direct_messages(discord: Function, broker: Sink) -> None:
    assert "is on its way" in said(send(discord, in_private(command("plan"))))
    assert json.loads(broker.events[0].data or b"")["metadata"] == {"caller": "discord:42", "guildId": ""}


def test_what_is_not_known_is_said_in_private(discord: Function, broker: Sink) -> None:
    unknown = [
        command("destroy"),
        command("plan", data={"id": "1", "name": "other", "type": 1}),
        command("plan", data={"id": "1", "name": "codex", "type": 1}),
        command("plan", type=3, data={"custom_id": "approve", "component_type": 2}),
        command("plan", type=5, data={"custom_id": "plan", "components": []}),
    ]
    for interaction in unknown:
        assert said(send(discord, interaction)).startswith("I do not know this command.")
    assert broker.events == []


@pytest.mark.parametrize("prompt", [None, "", "   "])
def test_a_command_without_a_prompt_says_what_is_missing(discord: Function, broker: Sink, prompt: str | None) -> None:
    assert "`prompt` is empty" in said(send(discord, command("plan", prompt)))
    assert broker.events == []


def test_a_broker_that_is_away_is_admitted_in_private(
    discord: Function, broker: Sink, environment: dict[str, str], folder: Path
) -> None:
    honest = r"Task `[0-9a-f-]{36}` may not have been queued: if nobody sees it soon, please try again\."
    broker.status = 503
    assert re.fullmatch(honest, said(send(discord, command("plan"))))
    nowhere = environment | {"K_SINK": f"http://127.0.0.1:{free_port()}"}
    with running("discord-interaction", nowhere, folder / "log-nowhere") as function:
        assert re.fullmatch(honest, said(send(function, command("plan"))))


def test_a_slow_broker_does_not_make_discord_wait_longer_than_it_does(discord: Function, broker: Sink) -> None:
    """Discord gives an interaction three seconds."""
    broker.delay = 3.5
    begun = time.monotonic()
    text = said(send(discord, command("plan")))
    assert time.monotonic() - begun < 2.9
    until(lambda: broker.events)  # It has the task all the same.
    assert str(run_id(event_delivery(SOURCE, broker.events[0].id))) in text
    assert "may not" in text


def test_neither_prompt_nor_interaction_token_reaches_a_log(discord: Function, broker: Sink) -> None:
    interaction = command("implement")
    said(send(discord, interaction))
    log = discord.log.read_text()
    assert "unit-7f3a" not in log
    assert interaction["token"] not in log
