"""Texts in pieces: cut by their structure, never too long, and with nothing lost."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.chunking import chunk, pieces
from tests.cpu_time import cpu_seconds

TEXTS = st.text(alphabet=st.sampled_from("ab -\t\n\r:é"), max_size=300)
LINES = [
    "apiVersion: v1",
    "kind: List",
    "kind: Pod",
    "metadata:",
    "  name: web",
    '  "name": "web",',
    "items:",
    "- apiVersion: v1",
    "  kind: ConfigMap",
    "spec:",
    "    deep: [1, 2]",
    "- item",
    "{",
    "  {",
    "}",
    "  ]",
    "---",
    "# Heading",
    "```",
    "````yaml",
    "~~~",
    "A sentence. And another one!",
    "A line that is a good deal longer than the others, without an end",
    "日本語の文。もう一つの文。",
    "",
    "   ",
    "x" * 90,
]
STRUCTURED = st.lists(st.sampled_from(LINES), max_size=40).map("\n".join)
LIMITS = st.integers(min_value=1, max_value=150)
IDENTITY = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n"


def letters(text: str) -> str:
    return "".join(text.split())


def manifest(kind: str, name: str, **content: Any) -> Mapping[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, **content}


class TestWhateverTheText:
    @given(TEXTS | STRUCTURED, LIMITS)
    def test_nothing_is_lost(self, text: str, limit: int) -> None:
        found = pieces(text, limit)
        assert "".join(text[piece.start : piece.end] for piece in found) == text
        assert all(before.end == after.start for before, after in pairwise(found))

    @given(TEXTS | STRUCTURED, LIMITS)
    def test_every_chunk_is_within_the_limit_and_says_something(self, text: str, limit: int) -> None:
        assert all(0 < len(one) <= limit and one.strip() for one in chunk(text, limit))

    @given(TEXTS, LIMITS)
    def test_nothing_but_white_space_is_lost_between_chunks(self, text: str, limit: int) -> None:
        assert letters("".join(chunk(text, limit))) == letters(text)

    @given(TEXTS | STRUCTURED, LIMITS)
    def test_a_line_that_fits_is_never_cut(self, text: str, limit: int) -> None:
        short = {line.strip() for line in text.split("\n") if len(line) <= limit} - {""}
        kept = {line.strip() for piece in chunk(text, limit) for line in piece.split("\n")}
        assert short <= kept

    @pytest.mark.parametrize("text", ["", "\n \n", "  ", " \t\r\n" * 9], ids=["none", "lines", "spaces", "all"])
    def test_white_space_is_no_chunk(self, text: str) -> None:
        assert chunk(text) == []

    @pytest.mark.parametrize("text", ["\u00a0", "\x0b", "\u2003\n"], ids=["nbsp", "tab", "em"])
    def test_what_the_database_takes_for_a_text_has_a_chunk(self, text: str) -> None:
        assert len(chunk(text)) == 1

    @pytest.mark.parametrize(
        "text",
        [
            "---\n" * 250_000,
            "\n" * 1_000_000,
            " " * 1_000_000,
            "a \n" * 300_000,
            "x" * 1_000_000,
            "```\n" * 250_000,
            "~~~\n\n" * 200_000,
            "# \n# a\n" * 140_000,
            "apiVersion: v1\nkind: Pod\n" * 40_000,
            "apiVersion: v1\nkind: Pod\nmetadata:" + " " * 500_000 + "x\n" + "kind:" + " " * 500_000,
            "apiVersion: v1\nkind: Pod\n" + "".join(" " * depth + "a:\n" for depth in range(1400)),
            "apiVersion: v1\nkind: Pod\n" + "- " * 500_000,
            "apiVersion: v1\nkind: List\nitems:\n" + "- apiVersion: v1\n  kind: Pod\n" * 40_000,
            "{\n" * 500_000,
            "[" * 1_000_000,
            "." * 1_000_000,
            ". \t" * 330_000,
            "\r" * 1_000_000,
        ],
        ids=range(18),
    )
    def test_a_hostile_text_takes_linear_time(self, text: str) -> None:
        assert cpu_seconds(lambda: chunk(text)) < 4


class TestProse:
    def test_a_short_text_is_one_chunk(self) -> None:
        assert chunk("a line\n\nanother\n") == ["a line\n\nanother"]

    def test_paragraphs_stay_whole(self) -> None:
        assert chunk("one one\none\n\ntwo two\ntwo\n\nthree", 15) == ["one one\none", "two two\ntwo", "three"]

    def test_a_paragraph_that_just_fits_stays_whole(self) -> None:
        assert chunk("first line\nand second\n\n\nmore", 21) == ["first line\nand second", "more"]

    def test_what_stands_below_a_heading_stays_with_it(self) -> None:
        assert chunk("# One\n\ntext\n\n# Two\n\ntext", 16) == ["# One\n\ntext", "# Two\n\ntext"]

    def test_lines_stay_whole_and_keep_their_indentation(self) -> None:
        assert chunk("spec:\n  replicas: 3\n  paused: true\n", 20) == ["spec:\n  replicas: 3", "  paused: true"]

    def test_a_paragraph_ends_where_a_sentence_does(self) -> None:
        assert chunk("It is one.\nIt goes\non and on.\nAnd it ends.", 30) == [
            "It is one.\nIt goes\non and on.",
            "And it ends.",
        ]
        assert chunk("It is one.\nIt goes\non and on", 20) == ["It is one.", "It goes\non and on"]

    def test_only_a_line_that_alone_is_too_long_is_cut(self) -> None:
        assert chunk("short\n" + "x" * 25 + "\nend", 10) == ["short", "x" * 10, "x" * 10, "x" * 5, "end"]

    def test_a_line_that_is_too_long_ends_at_a_sentence_or_a_word(self) -> None:
        assert chunk("It is one. It goes on and on", 15) == ["It is one.", " It goes on", "and on"]
        assert chunk("日本語の文。もう一つの文", 8) == ["日本語の文。", "もう一つの文"]

    @pytest.mark.parametrize("fence", ["```", "~~~~"])
    def test_code_stays_whole_where_it_fits(self, fence: str) -> None:
        code = f"{fence}yaml\na: 1\n\n---\n\n# b: 2.\n{fence}"
        assert chunk(f"First one.\n\n{code}\n\nThen the other one.", len(code)) == [
            "First one.",
            code,
            "Then the other one.",
        ]

    def test_code_that_is_too_large_is_cut_as_what_it_is(self) -> None:
        manifest = IDENTITY + "spec:\n  replicas: 3\n" + "".join(f"  field{n}: some value\n" for n in range(20))
        first, *others = chunk(f"Apply this:\n```yaml\n{manifest}```\n", 400)
        assert first.startswith("Apply this:\n```yaml\napiVersion: apps/v1")
        assert others
        assert all(one.startswith(IDENTITY.rstrip()) for one in others)


class TestManifests:
    def test_documents_stay_whole(self) -> None:
        documents = [f"---\nkind: Pod\nmetadata:\n  name: p{number}" for number in range(6)]
        assert chunk("\n".join(documents), 80) == ["\n".join(documents[at : at + 2]) for at in range(0, 6, 2)]

    def test_items_of_a_list_stay_whole(self) -> None:
        item = "- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: c{}\n"
        text = "apiVersion: v1\nkind: List\nitems:\n" + "".join(item.format(number) for number in range(5))
        assert chunk(text, 130) == [
            "apiVersion: v1\nkind: List",
            "items:\n" + item.format(0) + item.format(1).rstrip(),
            item.format(2) + item.format(3).rstrip(),
            item.format(4).rstrip(),
        ]

    def test_items_of_a_list_in_json_stay_whole(self) -> None:
        items = [manifest("ConfigMap", f"c{number}", data={"a": "x" * 60}) for number in range(4)]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2)
        found = chunk(text, 320)
        assert [one.count('"ConfigMap"') for one in found] == [1] * 4
        assert [f'"c{number}"' in one and "x" * 60 in one for number, one in enumerate(found)] == [True] * 4

    @pytest.mark.parametrize("form", ["yaml", "json", "item", "late"])
    def test_every_piece_of_an_object_says_which_object_it_is(self, form: str) -> None:
        data = {f"key{number}": "some value" for number in range(40)}
        lines = "".join(f"  {name}: {value}\n" for name, value in data.items())
        about = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n  namespace: shop\n"
        text = {
            "yaml": f"---\n{about}data:\n{lines}",
            "json": json.dumps(manifest("ConfigMap", "web", data=data), indent=2, sort_keys=True),
            "item": "apiVersion: v1\nkind: List\nitems:\n- " + f"{about}data:\n{lines}".replace("\n", "\n  "),
            "late": f"data:\n{lines}{about}",
        }[form]
        found = chunk(text, 400)
        assert len(found) > 2
        for one in found:
            assert one.startswith(about) or {'"web"', "name: web"} & {
                part for part in ('"web"', "name: web") if part in one
            }, one
        assert all("ConfigMap" in one and "shop" in one for one in found)

    def test_names_within_an_object_are_not_taken_for_its_own(self) -> None:
        text = (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    name: label\n  name: web\n"
            "  ownerReferences:\n  - kind: ReplicaSet\n    name: owner\nspec:\n" + "  field: value\n" * 40
        )
        *_, last = chunk(text, 400)
        assert last.startswith("apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  field: value")

    def test_keys_stay_whole_and_what_holds_them_is_their_title(self) -> None:
        text = "apiVersion: v1\nkind: Pod\nspec:\n" + "".join(f"  key{n}:\n    a: 1\n    b: 2\n" for n in range(9))
        for one in chunk(text, 90):
            assert one.count("key") == one.count("a: 1") == one.count("b: 2")

    def test_a_manifest_below_a_sentence_begins_a_piece_of_its_own(self) -> None:
        text = "Please do what follows. " * 12 + "\n\n" + IDENTITY + "spec:\n" + "  field: value\n" * 30
        first, *others = chunk(text, 320)
        assert first == ("Please do what follows. " * 12).rstrip()
        assert all(one.startswith(IDENTITY.rstrip()) for one in others)

    def test_lines_that_would_fill_the_piece_are_not_repeated(self) -> None:
        text = f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {'n' * 200}\nspec:\n" + "  field: value\n" * 30
        assert sum("n" * 200 in one for one in chunk(text, 300)) == 1
