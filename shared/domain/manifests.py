"""Cluster objects as they are remembered: without noise and secrets, compared field by field."""

import hashlib
import hmac
import json
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
_MOST_LINES = 400
_MOST_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Seen:
    """A target, and the object that it names: None if there is none; `unread` says why it could not be read."""

    target: Target
    manifest: Manifest | None
    unread: str = ""


def document(seen: Sequence[Seen], key: bytes) -> str:
    """The objects as YAML documents (each is JSON), in order, redacted under `key`."""
    return "\n---\n".join(redact(json.dumps(_shown(one, key), indent=2, sort_keys=True), key) for one in seen)


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
    return "\n".join(lines[:_MOST_LINES] + more)


def _shown(seen: Seen, key: bytes) -> dict[str, Any]:
    target = seen.target
    shown: dict[str, Any] = {"apiVersion": target.api_version, "kind": target.kind}
    shown["metadata"] = {"name": target.name, "namespace": target.namespace}
    if seen.unread:
        return shown | {"unread": seen.unread}
    if seen.manifest is None:
        return shown | {"absent": True}
    manifest = dict(seen.manifest)
    metadata = {name: value for name, value in dict(manifest.get("metadata") or {}).items() if name not in _NOISE}
    annotations = {name: value for name, value in (metadata.get("annotations") or {}).items() if name != _APPLIED}
    metadata.pop("annotations", None)
    manifest["metadata"] = metadata | ({"annotations": annotations} if annotations else {})
    if target.kind == "Secret":
        manifest |= {part: _all_marked(manifest[part], key) for part in ("data", "stringData") if part in manifest}
    return {**shown, **_without_secrets(manifest, key)}


def _without_secrets(value: Any, key: bytes) -> Any:
    """The value with each string marked whose name, or whose neighbour `name`, says that it is secret."""
    if isinstance(value, Mapping):
        named = value.get("name")
        hides = isinstance(named, str) and SECRET_NAME.search(named) is not None
        return {
            name: _mark(each, key)
            if isinstance(each, str) and (SECRET_NAME.search(name) or (hides and name == "value"))
            else _without_secrets(each, key)
            for name, each in value.items()
        }
    return [_without_secrets(each, key) for each in value] if isinstance(value, list) else value


def _all_marked(values: Any, key: bytes) -> Any:
    return {name: _mark(str(each), key) for name, each in values.items()} if isinstance(values, Mapping) else None


def _mark(text: str, key: bytes) -> str:
    if not text or text.startswith("[redacted:"):
        return text
    return f"[redacted:{hmac.digest(key, text.encode('utf-8', 'replace'), 'sha256').hex()[:8]}]"


def _parsed(text: str) -> dict[str, dict[str, Any]]:
    found = {}
    for part in text.split("\n---\n") if text else ():
        manifest = json.loads(part)
        metadata = manifest.get("metadata", {})
        place = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
        found[f"{manifest.get('apiVersion')} {manifest.get('kind')} {place}"] = dict(_fields("", manifest))
    return found


def _fields(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every leaf with its path; an item of a list is known by its `name` where all of them have one."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _fields(f"{path}.{name}" if path else name, each)
    elif isinstance(value, list) and value:
        names = [each.get("name") if isinstance(each, dict) else None for each in value]
        keyed = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for index, each in enumerate(value):
            yield from _fields(f"{path}[{names[index] if keyed else index}]", each)
    else:
        text = json.dumps(value, ensure_ascii=False)
        yield path, text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _changes(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) == new.get(path):
            continue
        if path not in old:
            yield f"+ {name}: {path}: {new[path]}"
        elif path not in new:
            yield f"- {name}: {path}: {old[path]}"
        else:
            yield f"~ {name}: {path}: {old[path]} -> {new[path]}"
