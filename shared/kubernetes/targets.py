"""The objects that tasks say they will touch, whatever kinds the cluster knows."""

import re
from collections.abc import Sequence

from shared.domain.manifests import Seen
from shared.domain.task import Target
from shared.kubernetes.api_server import ApiServer
from shared.kubernetes.refusals import Refused, UnknownKind

# What callers write becomes a part of paths: nothing in it may mean another path.
_NAMESPACE = re.compile(r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)?")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]{0,251}[A-Za-z0-9])?")
_VERSION = re.compile(r"(?:[a-z0-9](?:[-.a-z0-9]{0,200}[a-z0-9])?/)?v[0-9][a-z0-9]{0,30}")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")


class ClusterTargets:
    """Reads objects by what the cluster itself says of its kinds, which is asked for with the first of them."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def look(self, targets: Sequence[Target]) -> list[Seen]:
        """Each target as it is now, in their order; Unavailable while the API server is."""
        return [self._seen(target) for target in targets]

    def _seen(self, target: Target) -> Seen:
        if not _NAME.fullmatch(target.name) or not _NAMESPACE.fullmatch(target.namespace):
            return Seen(target, None, "it has no name that an object can have")
        if not _VERSION.fullmatch(target.api_version) or not _KIND.fullmatch(target.kind):
            return Seen(target, None, "it has no kind that an object can have")
        try:
            return Seen(target, self._server.read(target.api_version, target.kind, target.namespace, target.name))
        except UnknownKind as unknown:
            return Seen(target, None, str(unknown))
        except Refused as refused:
            return Seen(target, None, f"the dispatcher may not get it: {refused.reason}")
