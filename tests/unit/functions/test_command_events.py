"""Commands that somebody else received from Discord: whatever is in them, it is understood or refused for ever."""

import json
from typing import Any

import pytest

from functions.discord_interaction.command_events import asked, opened
from functions.discord_interaction.parking import require_sealed, sealed
from functions.discord_interaction.requests import requested
from functions.discord_interaction.roles import RoleMap
from shared.domain.errors import Rejected, Unauthenticated
from shared.events.event import Event
from shared.events.protobuf.proompteng.facteur.v1.contract_pb2 import CommandEvent

NOBODY_IS_NAMED = RoleMap({})
KEY, EARLIER = "k" * 32, "e" * 32
PARKED = Event("1", "/x", "t", data=b"a command")


def command(payload: Any = None, **changes: Any) -> CommandEvent:
    fields: dict[str, Any] = {
        "interaction_id": "1400000000000000000",
        "command": "plan",
        "options": {"prompt": "do it", "payload": json.dumps(payload or {})},
        "user": {"id": "42"},
    }
    return CommandEvent(**{**fields, **changes})


@pytest.mark.parametrize("stage", [[], {}, ["review"], {"review": 1}, 7, None, True, "none"], ids=repr)
def test_a_stage_that_is_none_is_that_of_the_command(stage: Any) -> None:
    assert asked(command({"stage": stage}), NOBODY_IS_NAMED).stage == "planning"


@pytest.mark.parametrize("name", ["prompt", "repository", "base", "head"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "a\0b", ["x"], {"x": 1}, 7], ids=ascii)
def test_a_text_that_cannot_be_stored_is_refused_for_ever(name: str, text: Any) -> None:
    with pytest.raises(Rejected):
        asked(command({"prompt": "x", name: text}), NOBODY_IS_NAMED)


@pytest.mark.parametrize("wrong", ["x", "1\0", "1 ", "-1", "1" * 21, "\u0661", "1\n"], ids=ascii)
@pytest.mark.parametrize("name", ["interaction_id", "application_id", "guild_id", "channel_id", "user", "member"])
def test_an_id_that_is_none_is_refused_for_ever(name: str, wrong: str) -> None:
    changes: dict[str, Any] = {name: {"id": wrong} if name in ("user", "member") else wrong}
    with pytest.raises(Rejected):
        asked(command(**changes), NOBODY_IS_NAMED)


@pytest.mark.parametrize("number", ["x", [[]], 1.5, True, -1, 0, 2**60, None], ids=repr)
def test_an_issue_that_is_none_is_left_out(number: Any) -> None:
    assert asked(command({"issueNumber": number}), NOBODY_IS_NAMED).more == {}


def test_what_is_sound_becomes_a_task_and_a_card() -> None:
    event = command({"stage": "review", "issueNumber": "7"}, token="a-token", channel_id="8")
    found = asked(event, NOBODY_IS_NAMED)
    assert (found.stage, found.more) == ("review", {"issueNumber": 7})
    assert requested(found, None)[1].data
    assert (opened(event, 2e9).token, opened(event, 2e9).channel_id, opened(event, 2e9).guild_id) == (
        "a-token",
        "8",
        None,
    )


def test_what_was_parked_is_known_by_the_key_of_now_and_the_one_before() -> None:
    for key in (KEY, EARLIER):
        require_sealed([KEY, EARLIER], sealed(key, PARKED))


@pytest.mark.parametrize(
    "forged",
    [
        PARKED,
        Event("1", "/x", "t", data=PARKED.data, extensions={"facteurmac": ""}),
        Event("1", "/x", "t", data=PARKED.data, extensions={"facteurmac": "é"}),
        sealed("another key", PARKED),
        Event("1", "/x", "t", data=b"another", extensions=sealed(KEY, PARKED).extensions),
        Event("1", "/x", "t", extensions=sealed(KEY, PARKED).extensions),
    ],
    ids=["none", "empty", "no hex", "another key", "other data", "no data"],
)
def test_what_was_not_parked_here_is_known_by_nobody(forged: Event) -> None:
    with pytest.raises(Unauthenticated):
        require_sealed([KEY, EARLIER], forged)
