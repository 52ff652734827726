"""The second use case: a file that a container leaves is promised, uploaded, verified, and then an artifact."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from shared.domain.artifact import MAX_PART, Link, Piece, Upload, bare_name, key
from shared.domain.errors import NotFound, Rejected
from shared.domain.ids import stable_id


class Uploads(Protocol):
    """Uploads that were promised, and the artifacts they became."""

    def begin_upload(self, task: UUID, attempt: int, upload: Upload) -> Upload: ...

    def upload(self, task: UUID, attempt: int, upload_id: UUID) -> Upload: ...

    def commit_upload(self, task: UUID, upload: Upload, uri: str) -> None: ...


class Store(Protocol):
    """Where the bytes go."""

    def digest(self, key: str) -> tuple[int, str]: ...

    def join(self, upload: Upload) -> None: ...

    def delete(self, keys: Sequence[str]) -> None: ...

    def uri(self, key: str) -> str: ...


class Links(Protocol):
    """Where a container sends them."""

    def upload(self, key: str, piece: Piece, content_type: str, now: float) -> Link: ...


class Keep:
    """Artifacts of a run. Every key is derived from what is uploaded, so each step may be repeated."""

    def __init__(self, uploads: Uploads, store: Store, links: Links, now: Callable[[], float]) -> None:
        self._uploads = uploads
        self._store = store
        self._links = links
        self._now = now

    def begin(
        self, task: UUID, attempt: int, name: str, whole: Piece, content_type: str, parts: Sequence[Piece]
    ) -> tuple[UUID, list[Link]]:
        """The artifact's id, and where to PUT each part, or the whole if there are none."""
        if parts and sum(part.size for part in parts) != whole.size:
            raise Rejected("the sizes of the parts do not add up to the size of the file")
        if not parts and whole.size > MAX_PART:
            raise Rejected(f"a file of more than {MAX_PART} bytes is sent in parts: say size and sha256 of each")
        bare = bare_name(name)
        told = (str(task), str(attempt), bare, str(whole.size), whole.sha256, *([str(len(parts))] if parts else []))
        artifact = stable_id("artifact", *told)
        wanted = Upload(
            artifact, bare, whole.size, whole.sha256, content_type, key(task, attempt, artifact), len(parts)
        )
        upload = self._uploads.begin_upload(task, attempt, wanted)
        pieces = zip(upload.part_keys, parts, strict=True) if parts else [(upload.key, whole)]
        now = self._now()
        return artifact, [self._links.upload(where, piece, upload.content_type, now) for where, piece in pieces]

    def commit(self, task: UUID, attempt: int, artifact: UUID) -> tuple[Upload, str]:
        """The upload and its URI, once what is stored is what was promised; Rejected otherwise."""
        upload = self._uploads.upload(task, attempt, artifact)
        if upload.parts and not self._is_whole(upload):
            self._store.join(upload)
        elif not upload.parts and self._store.digest(upload.key) != (upload.size, upload.sha256):
            raise Rejected("what was uploaded does not have the size and sha256 that were promised: upload it again")
        uri = self._store.uri(upload.key)
        self._uploads.commit_upload(task, upload, uri)
        self._store.delete(upload.part_keys)
        return upload, uri

    def _is_whole(self, upload: Upload) -> bool:
        """Whether its parts were put together before."""
        try:
            return self._store.digest(upload.key) == (upload.size, upload.sha256)
        except NotFound:
            return False
