"""What was last launched for each user, for a quarter of an hour."""

import json

from shared.domain.session import Session
from shared.redis.connection import Connection

_SECONDS = 900
# As the earlier system wrote them.
_NAMES = {
    "Namespace": "namespace",
    "WorkflowName": "workflow_name",
    "Message": "message",
    "CorrelationID": "correlation_id",
    "TraceID": "trace_id",
}


class RedisSessions:
    """Sessions by user, as the earlier system kept them. While Redis is away, nobody has one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, user: str, session: Session) -> None:
        """The user's session, instead of any earlier one."""
        said = json.dumps({key: getattr(session, name) for key, name in _NAMES.items()})
        self._connection.do(lambda client: client.set(_key(user), said, ex=_SECONDS), None)

    def get(self, user: str) -> Session | None:
        """The user's session; None if there is none, it is older than 15 minutes, or Redis is away."""
        raw: bytes | None = self._connection.do(lambda client: client.get(_key(user)), None)
        try:
            found = json.loads(raw or b"null")
        except ValueError:
            return None
        if not isinstance(found, dict):
            return None
        return Session(**{name: str(found.get(key, "")) for key, name in _NAMES.items()})


def _key(user: str) -> str:
    return f"facteur:dispatch:{user}"
