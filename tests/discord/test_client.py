"""The door to Discord, before a Discord that behaves: edits, threads, commands; limits, faults and what is gone."""

import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.discord.client import DiscordApi
from shared.domain.discord import Message, Posted
from shared.domain.errors import FacteurError, Gone, Rejected, Throttled, Unavailable
from shared.local.discord import APPLICATION, CHANNEL, COMMAND, Person, command, interaction
from shared.local.state import free_port
from tests.discord.simulator import ADA, Discord
from tests.discord.simulator import discord as running
from tests.discord.world import Known
from tests.serving import serving

pytestmark = pytest.mark.usefixtures("stopped")
HELLO = Message("hello")
COMMANDS = [{"type": 1, "name": "codex", "description": "Tasks", "options": []}]


def deferred(discord: Discord, ephemeral: bool = False, who: Person = ADA) -> tuple[str, Known]:
    """An interaction that was acknowledged, and its token."""
    document = interaction(COMMAND, command(["codex", "plan"], {}), who, discord.clock())
    known = discord.world.come(document)
    discord.world.acknowledge(known, {"type": 5, "data": {"flags": 64}} if ephemeral else {"type": 5})
    return document["token"], known


def test_the_first_edit_tells_where_the_message_is(discord: Discord) -> None:
    token, known = deferred(discord)
    at = discord.client().edit_original(token, HELLO)
    assert known.original
    assert (at.channel_id, at.message_id) == (CHANNEL, known.original.id)
    assert known.original.content == "hello"


def test_a_message_is_edited_by_its_interaction_for_15_minutes_and_by_the_bot_after_them(discord: Discord) -> None:
    token, known = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    discord.clock.move(899)
    client.edit_original(token, Message("still"))
    discord.clock.move(2)
    with pytest.raises(Gone):
        client.edit_original(token, Message("too late"))
    client.edit_message(at, Message("by the bot"))
    assert known.original and [text for _, text in known.original.history] == ["hello", "still", "by the bot"]


def test_an_edit_that_is_faster_than_its_acknowledgement_is_tried_again(discord: Discord) -> None:
    document = interaction(COMMAND, command(["codex", "plan"], {}), ADA, discord.clock())
    known = discord.world.come(document)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        discord.world.acknowledge(known, {"type": 5})

    DiscordApi(discord.api.url, APPLICATION, None, sleep=sleep).edit_original(document["token"], HELLO)
    assert pauses == [0.5]
    assert known.original and known.original.content == "hello"


def test_a_thread_is_made_once_however_often_it_is_asked_for(discord: Discord) -> None:
    token, known = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    threads = {client.start_thread(at, "  the task\n" + "x" * 200) for _ in range(3)}
    assert known.original and threads == {known.original.thread_id}
    (thread,) = threads
    assert client.send(thread, Message("the result")).channel_id == thread


def test_what_is_sent_twice_with_one_key_is_one_message(discord: Discord) -> None:
    client = discord.client()
    once, again = (client.send(CHANNEL, Message("part 1"), key="task-1") for _ in range(2))
    other = client.send(CHANNEL, Message("part 1"), key="task-2")
    assert once == again != other
    assert len(discord.messages) == 2


def test_commands_are_registered_for_one_guild_or_everywhere(discord: Discord) -> None:
    client = discord.client()
    client.register(COMMANDS, None)
    client.register(COMMANDS, "1100000000000000000")
    client.register(COMMANDS, None)
    assert discord.world.commands == {None: COMMANDS, "1100000000000000000": COMMANDS}


def test_a_message_that_somebody_deleted_is_gone(discord: Discord) -> None:
    token, known = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    assert known.original
    discord.forget(known.original)
    for act in (
        lambda: client.edit_original(token, HELLO),
        lambda: client.edit_message(at, HELLO),
        lambda: client.start_thread(at, "x"),
    ):
        with pytest.raises(Gone):
            act()


def test_a_permission_that_was_taken_is_gone(discord: Discord) -> None:
    token, _ = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    discord.forbid(CHANNEL)
    for act in (
        lambda: client.edit_message(at, HELLO),
        lambda: client.start_thread(at, "x"),
        lambda: client.send(CHANNEL, HELLO),
    ):
        with pytest.raises(Gone):
            act()


def test_a_private_message_cannot_be_edited_by_the_bot(discord: Discord) -> None:
    token, _ = deferred(discord, ephemeral=True)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    with pytest.raises(Gone):
        client.edit_message(at, HELLO)


@pytest.mark.parametrize(
    ("bot_token", "error"), [(None, Gone), ("a-token-that-is-wrong", Unavailable)], ids=["none", "wrong"]
)
def test_without_a_bot_token_that_is_right_nothing_is_the_bots(
    discord: Discord, bot_token: str | None, error: type[FacteurError]
) -> None:
    """A wrong one can be set right: no card is given up for it."""
    token, _ = deferred(discord)
    client = discord.client(bot_token)
    at = client.edit_original(token, HELLO)
    with pytest.raises(error, match="FACTEUR_DISCORD_BOT_TOKEN"):
        client.edit_message(at, HELLO)
    assert len([seen for seen in discord.api.seen if seen.status == 401]) == (1 if bot_token else 0)


def test_a_wrong_bot_token_is_refused_once_in_five_minutes(discord: Discord) -> None:
    client = discord.client("a-token-that-is-wrong")
    with pytest.raises(Unavailable) as refused:
        client.send(CHANNEL, HELLO)
    assert (type(refused.value), refused.value.retry_after) == (Unavailable, 300)
    for _ in range(20):
        with pytest.raises(Throttled):
            client.send(CHANNEL, HELLO)
    assert len(discord.api.seen) == 1


@pytest.fixture
def timed() -> Iterator[Discord]:
    """Its time goes by, for a client that really waits."""
    with running() as simulated:
        yield simulated


def test_ten_threads_that_edit_one_channel_never_meet_a_429(timed: Discord) -> None:
    discord = timed
    discord.api.buckets.allowed["edit"] = (5, 0.2)
    token, _ = deferred(discord)
    client = DiscordApi(discord.api.url, APPLICATION, discord.api.bot_token)
    at = client.edit_original(token, HELLO)

    def edit() -> None:
        left = 6
        while left:
            with contextlib.suppress(Throttled):  # whose turn did not come within two seconds comes again
                client.edit_message(at, Message(f"{left}"))
                left -= 1

    threads = [threading.Thread(target=edit) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {seen.status for seen in discord.api.seen} == {200}
    assert len(discord.api.seen) == 61


def test_who_would_wait_for_long_is_told_when_to_come_again_and_nothing_is_sent(discord: Discord) -> None:
    discord.api.buckets.allowed["edit"] = (1, 60.0)
    token, _ = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    client.edit_message(at, HELLO)
    before = len(discord.api.seen)
    with pytest.raises(Throttled) as refused:
        client.edit_message(at, HELLO)
    assert 58 <= refused.value.retry_after <= 61
    assert len(discord.api.seen) == before
    discord.clock.move(refused.value.retry_after)
    client.edit_message(at, HELLO)


def test_a_refusal_for_fewer_requests_is_obeyed(discord: Discord) -> None:
    token, _ = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    discord.api.shared[CHANNEL] = discord.clock() + 30
    with pytest.raises(Throttled) as refused:
        client.edit_message(at, HELLO)
    assert 29 <= refused.value.retry_after <= 30
    before = len(discord.api.seen)
    with pytest.raises(Throttled):
        client.edit_message(at, HELLO)
    assert len(discord.api.seen) == before
    discord.clock.move(31)
    client.edit_message(at, HELLO)


def test_a_limit_for_the_whole_bot_is_obeyed_and_leaves_interactions_alone(discord: Discord) -> None:
    discord.api.buckets.global_allowed = 0
    discord.api.buckets.everything.seconds = 60.0
    token, _ = deferred(discord)
    client = discord.client()
    with pytest.raises(Throttled):
        client.send(CHANNEL, HELLO)
    before = len(discord.api.seen)
    with pytest.raises(Throttled):
        client.register(COMMANDS, None)
    assert len(discord.api.seen) == before
    client.edit_original(token, HELLO)


def test_an_old_message_is_edited_as_often_as_discord_allows(discord: Discord) -> None:
    token, _ = deferred(discord)
    client = discord.client()
    at = client.edit_original(token, HELLO)
    discord.clock.move(3601)
    for _ in range(3):
        client.edit_message(at, HELLO)
    with pytest.raises(Throttled) as refused:
        client.edit_message(at, HELLO)
    assert 1 <= refused.value.retry_after <= 20
    discord.clock.move(refused.value.retry_after)
    client.edit_message(at, Message("true again"))


def test_a_ban_of_the_address_is_waited_for(discord: Discord) -> None:
    discord.api.buckets.invalid.extend([discord.clock()] * 10_000)
    token, _ = deferred(discord)
    client = discord.client()
    with pytest.raises(Throttled) as refused:
        client.edit_original(token, HELLO)
    assert refused.value.retry_after == 600
    with pytest.raises(Throttled):
        client.send(CHANNEL, HELLO)
    assert len(discord.api.seen) == 1


@pytest.mark.parametrize("fault", ["away", "cut"])
def test_a_discord_that_is_away_is_there_again_later(discord: Discord, fault: str) -> None:
    token, _ = deferred(discord)
    client = discord.client()
    setattr(discord.api, fault, True)
    with pytest.raises(Unavailable) as refused:
        client.edit_original(token, HELLO)
    assert not isinstance(refused.value, Throttled)
    setattr(discord.api, fault, False)
    client.edit_original(token, HELLO)


def test_a_discord_that_is_slow_is_given_up(discord: Discord) -> None:
    token, _ = deferred(discord)
    discord.api.slow = 10.0
    with pytest.raises(Unavailable):
        discord.client(timeout=0.2).edit_original(token, HELLO)


def test_nobody_at_the_address_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        DiscordApi(f"http://127.0.0.1:{free_port()}", APPLICATION, None).edit_original("t", HELLO)


def test_what_is_no_discord_ends_nothing_for_ever(discord: Discord) -> None:
    elsewhere = DiscordApi(discord.api.url + "/elsewhere", APPLICATION, None)
    with pytest.raises(Unavailable, match="FACTEUR_DISCORD_API_URL"):
        elsewhere.edit_original("t", HELLO)


def test_nonsense_is_rejected_for_ever(discord: Discord) -> None:
    token, _ = deferred(discord)
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "y" * 101}]}
    with pytest.raises(Rejected):
        discord.client().edit_original(token, Message("x", (row,)))
    assert discord.faults == ["custom_id has 101 characters, and may have 1 to 100"]
    discord.faults.clear()


@pytest.mark.parametrize("token", ["", "../../channels/1", "a/b", "a?b", "..", "é"])
def test_a_token_that_is_none_is_sent_nowhere(discord: Discord, token: str) -> None:
    with pytest.raises(Gone):
        discord.client().edit_original(token, HELLO)
    assert discord.api.seen == []


@pytest.mark.parametrize("wrong", ["", "1/2", "..", "x", "1" * 30])
def test_an_id_that_is_none_is_sent_nowhere(discord: Discord, wrong: str) -> None:
    with pytest.raises(Rejected):
        discord.client().edit_message(Posted(wrong, "1"), HELLO)
    with pytest.raises(Rejected):
        discord.client().send(wrong, HELLO)
    assert discord.api.seen == []


def test_no_token_is_in_an_error_or_a_log_line(discord: Discord, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token, _ = deferred(discord)
    client = discord.client()
    discord.clock.move(1000)
    with pytest.raises(Gone) as refused:
        client.edit_original(token, HELLO)
    discord.api.away = True
    with pytest.raises(Unavailable) as failed:
        client.edit_original(token, HELLO)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    text = json.dumps([str(refused.value), str(failed.value), repr(client), *ours])
    assert token not in text and discord.api.bot_token not in text


@pytest.fixture
def broken_headers() -> Iterator[str]:
    """The address of a server whose answers have a line among their headers that is none."""

    class Handler(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"id": "1", "channel_id": "2"}'
            self.wfile.write(b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as url:
        yield url


def test_an_answer_with_a_broken_header_brings_no_token_into_the_log(
    broken_headers: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "a-token-of-an-interaction-that-must-not-be-logged"
    with contextlib.suppress(FacteurError):
        DiscordApi(broken_headers, APPLICATION, None).edit_original(token, HELLO)
    assert token not in caplog.text
