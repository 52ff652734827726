"""Label and field selectors, as lists are asked with them."""

import re
from collections.abc import Callable
from typing import Any

from tests.cluster.fake.kinds import POD, Kind, Object
from tests.cluster.fake.refusals import Refused, bad_request

_KEY = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_VALUE = r"[-A-Za-z0-9_.]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_KEY})"
    rf"|(?P<set>{_KEY})\s+(?P<in>in|notin)\s*\((?P<values>[^()]*)\)"
    rf"|(?P<key>{_KEY})\s*(?P<is>==|=|!=)\s*(?P<value>{_VALUE})"
    rf"|(?P<exists>{_KEY}))\s*(?:,|$)"
)
_POD_FIELDS = ("status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName")
Matches = Callable[[Object], bool]


def by_labels(selector: str) -> Matches:
    """Whether an object has such labels; Refused if nobody can read the selector."""
    requirements: list[Callable[[dict[str, str]], bool]] = []
    position = 0
    while position < len(selector):
        found = _REQUIREMENT.match(selector, position)
        if not found:
            raise bad_request(f"unable to parse requirement: found '{selector[position:]}'")
        requirements.append(_requirement(found))
        position = found.end()
    return lambda stored: all(holds(stored["metadata"].get("labels") or {}) for holds in requirements)


def _requirement(found: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    part = found.groupdict()
    if part["absent"]:
        return lambda labels: part["no"] not in labels
    if part["exists"]:
        return lambda labels: part["exists"] in labels
    if part["in"]:
        values = {value.strip() for value in part["values"].split(",")}
        return lambda labels: (labels.get(part["set"]) in values) is (part["in"] == "in")
    return lambda labels: (labels.get(part["key"]) == part["value"]) is (part["is"] != "!=")


def by_fields(kind: Kind, selector: str) -> Matches:
    """Whether the fields of an object have these values; only a few may be asked for."""
    wanted = [_field(kind, term) for term in selector.split(",") if term]
    return lambda stored: all((_value(stored, path) == value) is equal for path, value, equal in wanted)


def _field(kind: Kind, term: str) -> tuple[str, str, bool]:
    found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", term)
    if not found:
        raise bad_request(f"invalid field selector: {term}; can't understand '{term}'")
    path, operator, value = found.groups()
    if path not in ("metadata.name", "metadata.namespace") and not (kind is POD and path in _POD_FIELDS):
        raise _unsupported(path)
    return path, value, operator != "!="


def _unsupported(path: str) -> Refused:
    return bad_request(f"field label not supported: {path}")


def _value(stored: Object, path: str) -> str:
    found: Any = stored
    for step in path.split("."):
        found = found.get(step, "") if isinstance(found, dict) else ""
    return str(found)
