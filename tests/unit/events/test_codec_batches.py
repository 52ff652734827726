"""Batches in the JSON format: all of it or nothing."""

import pytest

from shared.domain.errors import Malformed
from shared.events.codec import decode, decode_one
from tests.unit.events.texts import ABSENT, text

BATCH = {"Content-Type": "application/cloudevents-batch+json; charset=UTF-8"}
ONE, TWO = text(), text(id="e-2", datacontenttype="text/plain", data="x", subject="s")

VALID: list[tuple[str, str, list[str]]] = [
    ("empty", "[]", []),
    ("empty with blanks", " [ ] ", []),
    ("one", f"[{ONE}]", ["e-1"]),
    ("the same twice", f"[{ONE},{ONE}]", ["e-1", "e-1"]),
    ("different ones", f"[ {ONE} , {TWO} ]", ["e-1", "e-2"]),
    ("every kind of data", f"[{text(data=None)},{text(data_base64='AA==')},{TWO}]", ["e-1", "e-1", "e-2"]),
]
INVALID: list[tuple[str, str, str, str]] = [
    ("one event without an id", f"[{ONE},{text(id=ABSENT)}]", "id is missing", f"[{ONE},{TWO}]"),
    ("mixed versions", f"[{ONE},{text(specversion='0.3')}]", "specversion", f"[{ONE},{ONE}]"),
    ("a string among events", f'["no event",{ONE}]', "JSON object", f"[{ONE}]"),
    ("null among events", f"[{ONE},null]", "JSON object", f"[{ONE}]"),
    ("a batch in a batch", f"[[{ONE}]]", "JSON object", f"[{ONE}]"),
    ("an event alone", ONE, "JSON array", f"[{ONE}]"),
    ("a comma too many", f"[{ONE},]", "JSON object", f"[{ONE}]"),
    ("no comma", f"[{ONE}{TWO}]", "not valid JSON", f"[{ONE},{TWO}]"),
    ("no end", f"[{ONE}", "not valid JSON", f"[{ONE}]"),
    ("something after it", f"[{ONE}]]", "not valid JSON", f"[{ONE}]"),
    ("nothing", "", "JSON array", "[]"),
]


@pytest.mark.parametrize(("body", "ids"), [pytest.param(*case[1:], id=case[0]) for case in VALID])
def test_a_valid_batch_is_read_in_order(body: str, ids: list[str]) -> None:
    assert [event.id for event in decode(BATCH, body.encode())] == ids


@pytest.mark.parametrize(("broken", "reason", "repair"), [pytest.param(*case[1:], id=case[0]) for case in INVALID])
def test_an_invalid_batch_is_refused_as_a_whole(broken: str, reason: str, repair: str) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(BATCH, broken.encode())
    decode(BATCH, repair.encode())


@pytest.mark.parametrize("body", ["[]", f"[{ONE}]"])
def test_a_batch_is_never_one_event(body: str) -> None:
    with pytest.raises(Malformed, match="not a batch"):
        decode_one(BATCH, body.encode())
    assert decode_one({"content-type": "application/cloudevents+json"}, ONE.encode()).id == "e-1"
