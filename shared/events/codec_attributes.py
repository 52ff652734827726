"""The rules on context attributes (CloudEvents 1.0.2, section 3), the same in every mode.

A refusal names the attribute and its rule, never the value.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from shared.domain.errors import Malformed
from shared.events.event import Event

REQUIRED = ("id", "source", "specversion", "type")
CORE = (*REQUIRED, "subject", "time", "datacontenttype", "dataschema")

_NAME = re.compile(r"(?!data\Z)[a-z0-9]+")
_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")

_HOST_CHARACTERS = r"A-Za-z0-9\-._~!$&'()*+,;="
_SEGMENT = _HOST_CHARACTERS + ":@/%"
_IP_LITERAL = rf"\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[{_HOST_CHARACTERS}:]+)\]"
_HOST = rf"(?:{_IP_LITERAL}|[{_HOST_CHARACTERS}%]*)"
_AUTHORITY = rf"//(?:[{_HOST_CHARACTERS}:%]*@)?{_HOST}(?::[0-9]*)?(?=[/?#]|\Z)"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*:"
_HIERARCHY = rf"(?:{_AUTHORITY}|(?!//))[{_SEGMENT}]*(?:\?[{_SEGMENT}?]*)?"
_WHOLE_ESCAPES = r"(?!.*%(?![0-9A-Fa-f]{2}))"
_URI_REFERENCE = re.compile(rf"{_WHOLE_ESCAPES}(?:{_SCHEME}|(?![^/?#]*:)){_HIERARCHY}(?:#[{_SEGMENT}?]*)?")
_ABSOLUTE_URI = re.compile(_WHOLE_ESCAPES + _SCHEME + _HIERARCHY)

_TOKEN = r"[!#-'*+\-.0-9A-Z^-~]+"  # noqa: S105
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})=(?:({_TOKEN})|"((?:[ !#-\[\]-~]|\\[ -~])*)")')
_MEDIA_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})((?:{_PARAMETER.pattern})*)")
_TEXT_CODECS = {"utf-8": "utf-8", "us-ascii": "ascii"}

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def build(attributes: Mapping[str, str]) -> Event:
    """The event with these attributes, `specversion` among them; Malformed if any breaks a rule."""
    for name in attributes.keys() - CORE:
        check_name(name)
    if _FORBIDDEN.search("".join(attributes.values())):
        known = next(name for name, value in attributes.items() if _FORBIDDEN.search(value))
        known = known if known in CORE else "an extension"
        raise Malformed(f"{known} contains a control character, a surrogate or a noncharacter")
    for name in REQUIRED:
        if name not in attributes:
            raise Malformed(f"{name} is missing")
    for name, (keeps, rule) in _RULES.items():
        if name in attributes and not keeps(attributes[name]):
            raise Malformed(f"{name} must be {rule}")
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject"),
        time=attributes.get("time"),
        datacontenttype=attributes.get("datacontenttype"),
        dataschema=attributes.get("dataschema"),
        extensions=MappingProxyType({name: value for name, value in attributes.items() if name not in CORE}),
    )


def of(event: Event) -> dict[str, str]:
    """Every attribute of an event that keeps the rules; ValueError if it breaks one."""
    core = {name: value for name in CORE if (value := event.attribute(name)) is not None}
    if not event.extensions.keys().isdisjoint(CORE):
        raise ValueError("this event cannot be written: an extension bears the name of a core attribute")
    attributes = {**core, **event.extensions}
    try:
        build(attributes)
    except Malformed as broken:
        raise ValueError(f"this event cannot be written: {broken}") from None
    return attributes


def check_name(name: str) -> None:
    """Malformed unless an attribute may be called so. More than 20 characters are allowed."""
    if not _NAME.fullmatch(name):
        raise Malformed('an attribute name must consist of a-z and 0-9 and must not be "data"')


def media_type(value: str) -> tuple[str, frozenset[str]]:
    """The lower-case `type/subtype` and every charset parameter; Malformed if it is no media type."""
    parts = _MEDIA_TYPE.fullmatch(value)
    if parts is None:
        raise Malformed("the content type must be a media type (RFC 2045)")
    charsets = (token or quoted for name, token, quoted in _PARAMETER.findall(parts[2]) if name.lower() == "charset")
    return parts[1].lower(), frozenset(charset.lower() for charset in charsets)


def is_json(datacontenttype: str | None) -> bool:
    """Whether data is a JSON value in the JSON format; it is where nothing else is said (3.1.1)."""
    if datacontenttype is None:
        return True
    essence, _charsets = media_type(datacontenttype)
    return essence.endswith(("/json", "+json"))


def text_codec(datacontenttype: str | None) -> str | None:
    """The Python codec between the data's text and its bytes, None if text cannot stand for them."""
    _essence, charsets = media_type(datacontenttype) if datacontenttype else ("", frozenset())
    if len(charsets) > 1:
        return None
    return _TEXT_CODECS.get(next(iter(charsets), "utf-8"))


def _is_timestamp(value: str) -> bool:
    parts = _TIME.fullmatch(value)
    if parts is None:
        return False
    year, month, day, hour, minute, second = (int(parts[group]) for group in range(1, 7))
    offset_hour, offset_minute = int(parts[8] or 0), int(parts[9] or 0)
    if not (1 <= month <= 12 and 1 <= day <= _days(year, month)):
        return False
    if hour > 23 or minute > 59 or offset_hour > 23 or offset_minute > 59:
        return False
    if second < 60:
        return True
    # A leap second ends a month in UTC. Where clocks are ahead of UTC, the next month has begun.
    offset = (offset_hour * 60 + offset_minute) * (-1 if parts[7] == "-" else 1)
    utc_minute = hour * 60 + minute - offset
    last_minute_today = utc_minute == 1439 and day == _days(year, month)
    return second == 60 and (last_minute_today or (utc_minute == -1 and day == 1))


def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _is_data_type(value: str) -> bool:
    # An event as the data of an event could be received but not sent on: its content type would
    # announce the structured mode.
    return _MEDIA_TYPE.fullmatch(value) is not None and not value.lower().startswith("application/cloudevents")


_RULES: dict[str, tuple[Callable[[str], object], str]] = {
    "id": (bool, "a non-empty string"),
    "source": (
        lambda value: value and _URI_REFERENCE.fullmatch(value),
        "a non-empty URI-reference (RFC 3986)",
    ),
    "specversion": (lambda value: value == "1.0", 'exactly "1.0"'),
    "type": (bool, "a non-empty string"),
    "subject": (bool, "a non-empty string or absent"),
    "time": (_is_timestamp, "a timestamp with offset (RFC 3339)"),
    "datacontenttype": (_is_data_type, "a media type (RFC 2045) other than that of an event"),
    "dataschema": (_ABSOLUTE_URI.fullmatch, "an absolute URI without fragment (RFC 3986)"),
}
