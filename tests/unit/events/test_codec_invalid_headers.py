"""Headers of the binary mode that break one rule each; one small repair makes each of them valid."""

import pytest

from shared.domain.errors import Malformed
from shared.events.codec import decode

Headers = dict[str, str]
LEAST = {"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/orders", "ce-type": "org.example.placed"}


def without(name: str) -> Headers:
    return {key: value for key, value in LEAST.items() if key != name}


INVALID_HEADERS: list[tuple[str, Headers, str, Headers]] = [
    *((f"no {name}", without(name), f"{name[3:]} is missing", LEAST) for name in LEAST),
    *((f"empty {name}", {**LEAST, name: " "}, f"{name[3:]} must", LEAST) for name in LEAST),
    ("another version", {**LEAST, "ce-specversion": "1.1"}, "specversion", LEAST),
    ("version joined by a proxy", {**LEAST, "ce-specversion": "1.0, 1.0"}, "specversion", LEAST),
    ("the same header twice", {**LEAST, "CE-ID": "e-1"}, "twice", LEAST),
    (
        "content type twice",
        {**LEAST, "content-type": "a/b", "Content-Type": "a/b"},
        "twice",
        {**LEAST, "Content-Type": "a/b"},
    ),
    (
        "ce-datacontenttype",
        {**LEAST, "Ce-DataContentType": "a/b"},
        "datacontenttype",
        {**LEAST, "Content-Type": "a/b"},
    ),
    ("ce-data", {**LEAST, "ce-data": "x"}, "attribute name", {**LEAST, "ce-datax": "x"}),
    ("name with a dash", {**LEAST, "ce-my-ext": "x"}, "attribute name", {**LEAST, "ce-myext": "x"}),
    ("no name", {**LEAST, "ce-": "x"}, "attribute name", {**LEAST, "ce-x": "x"}),
    (
        "no media type",
        {**LEAST, "content-type": "json"},
        "datacontenttype must",
        {**LEAST, "content-type": "a/json"},
    ),
    ("empty content type", {**LEAST, "content-type": ""}, "datacontenttype must", LEAST),
    (
        "bad time",
        {**LEAST, "ce-time": "2026-02-30T00:00:00Z"},
        "time must",
        {**LEAST, "ce-time": "2026-02-28T00:00:00Z"},
    ),
    ("half an escape", {**LEAST, "ce-subject": "50%2"}, "percent", {**LEAST, "ce-subject": "50%25"}),
    ("percent sign alone", {**LEAST, "ce-subject": "50%"}, "percent", {**LEAST, "ce-subject": "50%25"}),
    ("no hexadecimal escape", {**LEAST, "ce-subject": "%zz"}, "percent", {**LEAST, "ce-subject": "%7a"}),
    ("overlong UTF-8", {**LEAST, "ce-subject": "%C0%A0"}, "UTF-8", {**LEAST, "ce-subject": "%C2%A0"}),
    ("UTF-8 cut off", {**LEAST, "ce-subject": "%E2%82"}, "UTF-8", {**LEAST, "ce-subject": "%E2%82%AC"}),
    (
        "surrogate in UTF-8",
        {**LEAST, "ce-subject": "%ED%A0%80"},
        "UTF-8",
        {**LEAST, "ce-subject": "%ED%9F%BF"},
    ),
    (
        "escaped control character",
        {**LEAST, "ce-subject": "a%0Ab"},
        "subject contains",
        {**LEAST, "ce-subject": "a%20b"},
    ),
    (
        "escaped C1 control character",
        {**LEAST, "ce-ext": "%C2%85"},
        "extension contains",
        {**LEAST, "ce-ext": "%C2%A0"},
    ),
    ("escaped noncharacter", {**LEAST, "ce-id": "%EF%BF%BF"}, "id contains", {**LEAST, "ce-id": "%EF%BF%BD"}),
    ("raw tab", {**LEAST, "ce-subject": "a\tb"}, "printable", {**LEAST, "ce-subject": "a b"}),
    ("raw line break", {**LEAST, "ce-subject": "a\n"}, "printable", {**LEAST, "ce-subject": "a"}),
    (
        "raw letter beyond ASCII",
        {**LEAST, "ce-subject": "caf\u00e9"},
        "printable",
        {**LEAST, "ce-subject": "caf%c3%a9"},
    ),
    ("open quote", {**LEAST, "ce-subject": '"a'}, "quote", {**LEAST, "ce-subject": '"a"'}),
    ("quote in the middle", {**LEAST, "ce-subject": 'a"b'}, "quote", {**LEAST, "ce-subject": "a%22b"}),
    ("escaped closing quote", {**LEAST, "ce-subject": '"a\\"'}, "quote", {**LEAST, "ce-subject": '"a\\\\"'}),
]


@pytest.mark.parametrize(
    ("broken", "reason", "repaired"),
    [case[1:] for case in INVALID_HEADERS],
    ids=[c[0] for c in INVALID_HEADERS],
)
def test_invalid_headers_are_refused_for_their_one_reason(broken: Headers, reason: str, repaired: Headers) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(broken, b"")
    assert len(decode(repaired, b"")) == 1
