"""Which object a block of YAML or JSON describes, told from its lines: the block is not parsed."""

import re
from dataclasses import dataclass

# An indentation beyond this is none that a person or a program has written.
MOST_INDENTATION = 200

_FIRST = re.compile(r"(?m)^(?P<lead>[ \t]*(?:-[ \t]+)?)[\"']?[A-Za-z](?P<key>[\w./-]*[\"']?[ \t]*:)?")
_CHILD = re.compile(r"(?P<lead>[ \t]+)[\"']?\w")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an object is: `lines` of YAML that say so, and the part of the text, start to end, that does."""

    lines: str
    start: int
    end: int
    is_list: bool


def identity(text: str, start: int, end: int) -> Identity | None:
    """Of the object whose keys begin with the first word of text[start:end]; None if it is none of Kubernetes."""
    first = _FIRST.search(text, start, end)
    if first is None or first["key"] is None or len(first["lead"]) > MOST_INDENTATION:
        return None
    lead = rf"(?:[ \t]{{{len(first['lead'])}}}|{re.escape(first['lead'])})"
    version, kind = (_value(lead, name, text, start, end) for name in ("apiVersion", "kind"))
    if version is None or kind is None:
        return None
    names = _names(lead, len(first["lead"]), text, start, end)
    lines = [f"apiVersion: {version['value']}", f"kind: {kind['value']}"]
    lines += ["metadata:", *(f"  {one['name']}: {one['value']}" for one in names)] if names else []
    told = [version, kind, *names]
    places = min(one.start() for one in told), max(one.end() for one in told)
    return Identity("\n".join(lines), *places, is_list=kind["value"].endswith("List"))


def _names(lead: str, indentation: int, text: str, start: int, end: int) -> list[re.Match[str]]:
    """Name and namespace, where they stand on lines of their own right below `metadata`."""
    below = rf"(?m)^{lead}[\"']?metadata[\"']?[ \t]*:[ \t]*(?:\{{[ \t\r]*|\r?)\n"
    metadata = re.compile(below).search(text, start, end)
    child = _CHILD.match(text, metadata.end(), end) if metadata else None
    if metadata is None or child is None or not indentation < len(child["lead"]) <= MOST_INDENTATION:
        return []
    after = re.compile(rf"(?m)^[ \t]{{0,{indentation}}}[^\s]").search(text, metadata.end(), end)
    until = after.start() if after else end
    found = (_value(re.escape(child["lead"]), name, text, metadata.end(), until) for name in ("name", "namespace"))
    return [one for one in found if one]


def _value(lead: str, name: str, text: str, start: int, end: int) -> re.Match[str] | None:
    """The first line with this key at this indentation; its `value` is one word, without quotes."""
    key = rf"(?m)^{lead}[\"']?(?P<name>{name})[\"']?[ \t]*:[ \t]*[\"']?(?P<value>[^\s\"',{{}}\[\]|>&*]+)"
    return re.compile(key).search(text, start, end)
