"""The objects that tasks say they will touch, whatever kinds the cluster knows."""

from collections.abc import Sequence

from shared.domain.manifests import Seen
from shared.domain.task import Target
from shared.kubernetes.api_server import ApiServer
from shared.kubernetes.refusals import Refused, UnknownKind


class ClusterTargets:
    """Reads objects by what the cluster itself says of its kinds, which is asked for with the first of them."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def look(self, targets: Sequence[Target]) -> list[Seen]:
        """Each target as it is now, in their order; Unavailable while the API server is."""
        return [self._seen(target) for target in targets]

    def _seen(self, target: Target) -> Seen:
        if not target.name:
            return Seen(target, None, "it names no object")
        try:
            return Seen(target, self._server.read(target.api_version, target.kind, target.namespace, target.name))
        except UnknownKind as unknown:
            return Seen(target, None, str(unknown))
        except Refused as refused:
            return Seen(target, None, f"the dispatcher may not get it: {refused.reason}")
