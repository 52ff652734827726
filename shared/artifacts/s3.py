"""Artifacts in a bucket: MinIO, S3, or what else speaks its protocol."""

import hashlib
import http.client
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.artifacts.links import S3Links
from shared.artifacts.settings import S3Settings
from shared.domain.artifact import Piece, Upload
from shared.domain.errors import NotFound, Rejected, Unavailable

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3Store

log = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_SECONDS = 30
_AWAY = "the artifact store is away, or refuses us (MINIO_ENDPOINT and its like): try again"


class S3Artifacts:
    """A bucket of artifacts. Nothing connects before the first call."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._links = S3Links(settings)
        self._made: S3Store | None = None

    def digest(self, key: str) -> tuple[int, str]:
        """Size in bytes and SHA-256 in hex of what was stored; NotFound if nothing was."""
        digest, size = hashlib.sha256(), 0
        for piece in self._content(key):
            digest.update(piece)
            size += len(piece)
        return size, digest.hexdigest()

    def join(self, upload: Upload) -> None:
        """Makes one of the parts; NotFound if one is missing, Rejected if they are not what was promised.

        It is one PUT, so a crash in the middle leaves nothing behind: an S3 multipart upload that is not
        completed would stay, unseen and paid for.
        """
        link = self._links.upload(upload.key, Piece(upload.size, upload.sha256), upload.content_type, time.time())
        status = self._put(link.url, {**link.headers, "Content-Length": str(upload.size)}, self._whole(upload))
        if status != http.client.OK:
            log.warning("the artifact store refused the whole of an upload", extra={"facts": {"status": status}})
            raise Unavailable(_AWAY)

    def delete(self, keys: Sequence[str]) -> None:
        """Takes away what is stored under the keys, if anything is."""
        import obstore

        if keys:
            with _translated():
                obstore.delete(self._store, list(keys))

    def tidy(self, age_seconds: float) -> None:
        """Nothing: what is not written whole is not there."""

    def uri(self, key: str) -> str:
        """The lasting name of the artifact."""
        return f"s3://{self._settings.bucket}/{key}"

    @property
    def _store(self) -> "S3Store":
        if self._made is None:
            from obstore.store import S3Store

            asked = self._settings
            self._made = S3Store(
                asked.bucket,
                # Each is said: what is not comes from AWS_… variables, which are meant for somebody else.
                config={
                    "endpoint": asked.endpoint,
                    "aws_endpoint_url_s3": asked.endpoint,
                    "region": asked.region,
                    "virtual_hosted_style_request": False,
                    "skip_signature": False,
                    "s3_express": False,
                },
                credential_provider=self._credentials,
                client_options={"allow_http": True, "connect_timeout": "3s", "timeout": f"{4 * _SECONDS}s"},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=_SECONDS)},
            )
        return self._made

    def _credentials(self) -> "S3Credential":
        return {
            "access_key_id": self._settings.access_key,
            "secret_access_key": self._settings.secret_key,
            "expires_at": None,
        }

    def _content(self, key: str) -> Iterator[bytes]:
        import obstore

        with _translated():
            for piece in obstore.get(self._store, key).stream(min_chunk_size=_CHUNK):
                yield bytes(piece)

    def _whole(self, upload: Upload) -> Iterator[bytes]:
        """The parts one after the other. The last piece is held back until all of them are known to be right."""
        digest, left, held = hashlib.sha256(), upload.size, b""
        for key in upload.part_keys:
            for piece in self._content(key):
                digest.update(piece)
                left -= len(piece)
                if left < 0:
                    break
                yield held
                held = piece
        if left or digest.hexdigest() != upload.sha256:
            raise Rejected("the parts do not have the size and sha256 that were promised: upload them again")
        yield held

    def _put(self, url: str, headers: dict[str, str], content: Iterator[bytes]) -> int:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
        try:
            connection.request("PUT", f"{parts.path}?{parts.query}", content, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            raise Unavailable(_AWAY) from None
        finally:
            connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise NotFound("nothing was uploaded here, or not all of it") from None
    except (BaseError, OSError) as error:
        log.warning("the artifact store does not answer", extra={"facts": {"error": type(error).__name__}})
        raise Unavailable(_AWAY) from None
