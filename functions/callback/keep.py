"""The second use case: a file that a container leaves is promised, uploaded, verified, and then an artifact."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from shared.domain.errors import Rejected
from shared.domain.ids import stable_id
from shared.domain.report import Upload

_UPLOAD_SECONDS = 900


class Uploads(Protocol):
    """Uploads that were promised, and the artifacts they became."""

    def begin_upload(self, task: UUID, attempt: int, upload: Upload) -> None: ...

    def upload(self, task: UUID, upload_id: UUID) -> Upload: ...

    def commit_upload(self, task: UUID, upload: Upload, uri: str) -> None: ...


class Store(Protocol):
    """Where the bytes go."""

    def upload_url(self, key: str, size: int, sha256: str, expires: int) -> str: ...

    def digest(self, key: str) -> tuple[int, str]: ...

    def uri(self, key: str) -> str: ...


class Keep:
    """Artifacts of a run. Every name is derived from what is uploaded, so each step may be repeated."""

    def __init__(self, uploads: Uploads, store: Store, now: Callable[[], float]) -> None:
        self._uploads = uploads
        self._store = store
        self._now = now

    def begin(self, task: UUID, attempt: int, name: str, size: int, sha256: str, content_type: str) -> tuple[UUID, str]:
        """The artifact's id and where to PUT it."""
        artifact = stable_id("artifact", str(task), str(attempt), name, str(size), sha256)
        upload = Upload(artifact, name, size, sha256, content_type, f"{task}/{attempt}/{artifact}")
        self._uploads.begin_upload(task, attempt, upload)
        return artifact, self._store.upload_url(upload.key, size, sha256, int(self._now()) + _UPLOAD_SECONDS)

    def commit(self, task: UUID, artifact: UUID) -> tuple[Upload, str]:
        """The upload and its URI, once what is stored is what was promised; Rejected otherwise."""
        upload = self._uploads.upload(task, artifact)
        if self._store.digest(upload.key) != (upload.size, upload.sha256):
            raise Rejected("what was uploaded does not have the size and sha256 that were promised: upload it again")
        uri = self._store.uri(upload.key)
        self._uploads.commit_upload(task, upload, uri)
        return upload, uri
