"""What can be done with stored objects: create, update, patch and delete them, as the API server does it."""

import secrets
from uuid import uuid4

from tests.cluster.fake.defaults import admitted, with_defaults
from tests.cluster.fake.deletion import delete
from tests.cluster.fake.kinds import ACCOUNT, CONFIG_MAP, NAMESPACE, POD, Kind, Object
from tests.cluster.fake.merging import merge, without_nulls
from tests.cluster.fake.refusals import (
    MODIFIED,
    Mistake,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from tests.cluster.fake.shapes import check_types
from tests.cluster.fake.store import Store, now
from tests.cluster.fake.validation import validate

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_OWN_METADATA = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "selfLink")
_KEPT_METADATA = (
    *("name", "namespace", "generation"),
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
)
_IN_NAMESPACES = ((ACCOUNT, "default"), (CONFIG_MAP, "kube-root-ca.crt"))


def suffix() -> str:
    """Five letters that make a generated name unique."""
    return "".join(secrets.choice(_LETTERS) for _ in range(5))


class Objects:
    """Every method is one transaction; bodies are of the kind that is named."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        stored = self._store.find(kind, namespace, name)
        if stored is None:
            raise not_found(kind, name)
        return stored

    def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Store the object under a uid of its own."""
        body = body if kind.custom else without_nulls(body)
        check_types(kind, body)
        sent = {name: value for name, value in (body.get("metadata") or {}).items() if name not in _OWN_METADATA}
        if sent.get("namespace", namespace) != namespace and kind.namespaced:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if not sent.get("name"):
            if not sent.get("generateName"):
                raise invalid(kind, "", [Mistake.required("metadata.name", "name or generateName is required")])
            sent["name"] = sent["generateName"][:58] + suffix()
        where = {"namespace": namespace} if kind.namespaced else {}
        metadata = {**sent, **where, "uid": str(uuid4()), "creationTimestamp": now()}
        if kind.has_status:
            body = {name: value for name, value in body.items() if name != "status"}
        new = with_defaults(kind, {**body, "metadata": metadata})
        with self._store.lock:
            self._check_namespace(kind, namespace, metadata["name"])
            validate(kind, new)
            if kind is POD:
                new = self._admit(new)
            if self._store.find(kind, namespace, metadata["name"]):
                raise already_exists(kind, metadata["name"])
            stored = self._store.add(kind, new)
            if kind is NAMESPACE:
                self._furnish(metadata["name"])
        return stored

    def update(self, kind: Kind, namespace: str, name: str, body: Object, subresource: str = "") -> Object:
        """Put the object in the place of the one that is stored."""
        body = body if kind.custom else without_nulls(body)
        with self._store.lock:
            old = self.get(kind, namespace, name)
            metadata = body.get("metadata") or {}
            if metadata.get("name", name) != name:
                told = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
                raise bad_request(told)
            if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                both = f"UID in precondition: {metadata['uid']}, UID in object meta: {old['metadata']['uid']}"
                raise conflict(kind, name, f"Precondition failed: {both}")
            if kind.custom and not metadata.get("resourceVersion"):
                mistake = Mistake.value("metadata.resourceVersion", 0, "must be specified for an update")
                raise invalid(kind, name, [mistake])
            return self._change(kind, old, body, subresource)

    def patch(self, kind: Kind, namespace: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Apply a merge patch. The resourceVersion in it is a precondition; a uid may only be the one there is."""
        with self._store.lock:
            old = self.get(kind, namespace, name)
            return self._change(kind, old, merge(old, patch), subresource)

    def delete(self, kind: Kind, namespace: str, name: str, options: Object | None) -> Object:
        """What is left of the object, or a Status of success."""
        with self._store.lock:
            left, gone = delete(self._store, kind, self.get(kind, namespace, name), options)
        if not gone or kind in (POD, ACCOUNT):
            return left
        group = {"group": kind.group} if kind.group else {}
        details = {"name": name, **group, "kind": kind.plural, "uid": left["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def bind(self, namespace: str, name: str, body: Object) -> Object:
        """Assign the pod to a node."""
        with self._store.lock:
            pod = self.get(POD, namespace, name)
            if node := pod["spec"].get("nodeName"):
                raise conflict(POD, name, f'pod {name} is already assigned to node "{node}"')
            node = (body.get("target") or {}).get("name", "")
            scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
            status = {**pod["status"], "conditions": [scheduled]}
            self._store.replace(POD, {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status})
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _change(self, kind: Kind, old: Object, body: Object, subresource: str) -> Object:
        check_types(kind, body)
        found, metadata = old["metadata"], dict(body.get("metadata") or {})
        if metadata.get("resourceVersion", found["resourceVersion"]) != found["resourceVersion"]:
            raise conflict(kind, found["name"], MODIFIED)
        if metadata.get("namespace", found.get("namespace")) != found.get("namespace"):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        for field in _KEPT_METADATA:
            metadata.pop(field, None)
        metadata = {"uid": found["uid"], **metadata, "resourceVersion": found["resourceVersion"]}
        metadata |= {field: found[field] for field in _KEPT_METADATA if field in found}
        new = {**body, "metadata": metadata, "kind": kind.name, "apiVersion": kind.api_version}
        if subresource:
            new = {**old, "status": body.get("status") or {}, "metadata": {**found, "uid": metadata["uid"]}}
        elif kind.has_status:
            new["status"] = old.get("status", {})
        new = with_defaults(kind, new)
        validate(kind, new, old)
        return self._store.replace(kind, new)

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        found = self._store.find(NAMESPACE, "", namespace)
        if found is None:
            raise not_found(NAMESPACE, namespace)
        if "deletionTimestamp" in found["metadata"]:
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind, name, why, [{**cause, "field": "metadata.namespace"}])

    def _admit(self, pod: Object) -> Object:
        complete = admitted(pod, suffix())
        namespace, account = pod["metadata"]["namespace"], complete["spec"]["serviceAccountName"]
        if self._store.find(ACCOUNT, namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise forbidden(POD, pod["metadata"]["name"], why)
        return complete

    def _furnish(self, namespace: str) -> None:
        for kind, name in _IN_NAMESPACES:
            new = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": {"name": name}}
            self.create(kind, namespace, new)
