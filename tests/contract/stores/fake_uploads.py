"""Uploads in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from shared.domain.artifact import Upload
from shared.domain.errors import Conflict, NotFound, Unauthenticated
from shared.domain.task_token import GRACE_SECONDS, REFUSED
from tests.contract.stores.fakes import Kept, Promise, World


@dataclass
class FakeUploads:
    world: World

    def begin_upload(self, task: UUID, attempt: int, upload: Upload) -> Upload:
        kept = self.world.of_attempt(task, attempt)
        _check_grace(kept)
        if kept.run.status.final:
            raise Conflict("the run has ended: nothing more is kept")
        promise = kept.uploads.setdefault(upload.id, Promise(attempt, upload, None))
        promise.open_since = time.monotonic()
        return replace(upload, content_type=promise.upload.content_type, key=promise.upload.key)

    def upload(self, task: UUID, attempt: int, upload_id: UUID) -> Upload:
        kept = self.world.of_attempt(task, attempt)
        _check_grace(kept)
        promise = kept.uploads.get(upload_id)
        if promise is None or promise.attempt != attempt:
            raise NotFound("there is no such artifact")
        if promise.open_since is not None:
            promise.open_since = time.monotonic()
        return promise.upload

    def commit_upload(self, task: UUID, upload: Upload, uri: str) -> None:
        kept = self.world.tasks[task]
        if upload.id not in kept.uploads:
            raise NotFound("there is no such artifact")
        kept.artifacts.setdefault(upload.id, uri)
        kept.uploads[upload.id].open_since = time.monotonic() if upload.parts else None

    def collect(self, age_seconds: float, clear: Callable[[Upload, bool], None]) -> bool:
        before = time.monotonic() - age_seconds
        for kept in self.world.tasks.values():
            for promise in kept.uploads.values():
                if promise.open_since is not None and promise.open_since < before:
                    _collect(kept, promise, clear)
                    return True
        return False


def _collect(kept: Kept, promise: Promise, clear: Callable[[Upload, bool], None]) -> None:
    is_kept = promise.upload.id in kept.artifacts
    clear(promise.upload, is_kept)
    promise.open_since = None
    if not is_kept:
        del kept.uploads[promise.upload.id]


def _check_grace(kept: Kept) -> None:
    if kept.ended_at is not None and kept.ended_at < time.monotonic() - GRACE_SECONDS:
        raise Unauthenticated(REFUSED)
