"""Bodies that are not strict JSON; one small repair makes each of them an event."""

import pytest

from shared.domain.errors import Malformed
from shared.events.codec import from_json
from tests.unit.events.texts import text

DEEP = 63  # the event itself is the first of 64 levels
ARRAYS, ONE_MORE = "[" * DEEP + "]" * DEEP, "[" * (DEEP + 1) + "]" * (DEEP + 1)
OBJECTS, ONE_MORE_OBJECT = '{"a":' * (DEEP - 1) + "{}" + "}" * (DEEP - 1), '{"a":' * DEEP + "{}" + "}" * DEEP

# What is wrong, how the event begins, the reason, how it begins when repaired.
STARTS: list[tuple[str, str, str, str]] = [
    ("duplicate attribute", '{"id":"a",', "duplicate", "{"),
    ("duplicate attribute in another spelling", '{"\\u0069d":"a",', "duplicate", "{"),
    ("duplicate key in data", '{"data":[{"a":1,"a":1}],', "duplicate", '{"data":[{"a":1,"b":1}],'),
    ("NaN", '{"data":NaN,', "NaN", '{"data":"NaN",'),
    ("Infinity", '{"data":[-Infinity],', "Infinity", '{"data":["-Infinity"],'),
    ("NaN as an extension", '{"ext":NaN,', "NaN", '{"ext":"NaN",'),
    ("a number that is infinite", '{"data":1e999,', "number", '{"data":1e99,'),
    ("an endless integer", '{"data":' + "9" * 5000 + ",", "number", '{"data":' + "9" * 4000 + ","),
    ("65 levels", f'{{"data":{ONE_MORE},', "deep", f'{{"data":{ARRAYS},'),
    ("65 levels of objects", f'{{"data":{ONE_MORE_OBJECT},', "deep", f'{{"data":{OBJECTS},'),
    ("65 levels and a string", f'{{"subject":"]]\\"]]","data":{ONE_MORE},', "deep", f'{{"subject":"{ONE_MORE}",'),
    ("U+0000 in data", '{"data":"\\u0000",', "U\\+0000", '{"data":"\\\\u0000",'),
    ("U+0000 in a key of data", '{"data":{"\\u0000":1},', "U\\+0000", '{"data":{"\\u0001":1},'),
    ("lone high surrogate", '{"data":"\\ud83d",', "surrogate", '{"data":"\\ud83d\\ude00",'),
    ("lone low surrogate", '{"data":"\\uDE00",', "surrogate", '{"data":"\\uD83D\\uDE00",'),
    ("surrogates the wrong way round", '{"data":"\\ude00\\ud83d",', "surrogate", '{"data":"\\ud83d\\ude00",'),
    ("surrogate before a backslash", '{"data":"\\ud83d\\\\ude00",', "surrogate", '{"data":"\\\\ud83d\\\\ude00",'),
    ("lone surrogate in an attribute", '{"subject":"\\udfff",', "surrogate", '{"subject":"\\ud7ff",'),
    ("raw line break in a string", '{"data":"a\nb",', "not valid JSON", '{"data":"a\\nb",'),
    ("unknown escape", '{"data":"\\x41",', "not valid JSON", '{"data":"\\u0041",'),
    ("unfinished escape", '{"data":"\\u41",', "not valid JSON", '{"data":"\\u0041",'),
    ("comment", "{/* */", "not valid JSON", "{"),
    ("key without quotes", "{data:1,", "not valid JSON", '{"data":1,'),
    ("number as a key", "{1:1,", "not valid JSON", '{"1":1,'),
    ("single quotes", "{'data':1,", "not valid JSON", '{"data":1,'),
    ("missing colon", '{"data" 1,', "not valid JSON", '{"data" : 1,'),
    ("missing value", '{"data":,', "not valid JSON", '{"data":0,'),
    ("missing comma", '{"data":0 ', "not valid JSON", '{"data":0 ,'),
    ("leading zero", '{"data":01,', "not valid JSON", '{"data":10,'),
    ("byte order mark", "\ufeff{", "JSON object", "{"),
    ("no-break space", "{\u00a0", "not valid JSON", "{ "),
    ("array of one event", "[{", "JSON object", "{"),
]


@pytest.mark.parametrize(("start", "reason", "repair"), [pytest.param(*case[1:], id=case[0]) for case in STARTS])
def test_a_text_that_is_no_strict_json_is_refused_for_its_one_reason(start: str, reason: str, repair: str) -> None:
    rest = text()[1:]
    with pytest.raises(Malformed, match=reason):
        from_json((start + rest).encode())
    assert from_json((repair + rest).encode()).id == "e-1"


@pytest.mark.parametrize("end", ["", "}}", "} {}", '} "', ",}", "]", "}\\", "} \f", "}\0"])
def test_an_event_ends_where_its_object_ends(end: str) -> None:
    with pytest.raises(Malformed):
        from_json((text()[:-1] + end).encode())
    assert from_json((text() + " \r\n\t").encode()).id == "e-1"


@pytest.mark.parametrize("body", [b"", b" ", b"null", b'"text"', b"1", b"{", b'{"', b'{"id"', b"\xff", b"[]"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        from_json(body)


def test_only_utf8_is_read() -> None:
    body = text(data="?").encode()
    for broken in (b"\xc0\xa0", b"\xed\xa0\x80", b"\xff"):
        with pytest.raises(Malformed, match="UTF-8"):
            from_json(body.replace(b"?", broken))
    with pytest.raises(Malformed):
        from_json(text().encode("utf-16"))
    assert from_json(body.replace(b"?", b"\xc2\xa0")).data == b'"\xc2\xa0"'
