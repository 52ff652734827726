"""What agents and callers write never formats, links or mentions in Discord, however long or hostile it is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.discord_interaction import answers, buttons
from functions.discord_interaction.card import FOLLOW_IT, face, parts
from shared.discord.messages import body
from shared.domain.card import TaskFacts
from shared.domain.discord import Message
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.events.catalogue import RunLaunched, TaskFinished
from shared.local.discord import COMMAND, Person
from shared.postgres.reports import PgReports
from tests.component.conftest import until
from tests.discord.reading import breaks_out
from tests.discord.shapes import answer_faults, message_faults
from tests.discord.stand import Stand, told
from tests.integration.postgres.conftest import launch
from tests.unit.functions.test_card import BEGAN, FACTS, TASK

LINK = "https://facteur.test/v1/codex/tasks/x"
PIECES = (
    *("@everyone", "@here", "<@123456789012345678>", "<@&123456789012345678>", "<#123456789012345678>"),
    *("</codex status:123456789012345678>", "<id:customize>", "<a:x:123456789012345678>", "<t:1:R>", "@silent "),
    *("```", "``", "`", "\\", "**", "__", "~~", "||", "> ", ">>> ", "# ", "-# ", "- ", "1. ", "\n", "\r\n", "\t", "\0"),
    *("[x](https://evil.test)", "https://evil.test", "discord.gg/evil", "\u202e", "\u2066", "\u200b", "😀", "\ud800"),
)
hostile = st.builds(
    lambda pieces, times: "".join(pieces) * times,
    st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=30),
    st.sampled_from([1, 1, 1, 50, 2000]),
)


def shown(message: Message) -> dict[str, Any]:
    """A message as it is sent; Discord has nothing to say against it, and it mentions nobody."""
    sent = body(message)
    assert list(message_faults(sent)) == []
    assert sent["allowed_mentions"] == {"parse": []}
    return sent


def everywhere(text: str, *, ended: bool) -> TaskFacts:
    facts = replace(
        FACTS, reason=text, repository=text, base=text, head=text, prompt=text, said={"text": text}, diff=text,
        artifacts=(text,) * 9, changes=7,
    )  # fmt: skip
    end: dict[str, Any] = {"result": text, "status": RunState.FAILED, "finished_at": BEGAN + timedelta(hours=1)}
    return replace(facts, **end) if ended else facts


@given(text=hostile, ended=st.booleans(), note=st.sampled_from(["", FOLLOW_IT]))
def test_a_card_is_what_discord_takes_and_nothing_of_others_gets_out(text: str, ended: bool, note: str) -> None:
    drawn = face(TASK, everywhere(text, ended=ended), LINK, note)
    message = drawn.message(TASK, lambda kind, task: buttons.button("k" * 32, kind, task, 4_000_000_000), False)
    content = shown(message)["content"]
    assert breaks_out(content) == []
    assert content.endswith(f"`{TASK}`"), "our own words are not pushed out by theirs"


@given(text=hostile)
def test_a_result_in_a_thread_stays_in_its_code_blocks(text: str) -> None:
    for part in parts(text):
        assert breaks_out(shown(Message(part))["content"]) == []


@given(text=hostile)
def test_every_answer_mentions_nobody(text: str) -> None:
    answer = answers.private("x" + text.replace("\ud800", ""))
    assert answer["data"]["allowed_mentions"] == {"parse": []}
    assert answer_faults(COMMAND, answer) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("▶️ **running** · <t:1:R>\n> \\*\\*x\\*\\*\n```\n**b**\n```\n`" + str(TASK) + "`", []),
        ("**bold** and __under__", ["_", "_", "_", "_"]),
        ("@everyone", ["@"]),
        ("@\u200beveryone", []),
        ("```\nx\n```\n```", ["`", "`", "`"]),
        ("<@123> \\\\**x**", ["<", "@", ">"]),
        ("# head", ["# "]),
        ("see https://evil.test", ["https://"]),
    ],
    ids=range(8),
)
def test_what_gets_out_is_found(content: str, found: list[str]) -> None:
    assert breaks_out(content) == found


OUTPUT = "@everyone <@123456789012345678> ```\n**bold** [x](https://evil.test) ||`no`|| \u202e\n" * 1400
WHO = Person(user_id="1000000000000000011")


@pytest.mark.timeout(180)
def test_outputs_of_100_kb_are_contained_in_every_message(stand: Stand) -> None:
    assert len(OUTPUT) > 100_000
    environment = {"FACTEUR_DISCORD_THREADS": "true", "FACTEUR_DISCORD_GUILD_ID": str(WHO.guild_id)}
    with stand.function(FACTEUR_PUBLIC_URL="https://facteur.test", **environment) as function:
        task, card = stand.card(function, OUTPUT[:3000], WHO)
        launch(stand.stage.database, task)
        stand.hear(function, RunLaunched(task, 1, "job"))
        _run(stand, task)
        stand.hear(function, TaskFinished(task, "succeeded"))
        until(lambda: "succeeded" in told(card))
        press = {
            label: stand.discord.press(function.url, card.original, label, WHO) for label in ("Timeline", "Memory")
        }
        status = stand.discord.command(function.url, ["codex", "status"], {}, WHO)
        memory = stand.discord.command(function.url, ["codex", "memory"], {"query": "bold everyone"}, WHO)
        until(lambda: all(told(one) for one in (*press.values(), status, memory)))
        form = stand.discord.press(function.url, card.original, "Retry", WHO).answer
        assert form["type"] == 9
        stand.stage.change("UPDATE codex_kb.codex_tasks SET settled_at = now() WHERE id = %(task)s", task)
        until(lambda: sum(message.channel_id == card.original.thread_id for message in stand.discord.messages) > 2, 60)
    messages = stand.discord.messages
    assert len(messages) >= 8
    for message in messages:
        for _, text in message.history:
            assert breaks_out(text) == [], text
    assert stand.discord.faults == []


def _run(stand: Stand, task: UUID) -> None:
    reports = PgReports(stand.stage.database)
    said = [Report(f"e{n}", n, "log", {"stream": "stdout", "text": OUTPUT}) for n in range(1, 4)]
    reports.record(task, 1, said, None, None)
    reports.record(task, 1, [Report("e9", 4, "completed")], End(RunState.SUCCEEDED, "", OUTPUT), None)
