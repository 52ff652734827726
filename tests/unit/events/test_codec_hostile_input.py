"""Promises about any input at all: what comes back, what is refused, and how soon."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import Malformed
from shared.events.codec import decode, encode, from_json, to_json
from shared.events.event import Event
from tests.cpu_time import cpu_seconds
from tests.unit.events.texts import text

MEBIBYTE = 1 << 20
SECONDS = 5.0
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
CORE = {"id", "source", "specversion", "type", "subject", "time", "datacontenttype", "dataschema", "data"}

# Neither other work on the machine nor a checkout that is read-only must fail an example.
unhurried = settings(max_examples=200, deadline=None, database=None)

nonempty = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")),
    min_size=1,
)
names = st.from_regex(r"[a-z0-9]{1,24}", fullmatch=True).filter(lambda name: name not in CORE)
sources = st.from_regex(
    r"(https?://[a-z]{1,9}\.example(:[0-9]{1,5})?|urn:[a-z]+)?(/([a-z.-]|%7E)*)+(#[a-z]+)?", fullmatch=True
)
times = st.builds(
    "{}{}".format,
    st.datetimes().map(datetime.isoformat),
    st.sampled_from(("Z", "z", "+00:00", "-00:00", "+05:30", "-23:59")),
)
types_and_data = st.one_of(
    st.tuples(st.sampled_from((None, "application/json", "application/a+json; b=c", "a/b")), st.binary(min_size=1)),
    st.tuples(
        st.sampled_from(("text/plain", "text/x; charset=UTF-8")),
        st.text(min_size=1).map(lambda t: t.encode("utf-8", "replace")),
    ),
    st.tuples(
        st.sampled_from((None, "application/json")),
        st.sampled_from((b"null", b"[1,2]", b'{"a":"\\u00e9"}', b" 1", b'"x"')),
    ),
    st.tuples(st.sampled_from((None, "text/plain; charset=utf-16")), st.none()),
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    datacontenttype, data = draw(types_and_data)
    return Event(
        id=draw(nonempty),
        source=draw(sources),
        type=draw(nonempty),
        subject=draw(st.none() | nonempty),
        time=draw(st.none() | times),
        datacontenttype=datacontenttype,
        dataschema=draw(st.none() | st.just("https://schemas.example/v1?a=b")),
        extensions=draw(st.dictionaries(names, st.just("") | nonempty, max_size=3)),
        data=data,
    )


@given(events())
@unhurried
def test_every_event_survives_the_way_through_headers_and_through_json(event: Event) -> None:
    headers, body = encode(event)
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert decode(headers, body) == (event,)
    assert from_json(to_json(event)) == event


def writes_whatever_it_reads(headers: Mapping[str, str], body: bytes) -> None:
    try:
        received = decode(headers, body)
    except Malformed:
        return
    for event in received:
        assert decode(*encode(event)) == (event,)
        assert from_json(to_json(event)) == event


content_types = st.sampled_from(
    (
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/json",
        "text/plain",
        "application/cloudevents+xml",
    )
)
header_names = st.sampled_from(
    (
        "ce-id",
        "Ce-Id",
        "ce-source",
        "ce-type",
        "ce-specversion",
        "ce-time",
        "ce-data",
        "ce-",
        "ce-x",
        "content-type",
        "accept",
    )
)


@given(st.dictionaries(header_names | st.text(), st.text() | content_types | st.just("1.0")), st.binary())
@unhurried
def test_arbitrary_messages_are_read_or_refused(headers: dict[str, str], body: bytes) -> None:
    writes_whatever_it_reads(headers, body)


@given(
    st.fixed_dictionaries(
        {"ce-specversion": st.just("1.0"), "ce-id": st.text(), "ce-source": st.text(), "ce-type": st.text()}
    ),
    st.binary(),
)
@unhurried
def test_arbitrary_attributes_are_read_or_refused(headers: dict[str, str], body: bytes) -> None:
    writes_whatever_it_reads(headers, body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(CORE)) | names | st.text(max_size=4), json_values, max_size=5))
@unhurried
def test_arbitrary_members_are_read_or_refused(members: dict[str, object]) -> None:
    body = text(**members).encode("utf-8", "surrogatepass")
    writes_whatever_it_reads(STRUCTURED, body)
    writes_whatever_it_reads(BATCH, b"[" + body + b"," + body + b"]")


@given(st.data())
@unhurried
def test_a_damaged_event_is_read_or_refused(data: st.DataObject) -> None:
    body = text(subject="a\u00e9\U0001f600", data={"a": ["\\", 1.5e3, None]}, time="2026-01-01T00:00:00Z").encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 3)))
    writes_whatever_it_reads(STRUCTURED, body[:start] + data.draw(st.binary(max_size=3)) + body[end:])


def filled(start: str, unit: str, end: str = "") -> bytes:
    return (start + unit * ((MEBIBYTE - len(start) - len(end)) // len(unit)) + end).encode()


HOSTILE: list[tuple[str, bytes]] = [
    ("open arrays", filled("", "[")),
    ("open objects", filled("", '{"a":')),
    ("open arrays in data", filled('{"data":', "[")),
    ("open objects in data", filled('{"data":', '{"a":')),
    ("closing brackets", filled("{", "]")),
    ("open and closed", filled('{"data":[', "[],")),
    ("quotes", filled("", '"')),
    ("escaped quotes without an end", filled('{"a":"', '\\"')),
    ("backslashes", filled('{"a":"', "\\")),
    ("escapes", filled('{"a":"', "\\n", '"}')),
    ("surrogate pairs", filled('{"a":"', "\\ud83d\\ude00", '"')),
    ("lone surrogates", filled('{"a":"', "\\ud83d", '"}')),
    ("digits", filled('{"data":', "9", "}")),
    ("fractions", filled('{"data":[', "1.5,")),
    ("exponents", filled('{"data":1e', "9", "}")),
    ("blanks", filled("", " ")),
    ("blanks in an object", filled("{", " \n")),
    ("members", filled("{", '"a":1,')),
    ("empty events", filled("[", "{},")),
    ("keys in data", filled('{"data":{', '"a":1,', '"b":1}}')),
    ("base64", filled('{"specversion":"1.0","id":"i","source":"/","type":"t","data_base64":"', "=", '"}')),
    ("nulls", filled("", "\0")),
    ("no UTF-8", b"\xff" * MEBIBYTE),
]


@pytest.mark.parametrize("body", [body for _name, body in HOSTILE], ids=[name for name, _body in HOSTILE])
@pytest.mark.parametrize("headers", [STRUCTURED, BATCH], ids=["structured", "batch"])
def test_a_hostile_mebibyte_is_refused_soon(headers: dict[str, str], body: bytes) -> None:
    def refused() -> None:
        with pytest.raises(Malformed):
            decode(headers, body)

    assert cpu_seconds(refused) < SECONDS


HOSTILE_VALUES: list[tuple[str, str, tuple[str, ...]]] = [
    ("ce-ext", "", ("%", "%41", "%C3%A9", '"', "\\", '\\"', " ")),
    ("ce-source", "", ("a", "a:", ":", "/", "//", "?", "#", "@", "[", "%41", "//a@")),
    ("ce-source", "//", ("a", "a@", ":", "0", "[", "%41")),
    ("ce-time", "2026-01-01T00:00:00", (".", "0", "Z", "+00:00")),
    ("ce-time", "2026-01-01T00:00:00.", ("0",)),
    ("ce-dataschema", "http://", ("a", "a:", "?", "@", "[", "/")),
    ("content-type", "a/b", ("a", "/", ";", "; ", " ", ";a=", ";a=b", ';a="')),
    ("content-type", 'a/b;a="', ("a", "\\", '\\"', '";a="')),
]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        pytest.param(header, start + unit * (MEBIBYTE // len(unit)) + " <", id=f"{header} {start} {unit}")
        for header, start, units in HOSTILE_VALUES
        for unit in units
    ],
)
def test_a_hostile_header_of_a_mebibyte_is_judged_soon(header: str, value: str) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "i", "ce-source": "/", "ce-type": "t", header: value}

    def judged() -> None:
        with suppress(Malformed):
            decode(headers, b"")

    assert cpu_seconds(judged) < SECONDS


def test_a_large_valid_event_is_read_soon() -> None:
    data = "[" + ",".join(['{"a":"\\n","b":[1,2.5,null]}'] * 30_000) + "]"

    def read() -> None:
        event = from_json(f'{text()[:-1]},"data":{data}}}'.encode())
        assert event.data == data.encode()
        assert to_json(event).endswith(b"]}")

    assert cpu_seconds(read) < SECONDS
