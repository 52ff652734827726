"""Tokens of Discord's interactions, for as long as they live. They are secrets, and are kept nowhere else."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.domain.card import Opened
from shared.redis.connection import Connection

_MOST = 1000


class RedisInteractions:
    """Interactions by the task they asked for, until their token ends.

    What is put while Redis is away is kept in this process, the latest thousand of them.
    """

    def __init__(self, connection: Connection, now: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._now = now
        self._lock = threading.Lock()
        self._own: dict[UUID, Opened] = {}

    def put(self, task_id: UUID, opened: Opened) -> None:
        """Keeps the interaction; the same one twice is once, and one whose token has ended is not kept."""
        left = int(1000 * self._left(opened))
        if left <= 0:
            return
        said = json.dumps({**asdict(opened), "created_at": opened.created_at.isoformat()})
        if not self._connection.do(lambda client: bool(client.set(_key(task_id), said, px=left)), False):
            self._keep(task_id, opened)

    def get(self, task_id: UUID) -> Opened | None:
        """The interaction of a task; None if there was none here, or its token has ended."""
        raw = self._connection.do(lambda client: client.get(_key(task_id)), None)
        opened = _read(raw) or self._own.get(task_id)
        return opened if opened and self._left(opened) > 0 else None

    def _keep(self, task_id: UUID, opened: Opened) -> None:
        with self._lock:
            self._own = {task: own for task, own in self._own.items() if self._left(own) > 0}
            if len(self._own) >= _MOST:
                del self._own[next(iter(self._own))]
            self._own[task_id] = opened

    def _left(self, opened: Opened) -> float:
        """The seconds for which the token still lives."""
        return opened.until.timestamp() - self._now()


def _read(raw: Any) -> Opened | None:
    try:
        fields = json.loads(raw or b"null")
        return Opened(**{**fields, "created_at": datetime.fromisoformat(fields["created_at"])}) if fields else None
    except (ValueError, TypeError, KeyError):  # something else stands under this key
        return None


def _key(task_id: UUID) -> str:
    return f"facteur:interaction:{task_id}"
