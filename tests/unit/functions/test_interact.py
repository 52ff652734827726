"""discord-interaction: its use case, its roles, and the signature."""

import json
from typing import Any

import pytest
from nacl.signing import SigningKey

from functions.discord_interaction.interact import Interact
from functions.discord_interaction.interaction import Data, Interaction, Member, Option, User
from functions.discord_interaction.roles import RoleMap, parse_role_map
from functions.discord_interaction.settings import Settings
from functions.discord_interaction.signature import verify
from shared.domain.errors import Unauthenticated, Unavailable
from shared.events.event import Event
from shared.settings import SettingsError, load
from shared.web.requests import parse_json

KEY = SigningKey(b"\x01" * 32)
PUBLIC = KEY.verify_key.encode()
ROLE = "100000000000000001"


class Broker:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False

    def publish(self, event: Event) -> None:
        if self.away:
            raise Unavailable("away")
        self.events.append(event)


@pytest.fixture
def broker() -> Broker:
    return Broker()


def command(name: str = "plan", prompt: str = "write it", roles: list[str] | None = None) -> Interaction:
    chosen = Option(name, options=[Option("prompt", prompt), Option("base", "main")])
    member = Member(User("42"), roles or [])
    return Interaction("1", 2, Data("codex", [chosen]), "7", member)


def content(answer: dict[str, Any]) -> str:
    text: str = answer["data"]["content"]
    return text


def test_one_interaction_is_one_event_in_any_process(broker: Broker) -> None:
    answers = [Interact(broker, RoleMap({}))(command(), "00-trace") for _ in range(2)]
    assert answers[0] == answers[1]
    assert broker.events[0] == broker.events[1]
    assert broker.events[0].extensions == {"traceparent": "00-trace"}
    assert json.loads(broker.events[0].data or b"")["base"] == "main"


def test_a_role_is_asked_for_only_where_one_is_named(broker: Broker) -> None:
    interact = Interact(broker, RoleMap({"review": frozenset({ROLE})}))
    interact(command("review"), None)
    interact(command("Review", roles=["100000000000000002"]), None)
    assert broker.events == []
    interact(command("review", roles=[ROLE]), None)
    interact(command("plan"), None)
    assert len(broker.events) == 2


def test_a_broker_that_is_away_is_admitted(broker: Broker) -> None:
    broker.away = True
    assert "may not have been queued" in content(Interact(broker, RoleMap({}))(command(), None))


def test_who_did_it_is_the_member_or_in_a_direct_message_the_user() -> None:
    assert command().user_id == "42"
    alone = parse_json(b'{"id": "1", "type": 2, "user": {"id": "43"}}', Interaction)
    assert (alone.user_id, alone.roles) == ("43", [])


@pytest.mark.parametrize(
    "raw",
    [
        "not json",
        "[]",
        '{"Plan": ["100000000000000001"]}',
        '{"plan": []}',
        '{"plan": "100000000000000001"}',
        '{"plan": ["1"]}',
        '{"plan": [100000000000000001]}',
        '{"plan": [{}]}',
        '{"plan": ["100000000000000001", "100000000000000001"]}',
    ],
)
def test_a_wrong_role_map_is_named_before_anything_starts(raw: str) -> None:
    env = {"K_SINK": "http://broker", "FACTEUR_DISCORD_PUBLIC_KEY": "ab" * 32, "FACTEUR_ROLE_MAP": raw}
    with pytest.raises(SettingsError, match=r"^FACTEUR_ROLE_MAP "):
        load(Settings, env)


def test_a_right_role_map_is_read() -> None:
    roles = parse_role_map({"plan": [ROLE], "codex:review": [ROLE, "100000000000000002"]})
    assert roles.allows("PLAN", [ROLE])
    assert not roles.allows("plan", [])
    assert roles.allows("implement", [])


def sign(timestamp: str, body: bytes = b"{}") -> str:
    return KEY.sign(timestamp.encode() + body).signature.hex()


def test_what_was_signed_within_five_minutes_is_believed() -> None:
    for now in (1000.0, 1300.0, 700.0):
        verify(PUBLIC, "1000", sign("1000"), b"{}", now)


@pytest.mark.parametrize(
    ("timestamp", "signature", "body", "now"),
    [
        ("1000", sign("1000"), b"{}", 1301),
        ("1000", sign("1000"), b"{}", 699),
        ("1000", sign("1000"), b"{} ", 1000),
        ("1001", sign("1000"), b"{}", 1000),
        ("1000", sign("1000")[:-1], b"{}", 1000),
        ("1000", "0" * 128, b"{}", 1000),
        ("1000", "", b"{}", 1000),
        ("", sign(""), b"{}", 1000),
        ("+1000", sign("+1000"), b"{}", 1000),
        ("1_000", sign("1_000"), b"{}", 1000),
        ("\u0661\u0660\u0660\u0660", sign("\u0661\u0660\u0660\u0660"), b"{}", 1000),
    ],
)
def test_everything_else_is_not(timestamp: str, signature: str, body: bytes, now: float) -> None:
    with pytest.raises(Unauthenticated):
        verify(PUBLIC, timestamp, signature, body, now)
