"""The shape of a change: which fields of what kinds of objects differ, without names and values.

So a change is like others that were made to other objects, and what became of those can be told.
"""

import re
from collections.abc import Iterator

# The kind of memory of which the text is a difference, and the content its shape.
CHANGE_SHAPE = "change-shape"

_MOST_PHRASES = 60
_WORDS = {"+": "added", "-": "removed", "~": "changed"}
_LINE = re.compile(r"(?P<sign>[+~-]) (?P<version>\S+) (?P<kind>\S+) (?P<object>.*?): (?P<path>.*?): ")
# An item of a list, known by its name or its place.
_ITEM = re.compile(r"\[[^\[\]]*\]")
# Below these the names are whatever somebody has called their things.
_NAMES_BELOW = re.compile(
    r"(?P<above>(?:^|\.)(?:labels|annotations|matchLabels|nodeSelector|selector(?=\.(?!match))|parameters)"
    r"|^(?:data|binaryData|stringData))\..*"
)
# What the cluster does by itself, after a change or without one.
_BY_ITSELF = re.compile(r"status(?:\.|$)|metadata\.(?:uid|creationTimestamp|deletionTimestamp|ownerReferences)\b")
# What the field `absent` says when it comes and goes: shared/domain/manifests.py.
_WHOLE = {"+": "deleted", "-": "created"}
_OTHER = "something else changed"


def shape(difference: str) -> str:
    """One line for each kind of object, as `apps/v1 Deployment: spec.replicas changed`, in alphabetical order.

    Reads what `manifests.difference` writes, one field a line. "" for white space alone, and for nothing else.
    """
    objects: dict[tuple[str, str], set[str]] = {}
    for line in filter(_says, difference.split("\n")):
        found = _LINE.match(line)
        about = (f"{found['version']} {found['kind']}", found["object"]) if found else (_OTHER, "")
        objects.setdefault(about, set()).add(f"{found['sign']} {found['path']}" if found else "")
    kinds: dict[str, set[str]] = {}
    for (kind, _), fields in objects.items():
        kinds.setdefault(kind, set()).update(_phrases(fields))
    return "\n".join(_told(kind, phrases) for kind, phrases in sorted(kinds.items()))


def _phrases(fields: set[str]) -> Iterator[str]:
    """What happened to one object; of one that came or went only that."""
    known = [(sign, path) for sign, _, path in (field.partition(" ") for field in fields) if sign]
    whole = [_WHOLE[sign] for sign, path in known if path == "absent" and sign in _WHOLE]
    if whole or any(path == "unread" for _, path in known):
        yield from whole or ["could not be read"]
        return
    meant = [(sign, path) for sign, path in known if not _BY_ITSELF.match(path)]
    yield from (f"{_general(path)} {_WORDS[sign]}" for sign, path in meant)
    if known and not meant:
        yield "status changed"


def _general(path: str) -> str:
    return _NAMES_BELOW.sub(r"\g<above>.*", _ITEM.sub("[]", path))


def _told(kind: str, phrases: set[str]) -> str:
    told = sorted(phrases)[:_MOST_PHRASES]
    more = [f"{len(phrases) - _MOST_PHRASES} fields more"] if len(phrases) > _MOST_PHRASES else []
    return f"{kind}: {'; '.join(told + more)}" if told else kind


def _says(line: str) -> bool:
    """Whether the database would take it for a text."""
    return bool(line.strip(" \t\r\n"))
