"""What the API server does not accept, kind by kind: at a creation, and where an object is changed."""

import re
from collections.abc import Iterator

from tests.cluster.fake.kinds import CONFIG_MAP, DEPLOYMENT, JOB, POD, SECRET, Kind, Object
from tests.cluster.fake.metadata import LABEL_RULE, is_label, label_mistakes, metadata_mistakes
from tests.cluster.fake.refusals import Mistake, invalid

_DATA_BYTES = 1_048_576
_KEY = r"[-._a-zA-Z0-9]+"
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    f"(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_KEY}')"
)
_ENV_RULE = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_POD_CHANGES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_IMMUTABLE = "field is immutable"
_COUNTS = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
_JOB_FIXED = ("completions", "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy")


def validate(kind: Kind, new: Object, old: Object | None = None) -> None:
    """Refused as Invalid if the new state is not acceptable, or may not follow the old one."""
    mistakes = [*metadata_mistakes(kind, new), *_content_mistakes(kind, new)]
    if old is not None:
        mistakes += _change_mistakes(kind, new, old)
    if mistakes:
        raise invalid(kind, new["metadata"]["name"], mistakes)


def _content_mistakes(kind: Kind, new: Object) -> Iterator[Mistake]:
    if kind in (SECRET, CONFIG_MAP):
        yield from _data_mistakes(new)
    elif kind is POD:
        yield from _pod_mistakes("spec", new["spec"])
    elif kind is DEPLOYMENT:
        yield from _pod_mistakes("spec.template.spec", new["spec"]["template"]["spec"])
    elif kind is JOB:
        yield from _job_mistakes(new["spec"])
    elif kind.custom and "spec" not in new:
        yield Mistake.required("spec")


def _data_mistakes(new: Object) -> Iterator[Mistake]:
    data = new.get("data") or {}
    for key in data:
        if not re.fullmatch(_KEY, key):
            yield Mistake.value(f"data[{key}]", key, _KEY_RULE)
    factor = 3 / 4 if new["kind"] == "Secret" else 1
    if sum(len(value) * factor for value in data.values()) > _DATA_BYTES:
        yield Mistake.too_long("data" if new["kind"] == "Secret" else "", _DATA_BYTES)


def _job_mistakes(spec: Object) -> Iterator[Mistake]:
    for field in _COUNTS:
        if (spec.get(field) or 0) < 0:
            yield Mistake.value(f"spec.{field}", spec[field], "must be greater than or equal to 0")
    template = spec["template"]
    labels = template["metadata"].get("labels") or {}
    yield from label_mistakes("spec.template.labels", labels)
    if any(labels.get(key) != value for key, value in spec["selector"].get("matchLabels", {}).items()):
        yield Mistake.value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from _pod_mistakes("spec.template.spec", template["spec"])
    if template["spec"].get("restartPolicy") not in ("OnFailure", "Never"):
        yield Mistake.required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def _pod_mistakes(field: str, spec: Object) -> Iterator[Mistake]:
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    if not spec.get("containers"):
        yield Mistake.required(f"{field}.containers")
    for number, container in enumerate(spec.get("containers") or []):
        at = f"{field}.containers[{number}]"
        if not container.get("name"):
            yield Mistake.required(f"{at}.name")
        elif not is_label(container["name"]):
            yield Mistake.value(f"{at}.name", container["name"], LABEL_RULE)
        if not container.get("image"):
            yield Mistake.required(f"{at}.image")
        for index, variable in enumerate(container.get("env") or []):
            if not re.fullmatch(r"[ -<>-~]+", variable.get("name", "")):
                yield Mistake.value(f"{at}.env[{index}].name", variable.get("name", ""), _ENV_RULE)
        for index, mount in enumerate(container.get("volumeMounts") or []):
            if mount.get("name") not in volumes:
                told = f'Not found: "{mount.get("name", "")}"'
                yield Mistake(f"{at}.volumeMounts[{index}].name", told, "FieldValueNotFound")


def _change_mistakes(kind: Kind, new: Object, old: Object) -> Iterator[Mistake]:
    wanted, found = new["metadata"], old["metadata"]
    if wanted["uid"] != found["uid"]:
        yield Mistake.value("metadata.uid", wanted["uid"], _IMMUTABLE)
    added = [each for each in wanted.get("finalizers") or [] if each not in found.get("finalizers", [])]
    if added and "deletionTimestamp" in found:
        listed = "[]string{" + ", ".join(f'"{each}"' for each in added) + "}"
        told = f"no new finalizers can be added if the object is being deleted, found new finalizers {listed}"
        yield Mistake.forbidden("metadata.finalizers", told)
    if kind in (SECRET, CONFIG_MAP):
        yield from _data_changes(new, old)
    elif kind is JOB:
        yield from _job_changes(new, old)
    elif kind is POD and _without_images(new["spec"]) != _without_images(old["spec"]):
        yield Mistake.forbidden("spec", _POD_CHANGES)
    elif kind is DEPLOYMENT and new["spec"].get("selector") != old["spec"].get("selector"):
        yield Mistake.value("spec.selector", new["spec"].get("selector"), _IMMUTABLE)


def _data_changes(new: Object, old: Object) -> Iterator[Mistake]:
    if new.get("type") != old.get("type"):
        yield Mistake.value("type", new.get("type"), _IMMUTABLE)
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield Mistake.forbidden("immutable", "field is immutable when `immutable` is set")
    for field in ("data", "binaryData"):
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield Mistake.forbidden(field, "field is immutable when `immutable` is set")


def _job_changes(new: Object, old: Object) -> Iterator[Mistake]:
    spec, before = new["spec"], old["spec"]
    for field in _JOB_FIXED:
        if spec.get(field) != before.get(field):
            yield Mistake.value(f"spec.{field}", spec.get(field), _IMMUTABLE)
    if before["suspend"] and "startTime" not in old.get("status", {}):
        if _without_directives(spec["template"]) != _without_directives(before["template"]):
            yield Mistake.value("spec.template.spec", spec["template"]["spec"], _IMMUTABLE)
    elif spec["template"] != before["template"]:
        yield Mistake.value("spec.template", spec["template"], _IMMUTABLE)


def _without_directives(template: Object) -> Object:
    """What may not change while a Job is suspended: all but where its pod runs, what it takes, and how it is marked."""
    kept = {key: value for key, value in template["spec"].items() if key not in ("nodeSelector", "tolerations")}
    return kept | {"containers": [{**each, "resources": {}} for each in kept.get("containers", [])]}


def _without_images(spec: Object) -> Object:
    free = ("activeDeadlineSeconds", "tolerations")
    kept = {key: value for key, value in spec.items() if key not in free}
    return kept | {"containers": [{**each, "image": ""} for each in kept.get("containers", [])]}
