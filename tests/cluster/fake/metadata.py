"""What every object's metadata must be like."""

import re
from collections.abc import Iterator

from tests.cluster.fake.kinds import NAMESPACE, Kind, Object
from tests.cluster.fake.refusals import Mistake

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_ANNOTATIONS_BYTES = 262_144
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_NAME_PART_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')"
)


def metadata_mistakes(kind: Kind, new: Object) -> Iterator[Mistake]:
    """All that is wrong with the metadata of an object that has a name."""
    metadata = new["metadata"]
    yield from _name_mistakes(kind, metadata["name"])
    yield from label_mistakes("metadata.labels", metadata.get("labels") or {})
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        yield from _key_mistakes("metadata.annotations", key)
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_BYTES:
        yield Mistake.too_long("metadata.annotations", _ANNOTATIONS_BYTES)
    for owner in metadata.get("ownerReferences") or []:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield Mistake.value(f"metadata.ownerReferences.{field}", "", "must not be empty")


def label_mistakes(field: str, labels: dict[str, str]) -> Iterator[Mistake]:
    for key, value in labels.items():
        yield from _key_mistakes(field, key)
        if len(value) > 63:
            yield Mistake.value(field, value, "must be no more than 63 bytes")
        elif value and not re.fullmatch(_QUALIFIED, value):
            yield Mistake.value(field, value, _VALUE_RULE)


def is_label(name: str) -> bool:
    """Whether it is a DNS-1123 label, as containers and namespaces are named."""
    return len(name) <= 63 and re.fullmatch(_LABEL, name) is not None


def _name_mistakes(kind: Kind, name: str) -> Iterator[Mistake]:
    if kind.group.startswith("rbac."):
        return
    if kind is NAMESPACE and not is_label(name):
        yield Mistake.value("metadata.name", name, LABEL_RULE)
    elif len(name) > 253:
        yield Mistake.value("metadata.name", name, "must be no more than 253 bytes")
    elif not re.fullmatch(_SUBDOMAIN, name):
        yield Mistake.value("metadata.name", name, _SUBDOMAIN_RULE)


def _key_mistakes(field: str, key: str) -> Iterator[Mistake]:
    prefix, slash, name = key.rpartition("/")
    if slash and not re.fullmatch(_SUBDOMAIN, prefix):
        yield Mistake.value(field, key, f"prefix part {_SUBDOMAIN_RULE}")
    if len(name) > 63:
        yield Mistake.value(field, key, "name part must be no more than 63 bytes")
    elif not re.fullmatch(_QUALIFIED, name):
        yield Mistake.value(field, key, _NAME_PART_RULE)
