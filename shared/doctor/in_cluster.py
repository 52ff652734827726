"""Lists what checks of a cluster need, all kinds at once."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from shared.doctor.access import Account, needed
from shared.doctor.at_once import begin
from shared.doctor.checks import NotLooked, Unseen
from shared.doctor.cluster import COLLECTIONS, Cluster
from shared.doctor.deployed import Deployed, deployed
from shared.domain.cluster import Objects, Right, Unlisted
from shared.domain.errors import Unavailable


class Asks(Protocol):
    """An API server, as this needs it; Unavailable where it gives no answer."""

    def objects(self, path: str) -> Objects: ...

    def allowed(self, account: str, rights: Sequence[Right]) -> Sequence[bool] | Unlisted: ...


def look_at_cluster(api: Asks, namespace: str, now: float) -> dict[str, object]:
    """The parts `cluster`, `deployed` and `rights`."""
    begun = begin({kind: partial(_listed, api, path.format(namespace)) for kind, path in COLLECTIONS.items()})
    cluster = Cluster(namespace, now, {kind: future.result() for kind, future in begun.items()})
    found = deployed(cluster)
    if isinstance(found, Unlisted):
        unseen = Unseen(f"settings in the cluster: {found}", wanted=True)
        return {"cluster": cluster, "deployed": unseen, "rights": unseen}
    return {"cluster": cluster, "deployed": found, "rights": _rights(api, cluster, found)}


def _listed(api: Asks, path: str) -> Objects:
    """What is listed; one kind that gets no answer hides no other."""
    try:
        return api.objects(path)
    except Unavailable:
        return Unlisted.UNANSWERED


def _rights(api: Asks, cluster: Cluster, found: Deployed) -> dict[Account, list[tuple[Right, bool]]] | Unseen:
    try:
        wanted = needed(cluster, found)
    except NotLooked as why:
        return Unseen(str(why), wanted=True)
    begun = begin({account: partial(_allowed, api, account, rights) for account, rights in wanted.items()})
    rights: dict[Account, list[tuple[Right, bool]]] = {}
    for account, future in begun.items():
        answer = future.result()
        if isinstance(answer, Unlisted):
            return Unseen(f"SubjectAccessReview: {answer}", wanted=True)
        rights[account] = list(zip(wanted[account], answer, strict=True))
    return rights


def _allowed(api: Asks, account: Account, rights: Sequence[Right]) -> Sequence[bool] | Unlisted:
    try:
        return api.allowed(account, rights)
    except Unavailable:
        return Unlisted.UNANSWERED
