"""Cluster objects as they are remembered: without noise and secrets, compared field by field."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.redaction import redact
from shared.domain.redaction_manifests import SECRET_NAME
from shared.domain.task import Target

Manifest = Mapping[str, Any]

# What changes by itself, or says who wrote which field.
_NOISE = ("managedFields", "resourceVersion", "generation", "selfLink")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# A login of a Docker registry, as image pull secrets are written.
_DOCKER_LOGIN = "auth"
_MARK = re.compile(r"\[redacted:[0-9a-f]{8}\]")
_MOST_LINES = 400
_MOST_CHARACTERS = 160
# Of what both values of a long field begin with.
_COMMON_CHARACTERS = 20
# Deeper than any schema; whoever may write objects shall not exhaust the stack of who reads them.
_MOST_LEVELS = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """A target, and the object that it names: None if there is none; `unread` says why it could not be read."""

    target: Target
    manifest: Manifest | None
    unread: str = ""


def document(seen: Sequence[Seen], key: bytes) -> str:
    """The objects as YAML documents (each is JSON), in order, redacted under `key`."""
    return "\n---\n".join(json.dumps(_shown(one, key), indent=2, sort_keys=True) for one in seen)


def digest(text: str) -> str:
    """Names a snapshot by its content."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def difference(before: str, after: str) -> str:
    """What changed between two documents of the same targets, one field a line; "" if nothing did."""
    old, new = _parsed(before), _parsed(after)
    lines = [
        line for name in dict.fromkeys([*old, *new]) for line in _changes(name, old.get(name, {}), new.get(name, {}))
    ]
    more = [f"… and {len(lines) - _MOST_LINES} changes more"] if len(lines) > _MOST_LINES else []
    # A lone surrogate can stand in JSON, and nowhere else.
    return "\n".join(lines[:_MOST_LINES] + more).encode("utf-8", "replace").decode()


# --- what is shown of an object. Every text is redacted by itself: the document stays JSON whatever it holds.


def _shown(seen: Seen, key: bytes) -> dict[str, Any]:
    target = seen.target
    shown: dict[str, Any] = {"apiVersion": target.api_version, "kind": target.kind}
    shown["metadata"] = {"name": target.name, "namespace": target.namespace}
    if seen.unread:
        shown["unread"] = seen.unread
    elif seen.manifest is None:
        shown["absent"] = True
    else:
        shown |= seen.manifest
        metadata = {name: value for name, value in (shown["metadata"] or {}).items() if name not in _NOISE}
        annotations = {name: value for name, value in (metadata.get("annotations") or {}).items() if name != _APPLIED}
        metadata.pop("annotations", None)
        shown["metadata"] = metadata | ({"annotations": annotations} if annotations else {})
    return _map(shown, key, target.kind == "Secret", 0)


def _redacted(value: Any, key: bytes, in_secret: bool, levels: int) -> Any:
    if isinstance(value, str):
        return redact(value, key)
    if not isinstance(value, Mapping | list):
        return value
    if levels > _MOST_LEVELS:
        return "…"
    if isinstance(value, Mapping):
        return _map(value, key, in_secret, levels)
    return _list(value, key, in_secret, levels)


def _map(value: Mapping[str, Any], key: bytes, in_secret: bool, levels: int) -> dict[str, Any]:
    """Marks whatever its name, or its neighbour `name` or `key`, says is secret, and all data of a Secret."""
    in_secret = in_secret or value.get("kind") in ("Secret", "SecretList")
    neighbours = (value.get("name"), value.get("key"))
    hides = any(isinstance(named, str) and SECRET_NAME.search(named) for named in neighbours)
    shown = {}
    for name, each in value.items():
        if name == "stringData" or (in_secret and name == "data"):
            each = _all_marked(each, key)
        elif SECRET_NAME.search(name) or (hides and name == "value") or name == _DOCKER_LOGIN:
            each = [_marked(item, key) for item in each] if isinstance(each, list) else _marked(each, key)
        shown[redact(name, key)] = _redacted(each, key, in_secret, levels + 1)
    return shown


def _list(values: Sequence[Any], key: bytes, in_secret: bool, levels: int) -> list[Any]:
    """Marks what follows a flag like `--token` as well."""
    shown, hides = [], False
    for each in values:
        flag = isinstance(each, str) and each.startswith("-")
        shown.append(_redacted(_marked(each, key) if hides and not flag else each, key, in_secret, levels + 1))
        hides = flag and SECRET_NAME.search(each) is not None
    return shown


def _all_marked(data: Any, key: bytes) -> Any:
    """The values of a Secret: texts, unless somebody has made a kind of their own that only looks like one."""
    if isinstance(data, Mapping):
        return {name: _whole(each, key) for name, each in data.items()}
    return _whole(data, key)


def _whole(value: Any, key: bytes) -> Any:
    return value if value is None else _marked(value if isinstance(value, str) else json.dumps(value), key)


def _marked(value: Any, key: bytes) -> Any:
    """The mark of a text or a number; anything else as it is."""
    text = str(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not text or _MARK.fullmatch(text):
        return value
    return f"[redacted:{hmac.digest(key, text.encode('utf-8', 'replace'), 'sha256').hex()[:8]}]"


# --- what changed

Name = tuple[str, str, str, str]
Path = tuple[str, ...]


def _parsed(text: str) -> dict[Name, dict[Path, str]]:
    """The leaves of each object by its API version, kind, namespace and name."""
    found = {}
    for part in text.split("\n---\n") if text else ():
        manifest = json.loads(part)
        metadata = manifest["metadata"]
        name = (manifest["apiVersion"], manifest["kind"], metadata.get("namespace") or "", metadata.get("name") or "")
        found[name] = dict(_fields((), manifest))
    return found


def _fields(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Every leaf with its path; an item of a list is known by its `name` where all of them have one."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _fields((*path, f".{name}"), each)
    elif isinstance(value, list) and value:
        names = [each.get("name") if isinstance(each, dict) else None for each in value]
        keyed = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for index, each in enumerate(value):
            yield from _fields((*path, f"[{names[index] if keyed else index}]"), each)
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def _changes(name: Name, old: Mapping[Path, str], new: Mapping[Path, str]) -> Iterator[str]:
    version, kind, namespace, own = name
    about = _in_line(f"{version} {kind} {namespace}/{own}" if namespace else f"{version} {kind} {own}")
    for path in dict.fromkeys([*old, *new]):
        was, now = old.get(path), new.get(path)
        if was == now:
            continue
        place = f"{about}: {_in_line(''.join(path).removeprefix('.'))}"
        if was is None:
            yield f"+ {place}: {_cut(now or '')}"
        elif now is None:
            yield f"- {place}: {_cut(was)}"
        else:
            start = _where_they_part(was, now) if max(len(was), len(now)) > _MOST_CHARACTERS else 0
            yield f"~ {place}: {_cut(was, start)} -> {_cut(now, start)}"


def _where_they_part(was: str, now: str) -> int:
    """A little before the first character that differs, so that both can be cut and still do."""
    same = next((index for index, (old, new) in enumerate(zip(was, now, strict=False)) if old != new), None)
    return max(0, (min(len(was), len(now)) if same is None else same) - _COMMON_CHARACTERS)


def _cut(text: str, start: int = 0) -> str:
    end = start + _MOST_CHARACTERS
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")


def _in_line(text: str) -> str:
    """The text without line breaks: whoever names things cannot write lines of their own."""
    return _cut(json.dumps(text, ensure_ascii=False)[1:-1])
