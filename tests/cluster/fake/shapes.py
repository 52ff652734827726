"""Whether a body can be read as its kind at all; the real server says 400 to what has the wrong types."""

import base64
import binascii
from typing import Any

from tests.cluster.fake.kinds import CONFIG_MAP, JOB, POD, SECRET, Kind, Object
from tests.cluster.fake.refusals import Refused, bad_request

_WORDS = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_METADATA = {"name": str, "generateName": str, "namespace": str, "uid": str, "resourceVersion": str}
_JOB = {"suspend": bool, "backoffLimit": int, "activeDeadlineSeconds": int, "ttlSecondsAfterFinished": int}
_JOB |= {"parallelism": int, "completions": int, "template": dict, "selector": dict}


def check_kind(kind: Kind, body: Any) -> Object:
    """The object in a body that says what it is; whoever leaves that out means what was asked for."""
    if not isinstance(body, dict):
        told = f"couldn't get version/kind; json parse error: json: cannot unmarshal {_word(body)} into Go value"
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name}): {told}")
    if kind.custom and not (body.get("kind") and body.get("apiVersion")):
        told = "Object 'Kind' is missing"
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name}): {told}")
    version, name = body.get("apiVersion") or kind.api_version, body.get("kind") or kind.name
    if (version, name) != (kind.api_version, kind.name):
        raise bad_request(f'{name} in version "{version}" cannot be handled as a {kind.name}')
    return {**body, "apiVersion": kind.api_version, "kind": kind.name}


def check_types(kind: Kind, body: Object) -> None:
    """Refused if a field has a type that its kind cannot hold."""
    metadata = _typed(kind, body, "", {"metadata": dict}).get("metadata") or {}
    _typed(kind, metadata, "metadata", {**_METADATA, "labels": dict, "annotations": dict})
    _typed(kind, metadata, "metadata", {"finalizers": list, "ownerReferences": list})
    for field in ("labels", "annotations"):
        _texts(kind, metadata.get(field), f"metadata.{field}")
    if kind in (SECRET, CONFIG_MAP):
        _check_data(kind, body)
    elif not kind.custom:
        spec = _typed(kind, body, "", {"spec": dict}).get("spec") or {}
        _check_spec(kind, spec)


def _check_data(kind: Kind, body: Object) -> None:
    _typed(kind, body, "", {"data": dict, "stringData": dict, "immutable": bool, "type": str})
    for field in ("data", "stringData"):
        _texts(kind, body.get(field), field)
    if kind is SECRET:
        for value in (body.get("data") or {}).values():
            try:
                base64.b64decode(value, validate=True)
            except binascii.Error:
                raise _unreadable(kind, "illegal base64 data at input byte 0") from None


def _check_spec(kind: Kind, spec: Object) -> None:
    if kind is JOB:
        template = _typed(kind, spec, "spec", _JOB).get("template") or {}
        _typed(kind, template, "spec.template", {"metadata": dict, "spec": dict})
        _texts(kind, (template.get("metadata") or {}).get("labels"), "spec.template.metadata.labels")
        _check_pod(kind, template.get("spec") or {}, "spec.template.spec")
    elif kind is POD:
        _check_pod(kind, spec, "spec")


def _check_pod(kind: Kind, spec: Object, field: str) -> None:
    _typed(kind, spec, field, {"containers": list, "volumes": list, "restartPolicy": str})
    for container in spec.get("containers") or []:
        at = f"{field}.containers"
        _typed(kind, container, at, {"name": str, "image": str, "command": list, "args": list, "env": list})
        for word in [*(container.get("command") or []), *(container.get("args") or [])]:
            _typed(kind, {"command": word}, at, {"command": str})
        for variable in container.get("env") or []:
            _typed(kind, variable, f"{at}.env", {"name": str, "value": str, "valueFrom": dict})


def _typed(kind: Kind, holder: Any, field: str, types: dict[str, type]) -> Object:
    if not isinstance(holder, dict):
        raise _wrong(kind, holder, field, dict)
    for name, wanted in types.items():
        value = holder.get(name)
        # A bool is an int to Python alone.
        if value is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
            raise _wrong(kind, value, f"{field}.{name}".lstrip("."), wanted)
    return holder


def _texts(kind: Kind, values: Object | None, field: str) -> None:
    for value in (values or {}).values():
        if not isinstance(value, str):
            raise _wrong(kind, value, field, str)


def _wrong(kind: Kind, value: object, field: str, wanted: type) -> Refused:
    return _unreadable(
        kind,
        f"json: cannot unmarshal {_word(value)} into Go struct field {kind.name}.{field} of type {wanted.__name__}",
    )


def _unreadable(kind: Kind, why: str) -> Refused:
    return bad_request(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {why}')


def _word(value: object) -> str:
    return _WORDS.get(type(value), "value")
