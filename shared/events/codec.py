"""CloudEvents 1.0 over HTTP and as JSON, strictly: what breaks a rule is refused, nothing is repaired.

Whatever `decode` accepts `encode` can write, and it comes back equal.
"""

import json
import re
from binascii import a2b_base64, b2a_base64, unhexlify
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.errors import Malformed
from shared.events import codec_attributes as attributes
from shared.events.codec_json import Members, can_be_member, read_object, read_objects
from shared.events.event import Event

_STRUCTURED = "application/cloudevents"
_BATCH = "application/cloudevents-batch"
_PREFIX = "ce-"
_INTEGERS = range(-(2**31), 2**31)

_PRINTABLE = re.compile(r"[ -~]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BACKSLASH = re.compile(r"\\(.)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})?")
_TO_PERCENT = re.compile(rb'[^!-~]|["%]')


# The headers by which an event is told from another message.
MARKS = ("content-type", *(_PREFIX + name for name in attributes.REQUIRED))


def is_event(headers: Mapping[str, str]) -> bool:
    """Whether the message means to be an event, valid or not."""
    names = {name.lower(): value for name, value in headers.items()}
    if names.get("content-type", "").strip().lower().startswith(_STRUCTURED):
        return True
    return any(_PREFIX + name in names for name in attributes.REQUIRED)


def decode(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
    """The events of an HTTP message in whatever mode; Malformed if any of them breaks a rule."""
    content_type, said = _event_headers(headers)
    mode = (content_type or "").lower()
    if mode.startswith(_BATCH):
        _require_format(content_type, _BATCH + "+json")
        if said:
            raise Malformed("a batch must not have ce- headers")
        return tuple(_from_members(members) for members in read_objects(body))
    if mode.startswith(_STRUCTURED):
        _require_format(content_type, _STRUCTURED + "+json")
        event = from_json(body)
        # Whoever routed by the headers must have seen the same event.
        if any(event.attribute(name) != value for name, value in said.items()):
            raise Malformed("a ce- header contradicts the event in the body")
        return (event,)
    if content_type is not None:
        said["datacontenttype"] = content_type
    return (_with_data(attributes.build(said), body),)


def decode_one(headers: Mapping[str, str], body: bytes) -> Event:
    """The one event of an HTTP message; Malformed if it breaks a rule or is a batch."""
    content_type, _said = _event_headers(headers)
    if (content_type or "").lower().startswith(_BATCH):
        raise Malformed("one event is expected here, not a batch")
    (event,) = decode(headers, body)
    return event


def encode(event: Event) -> tuple[dict[str, str], bytes]:
    """Headers and body of the event in binary mode; ValueError if `decode` would refuse it."""
    written = attributes.of(event)
    content_type = written.pop("datacontenttype", None)
    headers = {_PREFIX + name: _percent_encode(value) for name, value in written.items()}
    if content_type is not None:
        headers["content-type"] = content_type
    return headers, event.data or b""


def from_json(text: bytes) -> Event:
    """The event in the JSON format; Malformed if it breaks a rule."""
    return _from_members(read_object(text))


def to_json(event: Event) -> bytes:
    """The event in the JSON format, data kept to the byte; ValueError if `from_json` would refuse it."""
    written = json.dumps(attributes.of(event), ensure_ascii=False, separators=(",", ":"))
    if not event.data:
        return written.encode()
    return f"{written[:-1]},{_data_member(event.data, event.datacontenttype)}}}".encode()


def _event_headers(headers: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """The content type and the attributes in the ce- headers, all that concerns the codec."""
    relevant: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        if key != "content-type" and not key.startswith(_PREFIX):
            continue
        if key in relevant:
            raise Malformed("a header of the event is there twice")
        relevant[key] = value.strip(" \t")
    content_type = relevant.pop("content-type", None)
    if _PREFIX + "datacontenttype" in relevant:
        raise Malformed("ce-datacontenttype is not allowed: Content-Type says it")
    return content_type, {name[len(_PREFIX) :]: _percent_decode(value) for name, value in relevant.items()}


def _require_format(content_type: str | None, expected: str) -> None:
    essence, charsets = attributes.media_type(content_type or "")
    if essence != expected:
        raise Malformed(f"only the JSON event format is supported: send {expected}")
    if not charsets <= {"utf-8"}:
        raise Malformed("the charset of the JSON event format must be utf-8")


def _percent_decode(value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise Malformed("a ce- header must be printable ASCII: percent-encode the rest")
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        value = _BACKSLASH.sub(r"\1", quoted[1])
    elif '"' in value:
        raise Malformed("a ce- header has a misplaced double quote")
    try:
        return _PERCENT.sub(_byte, value.encode("ascii")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a ce- header is not valid UTF-8 after percent-decoding") from None


def _byte(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise Malformed("a ce- header has a percent sign without two hexadecimal digits")
    return unhexlify(escape[1])


def _percent_encode(value: str) -> str:
    return _TO_PERCENT.sub(lambda byte: b"%%%02X" % byte[0][0], value.encode("utf-8")).decode("ascii")


def _from_members(members: Members) -> Event:
    said: dict[str, str] = {}
    for name, member in members.items():
        if name in ("data", "data_base64"):
            continue
        attributes.check_name(name)
        if member.value is not None:
            said[name] = _string_form(name, member.value)
    event = attributes.build(said)
    return _with_data(event, _data(members, event.datacontenttype))


def _with_data(event: Event, data: bytes | None) -> Event:
    """Empty data is no data: the binary mode cannot tell one from the other."""
    return replace(event, data=data) if data else event


def _string_form(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in attributes.CORE:
        raise Malformed(f"{name} must be a string")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value in _INTEGERS:
        return str(value)
    raise Malformed("an extension must be a string, a boolean or a 32-bit integer")


def _data(members: Members, datacontenttype: str | None) -> bytes | None:
    """The bytes that the same event would have as its body in binary mode.

    `"data": null` is the JSON value null, four bytes: the format keeps it apart from absent data
    (JSON format 3.1.1). Only attributes are unset by null, and `data_base64`, which cannot be null.
    """
    data, encoded = members.get("data"), members.get("data_base64")
    if encoded is None or encoded.value is None:
        return None if data is None else _plain(data.value, data.text, datacontenttype)
    if data is not None:
        raise Malformed("data and data_base64 must not both be present")
    return _from_base64(encoded.value)


def _plain(value: Any, text: str, datacontenttype: str | None) -> bytes:
    if not attributes.is_json(datacontenttype):
        if not isinstance(value, str):
            raise Malformed("data must be a string unless datacontenttype is JSON")
        text = value
    codec = attributes.text_codec(datacontenttype)
    if codec is None:
        raise Malformed("data of another charset than utf-8 or us-ascii must travel as data_base64")
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        raise Malformed("data does not fit the charset of datacontenttype") from None


def _from_base64(encoded: Any) -> bytes:
    if not isinstance(encoded, str):
        raise Malformed("data_base64 must be a string")
    try:
        data = a2b_base64(encoded)
    except ValueError:
        data = None
    # Encoding it again tells every liberty that the decoder takes.
    if data is None or b2a_base64(data, newline=False).decode("ascii") != encoded:
        raise Malformed("data_base64 must be base64 (RFC 4648, with padding)")
    return data


def _data_member(data: bytes, datacontenttype: str | None) -> str:
    codec = attributes.text_codec(datacontenttype)
    try:
        text = data.decode(codec) if codec else None
    except UnicodeDecodeError:
        text = None
    if text is not None:
        if attributes.is_json(datacontenttype):
            if can_be_member(text):
                return f'"data":{text}'
        elif (datacontenttype or "").lower().startswith("text/") and "\0" not in text:
            return f'"data":{json.dumps(text, ensure_ascii=False)}'
    return f'"data_base64":"{b2a_base64(data, newline=False).decode("ascii")}"'
