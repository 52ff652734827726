"""The Discord of the tests holds whoever meets it to Discord's rules: three seconds, fifteen minutes, every limit."""

from typing import Any

import pytest
from nacl.signing import VerifyKey

from shared.domain.discord import Message
from shared.domain.errors import Gone
from shared.local.discord import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, PING, Person, interaction
from tests.discord.application import Application
from tests.discord.buckets import INVALID_CEILING, Buckets
from tests.discord.shapes import answer_faults, command_faults
from tests.discord.simulator import ADA, KEY, Discord

pytestmark = pytest.mark.usefixtures("stopped")
Answer = dict[str, Any]
CODEX = ["codex", "plan"]


def test_an_interaction_is_signed_over_its_time_and_body(discord: Discord, application: Application) -> None:
    who = Person("1000000000000000007", ["100000000000000001"])
    discord.command(application.url, ["codex", "implement"], {"prompt": "x"}, who)
    (came,) = application.came
    assert (came["type"], came["member"]["roles"]) == (COMMAND, ["100000000000000001"])
    assert came["data"]["options"][0]["options"] == [{"name": "prompt", "type": 3, "value": "x"}]
    key = VerifyKey(bytes.fromhex(discord.settings()["FACTEUR_DISCORD_PUBLIC_KEY"]))
    assert key == KEY.verify_key


def test_what_is_acknowledged_in_time_can_be_edited(discord: Discord, application: Application) -> None:
    done = discord.command(application.url, CODEX)
    assert done.known.waiting
    discord.client().edit_original(application.came[0]["token"], Message("here"))
    assert (done.original.content, done.known.waiting) == ("here", False)


def test_what_is_acknowledged_after_three_seconds_was_in_vain(discord: Discord, application: Application) -> None:
    application.before = lambda: discord.clock.move(3.1)
    done = discord.command(application.url, CODEX)
    assert done.seconds > 3 and done.known.answered is None
    with pytest.raises(Gone):
        discord.client().edit_original(application.came[0]["token"], Message("too late"))


def test_the_same_interaction_again_is_the_same_message(discord: Discord, application: Application) -> None:
    first = discord.command(application.url, CODEX)
    again = discord.interact(application.url, first.known.document)
    assert first.original is again.original


def test_a_button_is_pressed_and_its_message_stays_the_original(discord: Discord, application: Application) -> None:
    shown = discord.command(application.url, CODEX).original
    button = {"type": 2, "style": 4, "label": "Cancel", "custom_id": "f1:cancel"}
    client = discord.client()
    client.edit_original(application.came[0]["token"], Message("x", ({"type": 1, "components": [button]},)))
    application.answer = {"type": 6}
    pressed = discord.press(application.url, shown, "Cancel")
    assert application.came[1]["data"]["custom_id"] == "f1:cancel"
    assert application.came[1]["message"]["id"] == shown.id
    assert pressed.original is shown


def test_a_modal_is_filled_and_choices_are_proposed(discord: Discord, application: Application) -> None:
    entry = {"type": 4, "custom_id": "prompt", "label": "Prompt", "style": 2}
    form = {"custom_id": "plan", "title": "Plan", "components": [{"type": 1, "components": [entry]}]}
    application.answer = {"type": 9, "data": form}
    opened = discord.command(application.url, ["plan"])
    application.answer = {"type": 5}
    discord.submit(application.url, opened.answer, {"prompt": "do it"})
    assert application.came[1]["data"]["components"][0]["components"][0]["value"] == "do it"
    application.answer = {"type": 8, "data": {"choices": [{"name": "one", "value": "1"}]}}
    assert discord.complete(application.url, ["codex", "status"], {"task": "o"}, "task") == ["1"]


def message(**more: Any) -> Answer:
    return {"type": 4, "data": {"content": "x", "allowed_mentions": {"parse": []}, **more}}


def buttons(*buttons: Answer) -> Answer:
    return message(components=[{"type": 1, "components": list(buttons)}])


def button(**more: Any) -> Answer:
    return {"type": 2, "style": 1, "label": "x", "custom_id": "y", **more}


def form(**more: Any) -> Answer:
    entry = {"type": 4, "custom_id": "prompt", "label": "Prompt", "style": 2, **more.pop("entry", {})}
    return {
        "type": 9,
        "data": {"custom_id": "x", "title": "t", "components": [{"type": 1, "components": [entry]}], **more},
    }


def choices(count: int, **more: Any) -> Answer:
    return {"type": 8, "data": {"choices": [{"name": "n", "value": "v", **more}] * count}}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (PING, {"type": 1}),
        (COMMAND, {"type": 5, "data": {"flags": 64}}),
        (COMMAND, message(content="x" * 2000)),
        (COMMAND, form(title="t" * 45)),
        (COMPONENT, {"type": 6}),
        (COMPONENT, buttons(*(button(custom_id=str(n), label="l" * 80) for n in range(5)))),
        (COMPONENT, buttons({"type": 2, "style": 5, "label": "Open", "url": "https://x.example"})),
        (AUTOCOMPLETE, choices(25, name="n" * 100, value="v" * 100)),
        (MODAL, {"type": 5}),
    ],
)
def test_what_discord_takes_has_no_fault(kind: int, answer: Answer) -> None:
    assert answer_faults(kind, answer) == []


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (PING, {"type": 5}),
        (COMMAND, {"type": 6}),
        (COMMAND, {"type": 8, "data": {"choices": []}}),
        (COMMAND, {"type": 5, "data": {"content": "x"}}),
        (COMMAND, None),
        (AUTOCOMPLETE, {"type": 5}),
        (AUTOCOMPLETE, choices(26)),
        (AUTOCOMPLETE, choices(1, name="")),
        (AUTOCOMPLETE, choices(1, value="v" * 101)),
        (MODAL, form()),
        (COMMAND, form(title="t" * 46)),
        (COMMAND, form(title="")),
        (COMMAND, form(entry={"label": "l" * 46})),
        (COMMAND, form(entry={"value": "v" * 4001})),
        (COMMAND, form(entry={"max_length": 4001})),
        (COMMAND, form(components=[])),
        (COMMAND, message(content="x" * 2001)),
        (COMMAND, message(content="😀" * 1001)),
        (COMMAND, message(content="\ud800")),
        (COMMAND, message(content=" ")),
        (COMMAND, message(allowed_mentions={"parse": ["users"]})),
        (COMMAND, {"type": 4, "data": {"content": "x"}}),
        (COMMAND, message(embed={})),
        (COMMAND, message(flags=8)),
        (COMMAND, message(components=[{"type": 1, "components": [button()]}] * 6)),
        (COMMAND, buttons()),
        (COMMAND, buttons(*(button(custom_id=str(n)) for n in range(6)))),
        (COMMAND, buttons(button(), button())),
        (COMMAND, buttons(button(custom_id="y" * 101))),
        (COMMAND, buttons(button(label="l" * 81))),
        (COMMAND, buttons(button(style=6))),
        (COMMAND, buttons({"type": 2, "style": 5, "label": "x", "url": "javascript:x"})),
    ],
    ids=range(32),
)
def test_what_discord_refuses_is_found(kind: int, answer: Any) -> None:
    assert answer_faults(kind, answer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Upper"},
        {"name": "x" * 33},
        {"description": ""},
        {"description": "d" * 101},
        {"description_localizations": {"xx": "y"}},
        {"options": [{"type": 3, "name": "o", "description": "d"}] * 26},
        {
            "options": [
                {"type": 3, "name": "a", "description": "d"},
                {"type": 3, "name": "b", "description": "d", "required": True},
            ]
        },
        {"options": [{"type": 3, "name": "o", "description": "d", "max_length": 6001}]},
        {"options": [{"type": 1, "name": f"o{n}", "description": "d" * 100, "options": [
            {"type": 3, "name": f"{m}", "description": "d" * 100} for m in range(25)]} for n in range(4)]},
    ],
    ids=range(9),
)  # fmt: skip
def test_a_command_that_discord_refuses_is_found(wrong: Answer) -> None:
    right = {"type": 1, "name": "codex", "description": "d"}
    assert command_faults([right]) == []
    assert command_faults([right | wrong])
    assert command_faults([right, right])


def test_ten_thousand_invalid_requests_are_a_ban_for_ten_minutes() -> None:
    buckets = Buckets()
    for _ in range(INVALID_CEILING):
        assert not buckets.is_banned(0.0)
        buckets.count_invalid(0.0)
    assert buckets.is_banned(599.0)
    assert not buckets.is_banned(600.0)


def test_a_message_to_nobody_mentions_nobody_or_is_a_fault(discord: Discord, application: Application) -> None:
    application.answer = {"type": 4, "data": {"content": "@everyone"}}
    done = discord.interact(application.url, interaction(COMMAND, {"name": "x"}, ADA, discord.clock()))
    assert done.known.answered is None
    assert discord.faults == ["allowed_mentions must say that nobody is mentioned"]
    discord.faults.clear()
