"""JSON merge patches (RFC 7386), and objects without what says nothing."""

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """The target with the patch applied; both stay as they are."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def without_nulls(value: Any) -> Any:
    """What typed kinds keep of a body: a null is no value."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value
