"""What a card shows: the truth, within Discord's limits, and nothing that an agent wrote as if it were ours."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.discord_interaction.card import FOLLOW_IT, MOST_PARTS, face, last_line, parts, unknown
from shared.domain.card import TaskFacts
from shared.domain.discord import CONTENT_LIMIT, length
from shared.domain.run import RunState

TASK = UUID("0123456789abcdef0123456789abcdef")
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = "@everyone <@123456789012345678> ```\n**bold** [link](https://evil.test) <#1> `x` ``` \u202e > - # ||x||"
FACTS = TaskFacts(
    status=RunState.RUNNING,
    reason="",
    result="",
    stage="implementation",
    repository="owner/repo",
    base="main",
    head="fix",
    prompt="do it",
    attempt=1,
    usage={},
    accepted_at=BEGAN,
    launched_at=BEGAN + timedelta(seconds=10),
    finished_at=None,
    cancel_requested=False,
    settled=False,
    said="step one\nstep two",
    diff="",
    changes=0,
    artifacts=(),
)
ENDED = replace(
    FACTS, status=RunState.SUCCEEDED, result="all is well", finished_at=BEGAN + timedelta(seconds=200), said="bye"
)


def shown(facts: TaskFacts = FACTS, link: str = "", **changes: Any) -> str:
    return face(TASK, replace(facts, **changes), link).content


def test_a_running_task_shows_when_it_began_what_was_said_and_what_it_works_on() -> None:
    content = shown()
    began = int(BEGAN.timestamp()) + 10
    assert content.splitlines() == [
        f"▶️ **running** · started <t:{began}:R>",
        "implementation of owner\\/repo (main → fix)",
        "> do it",
        "```",
        "step two",
        "```",
        f"`{TASK}`",
    ]


def test_a_task_that_has_ended_shows_its_result_and_how_long_it_took() -> None:
    content = shown(ENDED)
    assert "✅ **succeeded** · took 3 min 10 s, ended <t:" in content
    assert "```\nall is well\n```" in content
    assert "bye" not in content


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90000, "25 h 0 min")]
)
def test_times_are_told_as_people_say_them(seconds: int, expected: str) -> None:
    finished = BEGAN + timedelta(seconds=10 + seconds)
    assert f"took {expected}, ended" in shown(ENDED, finished_at=finished)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, "running** · started <t:1767323055:R>\n"),
        ({"inputTokens": 12000, "outputTokens": 345, "cachedInputTokens": 9}, " · 12,345 tokens\n"),
        ({"costUsd": 0.425}, " · $0.42\n"),
        ({"inputTokens": 1, "costUsd": 1234.5}, " · 1 tokens · $1,234.50\n"),
        ({"inputTokens": "many", "costUsd": None}, ":R>\n"),
    ],
)
def test_the_cost_is_told_if_it_is_known(usage: dict[str, Any], expected: str) -> None:
    assert expected in shown(usage=usage)


def test_what_waits_says_why() -> None:
    content = shown(status=RunState.QUEUED, launched_at=None, reason="waits: 2 of 2 runs are active", said=None)
    assert content.startswith("⏳ **queued** · asked for <t:")
    assert "\nwaits\\: 2 of 2 runs are active\n" in content
    assert "```" not in content


def test_another_attempt_and_the_wish_to_cancel_show() -> None:
    content = shown(attempt=3, cancel_requested=True)
    assert "**is being canceled**" in content
    assert "attempt 3" in content


def test_changes_and_files_are_told_in_a_line_each() -> None:
    names = tuple(f"file-{number}" for number in range(8))
    content = shown(ENDED, diff="2 files changed", changes=1200, artifacts=names)
    assert "\nChanges: 2 files changed · 1,200 lines of the targets\n" in content
    assert "\nFiles: file\\-0, file\\-1, file\\-2, file\\-3, file\\-4 and 3 more\n" in content


@pytest.mark.parametrize(
    ("facts", "buttons"),
    [
        (FACTS, ("cancel", "timeline", "memory")),
        (replace(FACTS, cancel_requested=True), ("timeline", "memory")),
        (ENDED, ("retry-implement", "timeline", "memory")),
        (replace(ENDED, stage="planning"), ("retry-plan", "timeline", "memory")),
        (replace(ENDED, stage="of another kind"), ("timeline", "memory")),
    ],
    ids=["running", "being canceled", "ended", "planned", "of another kind"],
)
def test_there_is_a_button_for_what_can_be_done(facts: TaskFacts, buttons: tuple[str, ...]) -> None:
    assert face(TASK, facts, "").buttons == buttons


def test_faces_are_equal_if_they_look_the_same() -> None:
    assert face(TASK, FACTS, "").digest == face(TASK, replace(FACTS, settled=True), "").digest
    other = [replace(FACTS, said="three"), ENDED, replace(FACTS, cancel_requested=True), replace(FACTS, attempt=2)]
    assert len({face(TASK, facts, "").digest for facts in (FACTS, *other)}) == 5


def test_the_buttons_of_a_face_are_one_row_of_its_message() -> None:
    message = face(TASK, FACTS, "").message(TASK, lambda kind, task: {"kind": kind, "task": task}, ephemeral=True)
    row = [{"kind": kind, "task": TASK} for kind in ("cancel", "timeline", "memory")]
    assert message.components == ({"type": 1, "components": row},)
    assert message.ephemeral
    bare = unknown(TASK, slow=False).message(TASK, lambda kind, task: {}, ephemeral=False)
    assert bare.components == ()


def test_a_task_that_is_not_accepted_says_so_and_later_why_that_may_be() -> None:
    soon, late = unknown(TASK, slow=False), unknown(TASK, slow=True, note=FOLLOW_IT)
    assert "dead letters" not in soon.content
    assert "dead letters" in late.content
    assert FOLLOW_IT in late.content
    assert soon.digest != late.digest


def hostile_everywhere(text: str) -> TaskFacts:
    return replace(
        FACTS,
        reason=text,
        repository=text,
        base=text,
        head=text,
        prompt=text,
        said=text,
        diff=text,
        artifacts=(text,) * 9,
        usage={"inputTokens": 10**15, "costUsd": 1e15},
        attempt=999999,
    )


@pytest.mark.parametrize("text", [HOSTILE, HOSTILE * 1000, "`" * 100_000, "😀" * 100_000, "a\n" * 50_000])
@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_what_agents_and_callers_write_is_contained(text: str, ended: bool) -> None:
    facts = hostile_everywhere(text)
    if ended:
        facts = replace(facts, result=text, status=RunState.FAILED, finished_at=BEGAN + timedelta(days=1))
    content = face(TASK, facts, "https://facteur.test/v1/codex/tasks/x", FOLLOW_IT).content
    assert length(content) <= CONTENT_LIMIT
    assert str(TASK) in content
    assert FOLLOW_IT in content
    assert not re.search(r"@(everyone|here|&?[0-9])|\u202e", content)
    outside = content.split("```")
    assert len(outside) in (1, 3)  # there is at most one code block, and it is closed
    for part in (outside[0], outside[-1]):
        # Whatever formats is ours: nothing of theirs is without its backslash.
        assert not re.search(r"(?<!\\)(\[|\|\||~)|<[@#]&?[0-9]", part)


@given(st.text(max_size=5000))
def test_any_text_gives_a_message_that_discord_takes(text: str) -> None:
    content = face(TASK, replace(hostile_everywhere(text), result=text), "").content
    assert length(content) <= CONTENT_LIMIT


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, ""),
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ({"kind": "message", "text": "first\nlast"}, "last"),
        ({"kind": "command", "command": "make test\nmore", "status": "completed"}, "$ make test"),
        ({"kind": "command", "command": ""}, "$"),
        ({"kind": "files", "files": [{"path": "a.py", "change": "add"}], "count": 1}, "changed a.py"),
        ({"kind": "files", "files": [{"path": "a.py"}, {"path": "b.py"}, {}]}, "changed a.py and 2 more"),
        ({"kind": "files", "files": []}, "kind: files"),
        ({"kind": "todo", "items": [{"done": True}, {"done": False}, "?"]}, "1 of 3 steps are done"),
        ({"kind": "tool", "tool": "grep", "server": "s"}, "used grep"),
        ({"kind": "search", "query": "q"}, "looked for q"),
        ({"kind": "error", "message": "no\nnetwork"}, "network"),
        ({"stream": "stderr", "text": "a line"}, "a line"),
        ({"step": 3, "of": 7, "more": {"deep": []}}, "step: 3, of: 7"),
        ({"text": 7}, "text: 7"),
        ([1, 2], ""),
        (17, ""),
    ],
)
def test_the_last_line_of_any_report_is_found(said: Any, expected: str) -> None:
    assert last_line(said) == expected


def unpacked(blocks: Any) -> str:
    return "".join(block.removeprefix("```\n").removesuffix("\n```") for block in blocks).replace("\u200b", "")


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=6000))
def test_the_parts_of_a_result_fit_and_lose_nothing(result: str) -> None:
    blocks = parts(result, 300)
    assert all(length(block) <= 300 for block in blocks)
    kept = unpacked(blocks[:MOST_PARTS])
    assert kept == result.replace("\u200b", "") or (len(blocks) > MOST_PARTS and result.startswith(kept))


def test_parts_end_where_lines_do() -> None:
    result = "\n".join(f"line {number}" for number in range(100))
    for block in parts(result, 100):
        inner = block.removeprefix("```\n").removesuffix("\n```").split("\n")
        assert all(re.fullmatch(r"line [0-9]+", line) for line in inner)


def test_of_a_result_that_never_ends_some_is_told_and_that_there_is_more() -> None:
    blocks = parts("x" * 1_000_000)
    assert len(blocks) == MOST_PARTS + 1
    assert "/codex status" in blocks[-1]


def test_nothing_is_told_of_no_result() -> None:
    assert list(parts("")) == []
    assert list(parts("\n \n")) == []
