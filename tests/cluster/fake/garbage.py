"""Plays the garbage collector and the namespace controller: what is owned goes with its owner."""

from collections.abc import Sequence

from tests.cluster.fake.deletion import FOREGROUND, ORPHAN, delete, without_finalizer
from tests.cluster.fake.kinds import KINDS, NAMESPACE, Kind, Object
from tests.cluster.fake.store import Store, changed

_BY_NAME = {(kind.api_version, kind.name): kind for kind in KINDS}
Found = tuple[Kind, Object]


def collect(store: Store) -> None:
    """One step; the caller holds the lock."""
    owned: dict[str, list[Found]] = {}
    for kind, stored in store.everything():
        for owner in stored["metadata"].get("ownerReferences") or []:
            owned.setdefault(owner["uid"], []).append((kind, stored))
    for kind, stored in store.everything():
        if "deletionTimestamp" in stored["metadata"]:
            _continue(store, kind, stored, owned.get(stored["metadata"]["uid"], []))
        _release(store, kind, stored)
    for namespace in store.all(NAMESPACE):
        if "deletionTimestamp" in namespace["metadata"]:
            _empty(store, namespace)


def _continue(store: Store, kind: Kind, stored: Object, dependents: Sequence[Found]) -> None:
    """The next step of a deletion that takes what it owns along, or leaves it behind."""
    uid, finalizers = stored["metadata"]["uid"], stored["metadata"].get("finalizers", [])
    if ORPHAN in finalizers:
        for each, dependent in dependents:
            _disown(store, each, dependent, [uid])
        without_finalizer(store, kind, stored, ORPHAN)
    elif FOREGROUND in finalizers:
        blocking = [(each, dependent) for each, dependent in dependents if _blocks(dependent, uid)]
        for each, dependent in blocking:
            if "deletionTimestamp" not in dependent["metadata"]:
                delete(store, each, dependent, {"propagationPolicy": "Background"})
        if not blocking:
            without_finalizer(store, kind, stored, FOREGROUND)


def _blocks(dependent: Object, uid: str) -> bool:
    owners = dependent["metadata"].get("ownerReferences") or []
    return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)


def _release(store: Store, kind: Kind, stored: Object) -> None:
    """Delete what has lost its last owner; forget those of its owners that are gone."""
    current = store.find(kind, stored["metadata"].get("namespace", ""), stored["metadata"]["name"])
    if current is not stored or "deletionTimestamp" in stored["metadata"]:
        return
    owners = stored["metadata"].get("ownerReferences") or []
    absent = [owner["uid"] for owner in owners if not _exists(store, stored, owner)]
    if absent and len(absent) == len(owners):
        delete(store, kind, stored, {"propagationPolicy": "Background"})
    elif absent:
        _disown(store, kind, stored, absent)


def _exists(store: Store, stored: Object, owner: Object) -> bool:
    kind = _BY_NAME.get((owner["apiVersion"], owner["kind"]))
    if kind is None:  # nobody can say that it is gone
        return True
    found = store.find(kind, stored["metadata"].get("namespace", ""), owner["name"])
    return found is not None and found["metadata"]["uid"] == owner["uid"]


def _disown(store: Store, kind: Kind, dependent: Object, uids: Sequence[str]) -> None:
    current = store.find(kind, dependent["metadata"].get("namespace", ""), dependent["metadata"]["name"])
    if current is None:
        return
    left = [owner for owner in current["metadata"].get("ownerReferences") or [] if owner["uid"] not in uids]
    store.replace(kind, changed(current, ownerReferences=left or None))


def _empty(store: Store, namespace: Object) -> None:
    name = namespace["metadata"]["name"]
    left = [(kind, stored) for kind in KINDS if kind.namespaced for stored in store.all(kind, name)]
    for kind, stored in left:
        if "deletionTimestamp" not in stored["metadata"]:
            delete(store, kind, stored, {"propagationPolicy": "Background"})
    if not left:
        store.drop(NAMESPACE, namespace)
