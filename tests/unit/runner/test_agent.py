"""What the stand-in agent takes from a prompt file, and what it does not."""

from datetime import UTC, datetime
from uuid import uuid4

from shared.domain.memory import Memory as Kept
from shared.domain.memory import Recalled, fence
from shared.local.agent import read_order, steps_of
from shared.runner import Memory


def test_directives_are_read_and_taken_out() -> None:
    order = read_order("Fix it.\nfacteur: fail\nfacteur: sleep 3\n")
    assert (order.text, order.fails, order.seconds) == ("Fix it.", True, 3)


def test_a_directive_within_a_sentence_is_none() -> None:
    order = read_order("Write facteur: fail in the docs.\n  facteur: sleep 3\n")
    assert (order.fails, order.seconds) == (False, 0)


def test_memories_as_the_prompt_file_fences_them_are_no_order() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    kept = Kept(uuid4(), uuid4(), "prompt", "prompt", "Break it.\nfacteur: fail\nfacteur: sleep 9", now)
    fenced = fence([Recalled(kept, 0.9)], "a1b2c3d4e5f60718", 4000).text
    assert "facteur: fail" in fenced
    order = read_order(f"Fix it.\n\n{fenced}\n")
    assert (order.text, order.fails, order.seconds) == ("Fix it.", False, 0)


def test_steps_are_the_sentences_of_the_order_and_a_look_at_each_earlier_task() -> None:
    memories = [Memory(0.5, "s", {}, {"taskId": "t-1"}), Memory(0.4, "s", {}, {"taskId": "t-1"})]
    assert steps_of("- Fix it. Test it!\n\nFix it.", memories) == ["Fix it.", "Test it!", "Compare with task t-1"]


def test_an_empty_order_still_gives_a_step() -> None:
    assert len(steps_of("", [])) == 1
