"""Events in the JSON format as they are read, and as they are stored and read again."""

import json
from base64 import b64encode
from typing import Any

import pytest

from shared.events.codec import decode, from_json, to_json
from shared.events.event import Event
from tests.unit.events.texts import text

STRUCTURED = {"content-type": "application/cloudevents+json"}
UNSET = dict.fromkeys(("subject", "time", "datacontenttype", "dataschema", "ext", "data_base64"))
TIME = "2026-03-04T05:06:07.123456789-00:00"
TOO_DEEP = b"[" * 64 + b"]" * 64


def event(datacontenttype: str | None = None, data: bytes | None = None, **extensions: str) -> Event:
    return Event(
        "e-1", "/orders", "org.example.placed", datacontenttype=datacontenttype, extensions=extensions, data=data
    )


CASES: list[tuple[str, str, Event]] = [
    ("the least", text(), event()),
    ("null for what is optional", text(**UNSET), event()),
    (
        "every core attribute",
        text(subject="s", time=TIME, datacontenttype="text/plain", dataschema="http://s.example/1"),
        Event("e-1", "/orders", "org.example.placed", "s", TIME, "text/plain", "http://s.example/1"),
    ),
    ("integers", text(some=-5, zero=0, most=2**31 - 1), event(some="-5", zero="0", most="2147483647")),
    ("booleans", text(yes=True, no=False), event(yes="true", no="false")),
    ("strings", text(empty="", uri="//a/b", binary="AQ=="), event(empty="", uri="//a/b", binary="AQ==")),
    ("a name of more than 20 characters", text(averylongattributename="y"), event(averylongattributename="y")),
    ("data without a content type is JSON", text(data={"a": [1]}), event(None, b'{"a": [1]}')),
    ("a JSON string stays quoted", text(data="{}"), event(None, b'"{}"')),
    ("null is a JSON payload", text(data=None), event(None, b"null")),
    ("false is a JSON payload", text(data=False, data_base64=None), event(None, b"false")),
    ("a +json type is JSON", text(datacontenttype="a/b+JSON; c=d", data=[]), event("a/b+JSON; c=d", b"[]")),
    ("text", text(datacontenttype="text/plain", data="\u00e9"), event("text/plain", b"\xc3\xa9")),
    ("XML", text(datacontenttype="application/xml", data="<a/>"), event("application/xml", b"<a/>")),
    ("binary", text(datacontenttype="a/json", data_base64="/w=="), event("a/json", b"\xff")),
    ("another charset", text(datacontenttype="a/b;charset=x", data_base64="6Q=="), event("a/b;charset=x", b"\xe9")),
    ("empty text is no data", text(datacontenttype="text/plain", data=""), event("text/plain")),
    ("empty base64 is no data", text(data_base64=""), event()),
]


@pytest.mark.parametrize(("body", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_valid_event_is_read_and_stored_and_read_again(body: str, expected: Event) -> None:
    assert decode(STRUCTURED, body.encode()) == (expected,)
    assert from_json(to_json(expected)) == expected


@pytest.mark.parametrize(
    "source",
    [
        "#fragment",
        "?query",
        "//authority/path",
        "//",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "mailto:crew@example.org",
        "1-555-123-4567",
        "http://user:pw@[2001:db8::1]:8080/a//b;c=1?d=/e?f#g/h?i",
        "http://[v1.fe80::a+en1]/",
        "/apis/v1/namespaces/default/kafkasources/orders#topic",
        "https://example.org",
        "file:///etc",
    ],
)
def test_every_form_of_uri_reference_may_be_a_source(source: str) -> None:
    assert from_json(text(source=source).encode()).source == source


@pytest.mark.parametrize(
    "time",
    [
        "1990-12-31T23:59:60Z",
        "1990-12-31T15:59:60-08:00",
        "1991-01-01T00:59:60.5+01:00",
        "2012-07-01T05:29:60+05:30",
        "0000-02-29T00:00:00z",
        "9999-12-31t23:59:59.999999999999Z",
    ],
)
def test_every_form_of_timestamp_may_be_a_time(time: str) -> None:
    assert from_json(text(time=time).encode()).time == time


def test_json_data_keeps_its_very_characters() -> None:
    data = '{ "b":1.10, "a":123456789012345678901234567890, "c":"\\u00e9\\/", "d":1E2 }'
    read = from_json(f'{text()[:-1]}, "data" : {data} }}'.encode())
    assert read.data == data.encode()
    assert from_json(to_json(read)).data == data.encode()


@pytest.mark.parametrize(
    ("datacontenttype", "data", "written"),
    [
        ("application/json", b'{"a":1}', {"data": {"a": 1}}),
        (None, b"[true]", {"data": [True]}),
        (None, b"protobuf", {"data_base64": "cHJvdG9idWY="}),
        ("application/json", b'{"a":1,"a":2}', {"data_base64": "eyJhIjoxLCJhIjoyfQ=="}),
        ("application/json", b" 1\n", {"data_base64": "IDEK"}),
        ("application/json", b"1,", {"data_base64": "MSw="}),
        ("application/json", b"\xff", {"data_base64": "/w=="}),
        ("application/json; charset=utf-16", b"1", {"data_base64": "MQ=="}),
        ("application/json", TOO_DEEP, {"data_base64": b64encode(TOO_DEEP).decode()}),
        ("text/plain", b'a\nb"', {"data": 'a\nb"'}),
        ("Text/Plain", b"1", {"data": "1"}),
        ("text/plain", b"\x00", {"data_base64": "AA=="}),
        ("text/plain", b"\xe9", {"data_base64": "6Q=="}),
        ("text/plain; charset=us-ascii", b"\xc3\xa9", {"data_base64": "w6k="}),
        ("application/octet-stream", b"1", {"data_base64": "MQ=="}),
    ],
)
def test_data_is_stored_as_readably_as_it_can_be_restored(
    datacontenttype: str | None, data: bytes, written: dict[str, Any]
) -> None:
    stored = to_json(event(datacontenttype, data))
    assert json.loads(stored).items() >= written.items()
    assert from_json(stored) == event(datacontenttype, data)


def test_an_event_that_cannot_be_read_again_is_not_stored() -> None:
    with pytest.raises(ValueError, match="time must"):
        to_json(Event("e-1", "/orders", "t", time="yesterday"))
