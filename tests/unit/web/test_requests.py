"""Reading requests: bounded, strict, and silent about what was in them."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
import pytest
from flask import Flask, Request
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Malformed, TooLarge
from shared.web.requests import (
    MAX_DEPTH,
    NO_NULL,
    bearer,
    body_stream,
    parse_json,
    parse_query,
    query_integer,
    read_body,
)

APP = Flask(__name__)


@contextmanager
def request(path: str = "/", body: bytes = b"", **headers: str) -> Iterator[Request]:
    with APP.test_request_context(path, method="POST", data=body, headers=headers) as context:
        yield context.request


class Trickle(io.RawIOBase):
    """A body that never ends, and that counts what was read of it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "nothing is read without a bound"
        self.given += min(size, 10)
        return b"x" * min(size, 10)


def test_a_body_is_read_to_its_end_and_not_beyond_the_limit() -> None:
    with request(body=b"x" * 100) as asked:
        assert read_body(asked, limit=100) == b"x" * 100
    with request(body=b"x" * 101) as asked, pytest.raises(TooLarge):
        read_body(asked, limit=100)


def test_an_endless_body_is_given_up_soon_after_the_limit() -> None:
    endless = Trickle()
    with request() as asked:
        asked.environ["wsgi.input"] = endless
        with pytest.raises(TooLarge):
            read_body(asked, limit=100)
    assert 101 <= endless.given < 1000  # a little more is read, so that the client gets its answer


def test_a_stream_is_handed_over_once() -> None:
    with request(body=b"piece by piece") as asked:
        assert body_stream(asked).read(5) == b"piece"
        assert body_stream(asked).read(5) == b""


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=5)]
    more: Any = None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b'{"name": "a"} x', "the body is not JSON"),
        (b'{"name": "\xff"}', "the body is not JSON"),
        (rb'{"name": "\ud800"}', "the body is not JSON"),
        (b'{"name": NaN}', "the body is not JSON"),
        (b'{"name": "a", "more": Infinity}', "the body is not JSON"),
        (b'{"name": "a", "more": ' + b"[" * 100_000, "the body is not JSON"),
        (b"{}", "the body does not fit: Object missing required field `name`"),
        (b'{"name": "too-long-echo"}', r"the body does not fit: Expected `str` of length <= 5 - at `\$.name`"),
        (b'{"name": "a", "echo-me": 1}', "the body does not fit: it has an unknown field"),
        (rb'{"name": "\u0000"}', "the body holds the character U.0000, which cannot be stored"),
        (rb'{"name": "\\\u0000"}', "the body holds the character U.0000, which cannot be stored"),
        (b'{"name": "a", "more": ' + b"[" * 64 + b"]" * 64 + b"}", "the body is nested deeper than 64 levels"),
    ],
)
def test_what_does_not_fit_is_refused_without_an_echo(body: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=f"^{words}$") as refused:
        parse_json(body, Shape)
    assert "echo" not in str(refused.value)


class Counted(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(le=9)]
    more: Any = None


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    """JSON knows one kind of number, and for its schemas 2.0 is an integer."""
    for written in (b"2", b"2.0", b"2e0", b"0.2E1"):
        assert parse_json(b'{"count": %s, "more": [{"a": 3.5}]}' % written, Counted) == Counted(2, [{"a": 3.5}])
    for wrong in (b"2.5", b"1e1", b"10.0", b"1e300", b'"2"', b"true", b"null"):
        with pytest.raises(Malformed, match="the body does not fit"):
            parse_json(b'{"count": %s}' % wrong, Counted)
    deep = b"[" * 400 + b"2.0" + b"]" * 400
    with pytest.raises(Malformed, match="nested deeper"):
        parse_json(b'{"count": 2.0, "more": %s}' % deep, Counted)


def test_an_allowed_value_is_asked_for_without_naming_the_wrong_one() -> None:
    class Choice(msgspec.Struct, tag_field="kind", tag="only"):
        pass

    with pytest.raises(Malformed) as refused:
        parse_json(b'{"kind": "echo-me"}', Choice)
    assert "echo-me" not in str(refused.value)


@pytest.mark.parametrize("text", ["\\u0000", "a \\\\u0000 b", "[[[[" * 40, "{" * 99, '"[' * 99, "\\" * 9 + "[" * 99])
def test_text_is_never_taken_for_structure(text: str) -> None:
    body = json.dumps({"name": "a", "more": text}).encode()
    assert parse_json(body, Shape).more == text


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=20) | st.integers(1, 100))
def test_depth_is_counted_as_a_parser_counts_it(tree: Any) -> None:
    """A number stands for so many lists inside of each other."""
    value = json.loads("[" * tree + "]" * tree) if type(tree) is int else tree
    depth, level = 0, [value]
    while any(isinstance(item, list) for item in level):
        depth, level = depth + 1, [inner for item in level if isinstance(item, list) for inner in item]
    body = json.dumps([value] + [[]] * 70).encode()
    if b"\\u0000" in body:
        return
    try:
        parse_json(body, list)
        refused = False
    except Malformed:
        refused = True
    assert refused == (max(depth, 1) + 1 > MAX_DEPTH)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer  ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_a_bearer_token_is_read_from_its_header_alone(header: str, token: str | None) -> None:
    with request("/?access_token=no", Authorization=header) as asked:
        assert bearer(asked) == token


def test_a_number_in_a_query_has_bounds() -> None:
    with request("/?limit=7") as asked:
        assert query_integer(asked, "limit", 5, 1, 50) == 7
        assert query_integer(asked, "other", 5, 1, 50) == 5
    for wrong in ("0", "51", "-1", "+7", "7.0", "", "x", "1e1", "%D9%A7", "0" * 12):
        with request(f"/?limit={wrong}") as asked, pytest.raises(Malformed, match="limit must be a whole number"):
            query_integer(asked, "limit", 5, 1, 50)


class Query(msgspec.Struct, forbid_unknown_fields=True):
    word: list[Literal["one", "two"]] = []
    name: Annotated[str, msgspec.Meta(max_length=5, pattern=NO_NULL)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("", Query()),
        ("limit=7", Query(limit=7)),
        ("name=7", Query(name="7")),
        ("name=null&limit=50", Query(name="null", limit=50)),
        ("word=one&word=two", Query(word=["one", "two"])),
        ("word=two,one", Query(word=["two", "one"])),
        ("name=a,b", Query(name="a,b")),
    ],
)
def test_a_query_is_read_by_its_shape(query: str, read: Query) -> None:
    with request(f"/?{query}") as asked:
        assert parse_query(asked, Query) == read


@pytest.mark.parametrize(
    ("query", "words"),
    [
        *((f"limit={wrong}", "limit") for wrong in ("0", "51", "", "x", "+7", " 7", "07", "7.5", "%D9%A7", "1_0")),
        *((f"word={wrong}", "word") for wrong in ("", "echo", "one,", "one&word=echo")),
        ("name=too-long-echo", r"Expected `str` of length <= 5 - at `\$.name`"),
        ("name=a%00", r"a text is not of the form that it must have - at `\$.name`"),
        ("name=a&name=b", "a parameter twice"),
        ("echo=1", "it has an unknown field"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_without_an_echo(query: str, words: str) -> None:
    with request(f"/?{query}") as asked, pytest.raises(Malformed, match=words) as refused:
        parse_query(asked, Query)
    assert "echo" not in str(refused.value)
