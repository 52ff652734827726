"""Events in the JSON format that break one rule each; one small repair makes each of them valid."""

from typing import Any

import pytest

from shared.domain.errors import Malformed
from shared.events.codec import decode
from tests.unit.events.texts import ABSENT, text

STRUCTURED = {"content-type": "application/cloudevents+json"}
Changes = dict[str, Any]
Case = tuple[str, Changes, str, Changes]


def one(attribute: str, reason: str, *cases: tuple[str, Any, Any]) -> list[Case]:
    """Cases that differ in one attribute: what is wrong, the broken value, the repaired one."""
    return [(what, {attribute: broken}, reason, {attribute: repaired}) for what, broken, repaired in cases]


REQUIRED: list[Case] = [
    *((f"no {name}", {name: ABSENT}, f"{name} is missing", {}) for name in ("specversion", "id", "source", "type")),
    *((f"null {name}", {name: None}, f"{name} is missing", {}) for name in ("specversion", "id", "source", "type")),
    *one("id", "id must", ("empty id", "", " "), ("id as a number", 7, "7"), ("id as an object", {"a": 1}, "{}")),
    *one("type", "type must", ("empty type", "", "t"), ("type as a boolean", True, "true")),
    *one(
        "specversion",
        "specversion must",
        ("empty specversion", "", "1.0"),
        ("older specversion", "0.3", "1.0"),
        ("patch level in specversion", "1.0.2", "1.0"),
        ("specversion as a number", 1.0, "1.0"),
    ),
]

TIMES = one(
    "time",
    "time (must|contains)",
    ("in words", "at noon", "2026-01-02T12:00:00Z"),
    ("empty", "", None),
    ("as a number", 1767355200, "2026-01-02T12:00:00Z"),
    ("without seconds", "2026-01-02T12:00Z", "2026-01-02T12:00:00Z"),
    ("without an offset", "2026-01-02T12:00:00", "2026-01-02T12:00:00Z"),
    ("with an unknown zone", "2026-01-02T12:00:00J", "2026-01-02T12:00:00z"),
    ("with half an offset", "2026-01-02T12:00:00+05", "2026-01-02T12:00:00+05:00"),
    ("with an offset of 24 hours", "2026-01-02T12:00:00+24:00", "2026-01-02T12:00:00+23:59"),
    ("with an offset of 60 minutes", "2026-01-02T12:00:00-01:60", "2026-01-02T12:00:00-01:59"),
    ("with an offset in letters", "2026-01-02T12:00:00+ab:00", "2026-01-02T12:00:00+00:00"),
    ("with an offset without a colon", "2026-01-02T12:00:00+0100", "2026-01-02T12:00:00+01:00"),
    ("with a blank for the T", "2026-01-02 12:00:00Z", "2026-01-02t12:00:00Z"),
    ("in month 13", "2026-13-02T12:00:00Z", "2026-12-02T12:00:00Z"),
    ("on day 0", "2026-01-00T12:00:00Z", "2026-01-31T12:00:00Z"),
    ("on 31 April", "2026-04-31T12:00:00Z", "2026-04-30T12:00:00Z"),
    ("on 29 February 2026", "2026-02-29T12:00:00Z", "2028-02-29T12:00:00Z"),
    ("on 29 February 1900", "1900-02-29T12:00:00Z", "2000-02-29T12:00:00Z"),
    ("at 24 o'clock", "2026-01-02T24:00:00Z", "2026-01-02T23:00:00Z"),
    ("in minute 60", "2026-01-02T12:60:00Z", "2026-01-02T12:59:00Z"),
    ("in second 61", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60Z"),
    ("in a leap second at noon", "2016-12-31T12:00:60Z", "2016-12-31T12:00:59Z"),
    ("in a leap second within a month", "2016-12-30T23:59:60Z", "2016-12-31T23:59:60Z"),
    ("in a leap second of another zone", "2017-01-02T00:59:60+01:00", "2017-01-01T00:59:60+01:00"),
    ("with a fraction without digits", "2026-01-02T12:00:00.Z", "2026-01-02T12:00:00.0Z"),
    ("in digits beyond ASCII", "\u0968\u0966\u0968\u096c-01-02T12:00:00Z", "2026-01-02T12:00:00Z"),
    ("before a line break", "2026-01-02T12:00:00Z\n", "2026-01-02T12:00:00Z"),
)

SOURCES = one(
    "source",
    "source must",
    ("empty", "", "."),
    ("as a number", 1, "1"),
    ("with a blank", "/a b", "/a%20b"),
    ("with half an escape", "/a%2", "/a%2f"),
    ("with an escape in other letters", "/a%zz", "/a%7a"),
    ("with two fragments", "/a#b#c", "/a#b"),
    ("with letters as a port", "http://a:http/", "http://a:80/"),
    ("with an open bracket", "http://[::1/", "http://[::1]/"),
    ("with a bracket in a path", "/a[0]", "/a%5B0%5D"),
    ("with a colon in a first segment", "1:a", "./1:a"),
    ("beyond ASCII", "/caf\u00e9", "/caf%C3%A9"),
)

OPTIONAL = [
    *one("subject", "subject must", ("empty subject", "", None), ("subject as an array", ["a"], "a")),
    *one(
        "dataschema",
        "dataschema must",
        ("empty dataschema", "", None),
        ("relative dataschema", "/schema", "urn:schema"),
        ("fragment in dataschema", "http://a/b#c", "http://a/b?c"),
        ("dataschema as a boolean", False, None),
    ),
    *one(
        "datacontenttype",
        "datacontenttype must",
        ("empty datacontenttype", "", None),
        ("no subtype", "text", "text/x"),
        ("parameter without a value", "a/b; c", "a/b; c=d"),
        ("blank in a subtype", "a/b c", 'a/b;c="b c"'),
        ("two media types", "a/b, c/d", "a/b"),
        ("an event as data", "application/cloudevents+json", "application/json"),
    ),
]

EXTENSIONS: list[Case] = [
    ("capital in a name", {"myExtension": "x"}, "attribute name", {"myextension": "x"}),
    ("point in a name", {"my.extension": "x"}, "attribute name", {"myextension": "x"}),
    ("underscore in a name", {"my_extension": "x"}, "attribute name", {"myextension": "x"}),
    ("letter beyond ASCII in a name", {"caf\u00e9": "x"}, "attribute name", {"cafe": "x"}),
    ("line break in a name", {"a\n": "x"}, "attribute name", {"a": "x"}),
    ("empty name", {"": "x"}, "attribute name", {"0": "x"}),
    ("bad name of an unset attribute", {"A": None}, "attribute name", {"a": None}),
    *one(
        "weight",
        "extension must",
        ("fraction", 1.5, "1.5"),
        ("fraction of zero", 1.0, 1),
        ("integer above 32 bits", 2**31, 2**31 - 1),
        ("integer below 32 bits", -(2**31) - 1, -(2**31)),
        ("array", ["a"], "a"),
        ("object", {}, "{}"),
    ),
]

CHARACTERS: list[Case] = [
    ("control character", {"tags": "a\tb"}, "extension contains", {"tags": "a b"}),
    ("DEL", {"id": "a\x7f"}, "id contains", {"id": "a~"}),
    ("C1 control character", {"id": "a\u0085"}, "id contains", {"id": "a\u00a0"}),
    ("noncharacter", {"subject": "\ufdd0"}, "subject contains", {"subject": "\ufdcf"}),
    ("noncharacter of another plane", {"subject": "\U0003ffff"}, "subject contains", {"subject": "\U0003fffd"}),
]

DATA: list[Case] = [
    ("data twice", {"data": 1, "data_base64": "MQ=="}, "not both", {"data_base64": "MQ=="}),
    ("null and base64 data", {"data": None, "data_base64": "MQ=="}, "not both", {"data": None}),
    *one(
        "data_base64",
        "data_base64 must",
        ("base64 as a number", 1234, "1234"),
        ("base64 without padding", "MQ", "MQ=="),
        ("too much padding", "MTI==", "MTI="),
        ("base64 of the URL alphabet", "-_-_", "+/+/"),
        ("blank in base64", "MTIz MTIz", "MTIzMTIz"),
        ("line break in base64", "MTIz\n", "MTIz"),
        ("stray bits in base64", "MR==", "MQ=="),
        ("base64 beyond ASCII", "M\u00e9==", "MQ=="),
    ),
]

TEXT: list[Case] = [
    (what, {"datacontenttype": broken, "data": value}, reason, {"datacontenttype": repaired, "data": repaired_value})
    for what, broken, value, reason, repaired, repaired_value in (
        ("object as text", "text/plain", {"a": 1}, "data must be a string", "text/json", {"a": 1}),
        ("number as text", "text/plain", 1, "data must be a string", "text/plain", "1"),
        ("null as text", "text/plain", None, "data must be a string", "text/plain", ""),
        ("another charset", "text/plain; charset=latin1", "a", "charset", "text/plain; charset=UTF-8", "a"),
        ("two charsets", "a/b;charset=utf-8;charset=x", "a", "charset", "a/b;charset=utf-8;y=x", "a"),
        ("text beyond its charset", 'a/b; charset="us-ascii"', "\u00e9", "charset", 'a/b; charset="us-ascii"', "e"),
        ("JSON in another charset", "a/json; charset=utf-16", 1, "charset", "a/json; charset=utf-8", 1),
    )
]

CASES: list[Case] = [*REQUIRED, *TIMES, *SOURCES, *OPTIONAL, *EXTENSIONS, *CHARACTERS, *DATA, *TEXT]


@pytest.mark.parametrize(("broken", "reason", "repair"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_an_invalid_event_is_refused_for_its_one_reason(broken: Changes, reason: str, repair: Changes) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(STRUCTURED, text(**broken).encode())
    assert len(decode(STRUCTURED, text(**repair).encode())) == 1
