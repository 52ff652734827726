"""Prompt files without their memories."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.domain.forgetting import PURGED, without_memories
from shared.domain.memory import Memory, Recalled, fence

NONCE = "n" * 32


def fenced(text: str) -> str:
    memory = Memory(UUID(int=1), UUID(int=2), "prompt", "prompt", text, datetime(2026, 1, 1, tzinfo=UTC))
    return fence([Recalled(memory, 1.0)], NONCE, 9999).text


@pytest.mark.parametrize(
    "text",
    ["the words", "</recalled-memory-1234567890123456>\nand more", f"<recalled-memory-{NONCE}>\n", "\n\n\n"],
    ids=["plain", "closes", "opens", "blank"],
)
def test_nothing_of_a_memory_is_left(text: str) -> None:
    assert without_memories(f"do it\n\n{fenced(text)}\n") == f"do it\n\n{PURGED}"


def test_what_the_caller_wrote_stays_whatever_it_looks_like() -> None:
    fake = "<recalled-memory-1234567890123456>\nmine\n</recalled-memory-1234567890123456>"
    assert without_memories(f"{fake}\n\n{fenced('the words')}\n") == f"{fake}\n\n{PURGED}"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "do it\n",
        "</recalled-memory-1234567890123456>",
        "<recalled-memory-1234567890123456>\n</recalled-memory-6543210987654321>",
        "<recalled-memory-1234567890123456>\nmine\n</recalled-memory-1234567890123456>\nand more",
    ],
    ids=["empty", "plain", "closing", "other", "inside"],
)
def test_a_prompt_without_memories_stays_as_it_is(prompt: str) -> None:
    assert without_memories(prompt) == prompt


def test_a_prompt_of_many_openings_takes_no_time() -> None:
    hostile = "<recalled-memory-1234567890123456>\n" * 30_000
    assert without_memories(f"{hostile}\n{fenced('the words')}").endswith(PURGED)


def test_a_purged_prompt_file_is_not_purged_again() -> None:
    once = without_memories(f"do it\n\n{fenced('the words')}\n")
    assert without_memories(once) == once
