"""The objects of the fake API server: one revision counter, and what every change has in common."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.cluster.fake.kinds import KINDS, Kind, Object

Key = tuple[str, str]
NOT_SPECIFIED = ("metadata", "status", "apiVersion", "kind")


def now() -> str:
    """This second, as objects tell times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(told: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(told)).total_seconds()


def key_of(stored: Object) -> Key:
    return stored["metadata"].get("namespace", ""), stored["metadata"]["name"]


def changed(stored: Object, **fields: Any) -> Object:
    """A copy with other metadata; None takes a field away, and so does an empty list of finalizers."""
    metadata = {**stored["metadata"], **fields}
    gone = [name for name, value in metadata.items() if value is None or (name == "finalizers" and not value)]
    return {**stored, "metadata": {name: value for name, value in metadata.items() if name not in gone}}


class Store:
    """Everything that is stored. What was handed out is never changed afterwards, only replaced: it needs no copy.

    Whoever reads in order to write holds `lock`.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.touched = threading.Event()
        self.revision = 1
        self._objects: dict[Kind, dict[Key, Object]] = {kind: {} for kind in KINDS}

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects[kind].get((namespace if kind.namespaced else "", name))

    def all(self, kind: Kind, namespace: str = "") -> list[Object]:
        """In the order of namespace and name; of every namespace if none is given."""
        with self.lock:
            found = sorted(self._objects[kind].items())
        return [stored for (where, _), stored in found if not namespace or where == namespace]

    def everything(self) -> Iterator[tuple[Kind, Object]]:
        for kind, stored in self._objects.items():
            for each in [*stored.values()]:
                yield kind, each

    def add(self, kind: Kind, new: Object) -> Object:
        """Store what has a name, and a uid if it needed one before."""
        metadata = {"uid": str(uuid4()), "creationTimestamp": now(), **new["metadata"]}
        if kind.counts_generations:
            metadata["generation"] = 1
        return self._write(kind, {**new, "metadata": metadata})

    def replace(self, kind: Kind, new: Object) -> Object:
        """Store the new state unless it is the old one; what was only waiting for this to be gone is gone."""
        old = self._objects[kind][key_of(new)]
        if {**new, "metadata": {**new["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]}} == old:
            return old
        metadata = new["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and _graceless(kind, new):
            self.drop(kind, new)
            return new
        if kind.counts_generations and _specified(old) != _specified(new):
            new = changed(new, generation=old["metadata"]["generation"] + 1)
        return self._write(kind, new)

    def drop(self, kind: Kind, stored: Object) -> None:
        self._objects[kind].pop(key_of(stored), None)
        self.revision += 1
        self.touched.set()

    def _write(self, kind: Kind, new: Object) -> Object:
        self.revision += 1
        stored = changed(new, resourceVersion=str(self.revision))
        self._objects[kind][key_of(stored)] = stored
        self.touched.set()
        return stored


def _graceless(kind: Kind, stored: Object) -> bool:
    return kind.name != "Namespace" and not stored["metadata"].get("deletionGracePeriodSeconds")


def _specified(stored: Object) -> Object:
    """What a generation counts: the specification, and for kinds without a status of its own all but metadata."""
    deleting = stored["metadata"].get("deletionTimestamp")
    if stored["kind"] in ("Workflow", "WorkflowTemplate"):
        return {name: stored[name] for name in stored if name != "metadata"} | {"deleting": deleting}
    told = {name: stored[name] for name in stored if name not in NOT_SPECIFIED}
    if stored["kind"] == "Pod":  # to be bound to a node changes nothing
        told["spec"] = {**told["spec"], "nodeName": None}
    return told | {"deleting": deleting}
