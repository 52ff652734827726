"""discord-interaction: its use case, its roles, and the signature."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.signing import SigningKey

from functions.discord_interaction.buttons import KINDS, custom_id
from functions.discord_interaction.commands import COMMANDS
from functions.discord_interaction.interact import Interact, Reply, Rules, too_busy
from functions.discord_interaction.interaction import Component, Data, Interaction, Member, Option, User
from functions.discord_interaction.public_key import is_public_key
from functions.discord_interaction.roles import RoleMap, parse_role_map
from functions.discord_interaction.settings import Settings
from functions.discord_interaction.signature import verify
from functions.discord_interaction.wishes import Ended, Remembered, Requested, Search, Status, Timeline
from shared.domain.errors import Unauthenticated, Unavailable
from shared.events.event import Event
from shared.settings import SettingsError, load
from shared.web.requests import parse_json
from tests.component.functions import settings

KEY = SigningKey(b"\x01" * 32)
PUBLIC = KEY.verify_key.encode()
ROLE, OTHER = "100000000000000001", "100000000000000002"
SECRET = "s" * 32
TASK = UUID("12345678-1234-5678-1234-567812345678")
# An id of Discord from the beginning of 2025.
NOW = 1_735_689_600.0
SNOWFLAKE = str((int(NOW * 1000) - 1_420_070_400_000) << 22)


class Broker:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False

    def publish(self, event: Event) -> None:
        if self.away:
            raise Unavailable("the broker did not answer")
        self.events.append(event)


class Store:
    """What can be looked up: one task, and as many choices as there are."""

    def __init__(self) -> None:
        self.task: Mapping[str, str] | None = None
        self.found: list[tuple[str, str]] = []
        self.asked: tuple[str, ...] = ()

    def choices(self, option: str, typed: str, user_id: str, guild_id: str) -> Sequence[tuple[str, str]]:
        self.asked = (option, typed, user_id, guild_id)
        return self.found

    def original(self, task: UUID) -> Mapping[str, str] | None:
        return self.task


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def store() -> Store:
    return Store()


class Door:
    """Answers interactions under some rules."""

    def __init__(self, broker: Broker, store: Store, **roles: list[str]) -> None:
        role_map = RoleMap({name: frozenset(ids) for name, ids in roles.items()})
        self.interact = Interact(broker, store, Rules(role_map, [SECRET]))

    def __call__(self, interaction: Interaction) -> Reply:
        return self.interact(interaction, "00-trace", NOW)


def interaction(kind: int, data: Data, roles: list[str] | None = None, guild: str | None = "7") -> Interaction:
    return Interaction(SNOWFLAKE, kind, "12", "token", data, guild, "8", Member(User("42"), roles or []))


def command(name: str = "plan", roles: list[str] | None = None, **options: str) -> Interaction:
    given = options or {"prompt": "write it", "base": "main"}
    chosen = Option(name, options=[Option(key, value) for key, value in given.items()])
    return interaction(2, Data(name="codex", options=[chosen]), roles)


def click(kind: str, roles: list[str] | None = None, expires: float = NOW + 60, key: str = SECRET) -> Interaction:
    return interaction(3, Data(custom_id=custom_id(key, kind, TASK, int(expires))), roles)


def filled(custom: str, roles: list[str] | None = None, **fields: str) -> Interaction:
    rows = [Component(components=[Component(name, text)]) for name, text in fields.items()]
    return interaction(5, Data(custom_id=custom, components=rows), roles)


def said(reply: Reply) -> str:
    """The text of an answer that only its user sees, and after which nothing is done."""
    assert reply.errand is None
    assert (reply.body["type"], reply.body["data"]["flags"]) == (4, 64)
    assert reply.body["data"]["allowed_mentions"] == {"parse": []}
    text: str = reply.body["data"]["content"]
    return text


def test_one_interaction_is_one_event_in_any_process(broker: Broker, store: Store) -> None:
    replies = [Door(broker, store)(command()) for _ in range(2)]
    assert replies[0] == replies[1]
    assert replies[0].body == {"type": 5}
    assert broker.events[0] == broker.events[1]
    assert broker.events[0].extensions == {"traceparent": "00-trace"}
    assert json.loads(broker.events[0].data or b"")["base"] == "main"


def test_a_role_is_asked_for_only_where_one_is_named(broker: Broker, store: Store) -> None:
    door = Door(broker, store, review=[ROLE])
    said(door(command("review")))
    said(door(command("Review", roles=[OTHER])))
    assert broker.events == []
    door(command("review", roles=[ROLE]))
    door(command("plan"))
    assert len(broker.events) == 2


def test_a_broker_that_is_away_is_asked_again_behind_the_acknowledgement(broker: Broker, store: Store) -> None:
    broker.away = True
    reply = Door(broker, store)(command())
    assert reply.body == {"type": 5}
    assert reply.errand and isinstance(reply.errand.wish, Requested)
    assert not reply.errand.wish.taken


@pytest.mark.parametrize(
    ("asked", "wish"),
    [
        (command("status", task=""), Status(None)),
        (command("status", task=str(TASK)), Status(TASK)),
        (command("cancel", task=str(TASK)), Ended(TASK)),
        (command("memory", query="a word", namespace="web"), Search("a word", "", "web")),
        (click("timeline"), Timeline(TASK)),
        (click("memory"), Remembered(TASK)),
        (click("cancel"), Ended(TASK)),
    ],
    ids=["status", "status of a task", "cancel", "memory", "timeline button", "memory button", "cancel button"],
)
def test_what_needs_the_database_is_acknowledged_in_private_and_done_after_that(
    broker: Broker, store: Store, asked: Interaction, wish: object
) -> None:
    reply = Door(broker, store)(asked)
    assert reply.body == {"type": 5, "data": {"flags": 64}}
    assert reply.errand and reply.errand.wish == wish
    assert (reply.errand.opened.token, reply.errand.opened.created_at.timestamp()) == ("token", NOW)
    assert "token" not in repr(reply.errand.opened).replace("token_", "")


def test_options_that_a_command_does_not_declare_are_no_parameters(broker: Broker, store: Store) -> None:
    Door(broker, store)(command("plan", prompt="x", mode="argo", metadata="{}", stage="review"))
    assert json.loads(broker.events[0].data or b"").keys() == {"prompt", "stage", "metadata", "tags"}


@pytest.mark.parametrize("text", ["not an id", "42", "12345678-1234-5678-1234-56781234567"])
def test_what_is_no_tasks_id_is_said_at_once(broker: Broker, store: Store, text: str) -> None:
    assert said(Door(broker, store)(command("cancel", task=text))).startswith("That is no task's id.")


def test_an_option_that_intake_would_refuse_is_refused_here(broker: Broker, store: Store) -> None:
    said(Door(broker, store)(command("plan", prompt="x", repository="r" * 254)))
    said(Door(broker, store)(command("plan", prompt="x" * 2_000_000)))
    assert broker.events == []


def test_plan_shows_its_form_and_the_form_becomes_a_task(broker: Broker, store: Store) -> None:
    door = Door(broker, store)
    form = door(interaction(2, Data("9", "plan"))).body
    assert (form["type"], form["data"]["custom_id"], form["data"]["title"]) == (9, "plan:9", "Request Planning Run")
    (row,) = form["data"]["components"]
    (asked,) = row["components"]
    assert (asked["custom_id"], asked["min_length"], asked["max_length"], asked["style"]) == ("content", 10, 4000, 2)
    assert door(filled("plan:9", content="make a plan")).body == {"type": 5}
    body = json.loads(broker.events[0].data or b"")
    assert (body["prompt"], body["stage"]) == ("make a plan", "planning")


def test_a_form_needs_the_role_of_its_command_again_when_it_is_sent(broker: Broker, store: Store) -> None:
    door = Door(broker, store, plan=[ROLE])
    said(door(interaction(2, Data("9", "plan"))))
    said(door(filled("plan:9", content="make a plan")))
    assert broker.events == []


def test_another_try_is_filled_with_what_the_task_was(broker: Broker, store: Store) -> None:
    store.task = {"prompt": "fix it", "repository": "o/r", "base": "main", "head": ""}
    form = Door(broker, store)(click("retry-implement")).body
    values = {
        row["components"][0]["custom_id"]: row["components"][0].get("value") for row in form["data"]["components"]
    }
    assert values == {"prompt": "fix it", "repository": "o/r", "base": "main", "head": None}
    Door(broker, store)(filled(form["data"]["custom_id"], prompt="fix it well", repository="o/r", base="main", head=""))
    body = json.loads(broker.events[0].data or b"")
    assert (body["prompt"], body["repository"], body["stage"], "head" in body) == (
        "fix it well",
        "o/r",
        "implementation",
        False,
    )


@pytest.mark.parametrize("task", [None, {"prompt": "x" * 4001}], ids=["not found in time", "too long"])
def test_a_prompt_that_cannot_be_shown_whole_is_left_empty(
    broker: Broker, store: Store, task: Mapping[str, str] | None
) -> None:
    store.task = task
    form = Door(broker, store)(click("retry-plan")).body
    prompt = form["data"]["components"][0]["components"][0]
    assert "value" not in prompt
    assert 0 < len(prompt["placeholder"]) <= 100


def test_a_click_needs_the_role_of_the_command_that_it_stands_for(broker: Broker, store: Store) -> None:
    door = Door(broker, store, status=[ROLE], implement=[ROLE])
    refusal = "Your roles do not allow this command here."
    assert said(door(click("timeline"))) == said(door(click("retry-implement"))) == refusal
    assert door(click("timeline", roles=[ROLE])).errand
    assert door(click("retry-plan")).body["type"] == 9


def test_a_button_that_is_old_or_not_ours_is_refused_in_private(broker: Broker, store: Store) -> None:
    door = Door(broker, store)
    assert "too old" in said(door(click("cancel", expires=NOW - 1)))
    forged = "This button is not one of mine."
    assert said(door(click("cancel", key="t" * 32))) == forged
    right = custom_id(SECRET, "timeline", TASK, int(NOW) + 60)
    for wrong in (right.replace("timeline", "cancel"), right[:-1], right + "A", right.upper(), "", "x" * 5000):
        assert said(door(interaction(3, Data(custom_id=wrong)))) == forged
    assert said(door(filled(right, prompt="x"))).startswith("I do not know this command.")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_id_of_any_button_fits(kind: str) -> None:
    assert len(custom_id(SECRET, kind, TASK, 2**40)) <= 100


def test_the_earlier_key_of_buttons_is_accepted_still(broker: Broker, store: Store) -> None:
    interact = Interact(broker, store, Rules(RoleMap({}), ["n" * 32, SECRET]))
    assert interact(click("cancel"), None, NOW).errand


def test_completions_are_at_most_25_and_never_cut(broker: Broker, store: Store) -> None:
    store.found = [("l" * 300, f"value-{n}") for n in range(40)] + [("too long", "v" * 101)]
    asked = Option("status", options=[Option("task", "12ab", focused=True)])
    body = Door(broker, store)(interaction(4, Data(name="codex", options=[asked]))).body
    choices = body["data"]["choices"]
    assert (body["type"], len(choices), {len(choice["name"]) for choice in choices}) == (8, 25, {100})
    assert store.asked == ("task", "12ab", "42", "7")


def test_nothing_is_proposed_to_who_may_not_use_the_command(broker: Broker, store: Store) -> None:
    store.found = [("a", "a")]
    asked = Option("cancel", options=[Option("task", "", focused=True)])
    body = Door(broker, store, cancel=[ROLE])(interaction(4, Data(name="codex", options=[asked]))).body
    assert (body, store.asked) == ({"type": 8, "data": {"choices": []}}, ())


def test_another_server_is_refused_where_one_is_set(broker: Broker, store: Store) -> None:
    interact = Interact(broker, store, Rules(RoleMap({}), [SECRET], guild_id="8"))
    assert "server" in said(interact(command(), None, NOW))
    assert broker.events == []


def test_who_did_it_is_the_member_or_in_a_direct_message_the_user() -> None:
    assert command().user_id == "42"
    alone = parse_json(b'{"id": "1", "type": 2, "user": {"id": "43"}}', Interaction)
    assert (alone.user_id, alone.roles) == ("43", [])


def test_the_declared_commands_keep_to_the_limits_of_discord() -> None:
    def check(entry: Mapping[str, Any]) -> None:
        assert entry["name"] == entry["name"].lower() and 1 <= len(entry["name"]) <= 32
        texts = [entry["description"], *entry["description_localizations"].values()]
        assert all(1 <= len(text) <= 100 for text in texts)
        options = entry.get("options", [])
        assert len(options) <= 25
        required = [option.get("required", False) for option in options]
        assert required == sorted(required, reverse=True), "required options come first"
        for option in options:
            check(option)

    for entry in COMMANDS:
        check(entry)
    assert {sub["name"] for sub in COMMANDS[0]["options"]} == {
        "plan",
        "implement",
        "review",
        "status",
        "cancel",
        "memory",
    }


WRONG_ROLE_MAPS = [
    "not json",
    "[]",
    '{"Plan": ["100000000000000001"]}',
    '{"plan": []}',
    '{"plan": "100000000000000001"}',
    '{"plan": ["1"]}',
    '{"plan": [100000000000000001]}',
    '{"plan": [{}]}',
    '{"plan": ["100000000000000001", "100000000000000001"]}',
]


def environ(**more: str) -> dict[str, str]:
    return settings("postgresql://nowhere", "http://broker", Path("/nonexistent")) | more


@pytest.mark.parametrize("raw", WRONG_ROLE_MAPS)
def test_a_wrong_role_map_is_named_before_anything_starts(raw: str) -> None:
    with pytest.raises(SettingsError, match=r"^FACTEUR_ROLE_MAP "):
        load(Settings, environ(FACTEUR_ROLE_MAP=raw))


def test_a_right_role_map_is_read() -> None:
    roles = parse_role_map({"plan": [ROLE], "codex:review": [ROLE, OTHER]})
    assert roles.allows("PLAN", [ROLE])
    assert not roles.allows("plan", [])
    assert not roles.allows("review", [])
    assert roles.allows("implement", [])
    assert not parse_role_map({"codex": [ROLE]}).allows("implement", [OTHER])


def test_the_schema_of_role_maps_and_our_own_check_agree() -> None:
    import jsonschema  # type: ignore[import-untyped]

    schema = json.loads((Path(__file__).parents[3] / "schemas/facteur-discord-role-map.schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema)
    for raw in WRONG_ROLE_MAPS[1:]:
        assert not check.is_valid(json.loads(raw)), raw
    for right in ({}, {"plan": [ROLE]}, {"codex:plan-b_2": [ROLE, OTHER]}):
        assert check.is_valid(right)
        parse_role_map(right)


# The points of small order, and other forms of the number that stands for some of them.
SMALL = [
    "00" * 32,
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]


@pytest.mark.parametrize("raw", [*SMALL, "ab" * 32, "short", "g" * 64, "07" * 31])
def test_a_key_that_verifies_nothing_or_everything_is_refused_before_anything_starts(raw: str) -> None:
    with pytest.raises(SettingsError, match=r"^FACTEUR_DISCORD_PUBLIC_KEY must be the application's public key"):
        load(Settings, environ(FACTEUR_DISCORD_PUBLIC_KEY=raw))


def test_keys_that_libsodium_takes_are_taken() -> None:
    for _ in range(50):
        key, noise = SigningKey.generate().verify_key.encode(), os.urandom(32)
        assert is_public_key(key)
        assert is_public_key(noise) or not crypto_core_ed25519_is_valid_point(noise)
    for raw in SMALL:
        assert not is_public_key(bytes.fromhex(raw)[:31] + bytes([bytes.fromhex(raw)[31] | 0x80]))


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


def test_a_task_that_the_broker_has_is_not_denied_when_there_is_no_room_for_more(broker: Broker, store: Store) -> None:
    door = Door(broker, store)
    errand = door(command()).errand
    assert errand and isinstance(errand.wish, Requested)
    kept = said(Reply(too_busy(errand)))
    assert f"Task `{errand.wish.task}` is queued" in kept and "/codex status" in kept
    broker.away = True
    for asked in (command("plan"), command("status", task="")):
        refused = door(asked).errand
        assert refused
        assert "too much to do" in said(Reply(too_busy(refused)))
