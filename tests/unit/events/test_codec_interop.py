"""The official SDK as an independent peer, both ways.

Left out is what the SDK does not do: it neither writes nor reads percent-encoding in headers, and it
takes a JSON string as data for a JSON document.
"""

import json
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http

from shared.events.codec import decode_one, encode, is_event, to_json
from shared.events.event import Event

STRUCTURED = {"content-type": "application/cloudevents+json"}
TIME = "2026-03-04T05:06:07.891+02:00"
# Always with a time: the SDK invents one where there is none.
ATTRIBUTES: list[dict[str, str]] = [
    {"time": TIME},
    {"time": TIME, "subject": "s", "dataschema": "https://s.example/1"},
    {"time": TIME, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "key": "a,b;c"},
]
DATA: list[tuple[str | None, Any, bytes | None]] = [
    (None, None, None),
    ("application/json", {"a": [1, None, "\u00e9"]}, None),
    ("application/vnd.example+json", [], None),
    ("text/plain", "plain", b"plain"),
    ("application/octet-stream", b"\xff\x00", b"\xff\x00"),
]


@pytest.mark.parametrize("attributes", ATTRIBUTES)
@pytest.mark.parametrize(("datacontenttype", "value", "raw"), DATA)
def test_the_sdk_reads_what_we_write(
    attributes: dict[str, str], datacontenttype: str | None, value: Any, raw: bytes | None
) -> None:
    data = raw if raw is not None or value is None else json.dumps(value).encode()
    core = {name: attributes[name] for name in ("subject", "time", "dataschema") if name in attributes}
    extensions = {name: said for name, said in attributes.items() if name not in core}
    event = Event(
        "e-1", "/orders", "org.example", **core, datacontenttype=datacontenttype, extensions=extensions, data=data
    )
    for headers, body in (encode(event), (STRUCTURED, to_json(event))):
        read = from_http(headers, body, data_unmarshaller=unmarshal(value))
        expected = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "org.example", **attributes}
        if datacontenttype:
            expected["datacontenttype"] = datacontenttype
        assert read.get_attributes() == expected
        assert read.get_data() == value


def unmarshal(expected: Any) -> Any:
    """How an application that knows its data reads it: the SDK leaves that to the caller."""
    if isinstance(expected, bytes) or expected is None:
        return lambda body: body or None
    if isinstance(expected, str):
        return lambda body: body.decode() if isinstance(body, bytes) else json.loads(body)
    return json.loads


@pytest.mark.parametrize("attributes", ATTRIBUTES)
@pytest.mark.parametrize(("datacontenttype", "value", "raw"), DATA)
@pytest.mark.parametrize("write", [to_binary, to_structured])
def test_we_read_what_the_sdk_writes(
    write: Any, attributes: dict[str, str], datacontenttype: str | None, value: Any, raw: bytes | None
) -> None:
    said = {"id": "e-1", "source": "/orders", "type": "org.example", **attributes}
    if datacontenttype:
        said["datacontenttype"] = datacontenttype
    headers, body = write(CloudEvent(said, value), data_marshaller=None if raw is None else (lambda given: given))
    assert is_event(headers)
    event = decode_one(headers, body or b"")
    assert {name: event.attribute(name) for name in said} == said
    if raw is None:
        assert json.loads(event.data or b"null") == value
    else:
        assert event.data == raw


def test_we_read_integers_and_booleans_of_the_sdk() -> None:
    attributes: dict[str, Any] = {"source": "/s", "type": "t", "level": 3, "last": True}
    headers, body = to_structured(CloudEvent(attributes, {"a": 1}))
    event = decode_one(headers, body)
    assert event.extensions == {"level": "3", "last": "true"}
    assert event.data == b'{"a": 1}'
