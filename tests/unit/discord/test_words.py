"""Text that nobody vouches for stays in its place, whatever it is, and a message is never too long."""

import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.discord.messages import body
from shared.domain.discord import Message, contained, fitted, length, plain

TEXTS = st.text(alphabet=st.characters(), max_size=300) | st.text(
    "`@<>#*_~|\\\n[]()a1 :/&!\u202e\ud800\0", max_size=300
)
HUGE = "@everyone `x` **b** 😀\n" * 5_000


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@given(TEXTS, st.integers(9, 200))
def test_what_is_contained_is_one_code_block_that_it_cannot_leave(text: str, limit: int) -> None:
    block = contained(text, limit)
    if not block:
        return
    assert units(block) <= limit
    assert block.startswith("```\n") and block.endswith("\n```")
    inner = block[4:-4]
    assert "``" not in inner and not inner.endswith("`")
    assert not re.search("@(everyone|here|[!&]?[0-9])", inner)


@given(TEXTS, st.integers(0, 200))
def test_plain_text_is_one_line_in_which_every_mark_stands_for_itself(text: str, limit: int) -> None:
    line = plain(text, limit)
    assert units(line) <= limit
    assert "\n" not in line and "\u202e" not in line and "\0" not in line
    without_escaped = re.sub(r"\\[^A-Za-z0-9\s]", "", line)
    assert not re.search(r"[\\*_~`|<>\[\]()#]", without_escaped)
    assert not re.search("@(everyone|here|[!&]?[0-9])", line)


@given(st.text(string.printable.replace("\x0b", "").replace("\x0c", "")))
def test_plain_text_reads_as_it_was(text: str) -> None:
    shown = re.sub(r"\\([^A-Za-z0-9\s])", r"\1", plain(text, 10_000)).replace("\u200b", "")
    assert shown == " ".join(text.split())


@pytest.mark.parametrize("link", ["https://evil.example/x", "[ok](https://evil.example)", "<https://evil.example>"])
def test_a_link_in_plain_text_cannot_be_followed(link: str) -> None:
    assert not re.search(r"https?://", plain(link, 200))


def test_nothing_is_shown_of_nothing() -> None:
    assert [contained(text, 100) for text in ("", " \n ", "\0\u202e")] == ["", "", ""]
    assert contained("text", 8) == ""
    assert plain("\n\t ", 10) == ""


def test_a_cut_says_that_there_was_more() -> None:
    assert plain("abcdef", 4) == "abc…"
    assert plain("abcd", 4) == "abcd"
    assert contained("abcdef", 12) == "```\nabc…\n```"


@pytest.mark.parametrize("text", [HUGE, "😀" * 1_001, "```\n" + HUGE, "a" * 1_998 + "```", "`" * 9_000], ids=range(5))
def test_no_content_is_longer_than_a_message(text: str) -> None:
    cut = fitted(text)
    assert units(cut) <= 2_000
    assert cut.count("```") % 2 == 0


def test_content_that_fits_stays_as_it_is() -> None:
    assert fitted("x" * 2_000) == "x" * 2_000
    assert length("😀a") == 3


def test_every_body_mentions_nobody_and_unfolds_no_link() -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 4, "label": "Cancel", "custom_id": "x"}]}
    shown = body(Message("@everyone " + HUGE, (row,)))
    assert shown["allowed_mentions"] == {"parse": []}
    assert units(shown["content"]) <= 2_000
    assert (shown["components"], shown["flags"]) == ([row], 4)
    assert body(Message("for you", ephemeral=True))["flags"] == 4 | 64
    assert json.loads(json.dumps(shown)) == shown
