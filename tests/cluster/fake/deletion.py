"""How objects end: at once, after a grace period, or once nothing that holds them is left."""

from datetime import UTC, datetime, timedelta

from tests.cluster.fake.kinds import JOB, NAMESPACE, POD, Kind, Object
from tests.cluster.fake.refusals import Mistake, Refused, bad_request, invalid, precondition_failed
from tests.cluster.fake.store import Store, changed

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_POLICIES = ("Foreground", "Background", "Orphan")
_OPTIONS = Kind("meta.k8s.io", "v1", "DeleteOptions", "deleteoptions")


def delete(store: Store, kind: Kind, stored: Object, options: Object | None = None) -> tuple[Object, bool]:
    """What the object is now, and whether it is gone."""
    options = options or {}
    _check(kind, stored, options)
    if kind is NAMESPACE:
        return _terminate(store, stored), False
    finalizers = _finalizers(kind, stored, options)
    grace = _grace(kind, stored, options)
    metadata = stored["metadata"]
    earlier = metadata.get("deletionGracePeriodSeconds")
    if earlier is not None:
        grace = min(grace, earlier)
    if not finalizers and not grace:
        store.drop(kind, stored)
        return changed(stored, deletionTimestamp=_after(0), deletionGracePeriodSeconds=0, finalizers=None), True
    at = metadata["deletionTimestamp"] if earlier == grace else _after(grace)
    marked = changed(stored, deletionTimestamp=at, deletionGracePeriodSeconds=grace, finalizers=finalizers)
    return store.replace(kind, marked), False


def without_finalizer(store: Store, kind: Kind, stored: Object, finalizer: str) -> Object:
    """Take one finalizer away; the object is gone if it was the last that held it."""
    left = [name for name in stored["metadata"].get("finalizers", []) if name != finalizer]
    return store.replace(kind, changed(stored, finalizers=left))


def _after(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(kind: Kind, stored: Object, options: Object) -> None:
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in _POLICIES:
        supported = ", ".join(f'"{name}"' for name in (*_POLICIES, "nil"))
        message = f'Unsupported value: "{policy}": supported values: {supported}'
        raise invalid(_OPTIONS, "", [Mistake("propagationPolicy", message, "FieldValueNotSupported")])
    if options.get("dryRun"):
        raise bad_request("this fake knows no dry run")
    for field, named in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, found = (options.get("preconditions") or {}).get(field), stored["metadata"][field]
        if wanted is not None and wanted != found:
            raise _mismatch(kind, stored, named, wanted, found)


def _mismatch(kind: Kind, stored: Object, field: str, wanted: str, found: str) -> Refused:
    happened = "deleted and then recreated" if field == "UID" else "modified"
    why = f"the {field} in the precondition ({wanted}) does not match the {field} in record ({found})"
    return precondition_failed(kind, stored["metadata"]["name"], f"{why}. The object might have been {happened}")


def _finalizers(kind: Kind, stored: Object, options: Object) -> list[str]:
    before = stored["metadata"].get("finalizers", [])
    policy = options.get("propagationPolicy")
    if policy is None and options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    if policy is None and FOREGROUND not in before and ORPHAN not in before:
        # batch/v1 keeps the pods of a Job whose deletion says nothing else: an old promise.
        policy = "Orphan" if kind is JOB else "Background"
    if policy is None:
        return [*before]
    own = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN], "Background": []}[policy]
    return [name for name in before if name not in (FOREGROUND, ORPHAN)] + own


def _grace(kind: Kind, stored: Object, options: Object) -> int:
    if kind is not POD or stored.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if not stored["spec"].get("nodeName"):
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(stored["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)


def _terminate(store: Store, namespace: Object) -> Object:
    if "deletionTimestamp" in namespace["metadata"]:
        return namespace
    status = {**namespace.get("status", {}), "phase": "Terminating"}
    return store.replace(NAMESPACE, {**changed(namespace, deletionTimestamp=_after(0)), "status": status})
