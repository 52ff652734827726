"""Lists in pages: what follows the first page is as it was when that was asked for."""

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from tests.cluster.fake.kinds import Kind, Object
from tests.cluster.fake.refusals import bad_request, expired
from tests.cluster.fake.selectors import by_fields, by_labels
from tests.cluster.fake.store import Store

_KEPT = 200
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
)


class Pages:
    """The rest of every list that was cut, by the token that continues it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rests: OrderedDict[str, tuple[str, list[Object]]] = OrderedDict()
        self._cuts = 0

    def expire(self) -> None:
        """Every list that was begun can be continued no more, as after a compaction of the real store."""
        self._rests.clear()

    def read(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> Object:
        """The list, or the part of it that was asked for."""
        limit = _limit(query.get("limit", "0"))
        if token := query.get("continue"):
            revision, found = self._rest(token)
        else:
            with self._store.lock:
                revision, found = str(self._store.revision), self._store.all(kind, namespace)
            of_labels = by_labels(query.get("labelSelector", ""))
            of_fields = by_fields(kind, query.get("fieldSelector", ""))
            found = [stored for stored in found if of_labels(stored) and of_fields(stored)]
        metadata: dict[str, Any] = {"resourceVersion": revision}
        if 0 < limit < len(found):
            metadata["continue"] = self._keep(revision, found[limit:])
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        items = found if kind.custom else [_untyped(stored) for stored in found]
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    def _keep(self, revision: str, rest: list[Object]) -> str:
        with self._store.lock:
            self._cuts += 1
            told = {"v": "meta.k8s.io/v1", "rv": int(revision), "start": f"{rest[0]['metadata']['name']} {self._cuts}"}
            token = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
            self._rests[token] = (revision, rest)
            while len(self._rests) > _KEPT:
                self._rests.popitem(last=False)
        return token

    def _rest(self, token: str) -> tuple[str, list[Object]]:
        try:
            json.loads(base64.urlsafe_b64decode(token))
        except ValueError as error:
            raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None
        if token not in self._rests:
            raise expired(_TOO_OLD)
        return self._rests[token]


def _limit(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _untyped(stored: Object) -> Object:
    return {name: value for name, value in stored.items() if name not in ("kind", "apiVersion")}
