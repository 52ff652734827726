"""Artifacts as files, for the local twin: the same steps as with S3, on a folder.

An upload URL is signed: it names the key, the size, the SHA-256 and the end of its life. Nothing else fits it,
so what a container has uploaded can never be exchanged, not even by itself.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

from shared.domain.errors import Malformed, NotFound, Unauthenticated

_KEY = re.compile(r"[0-9a-f-]{36}/[0-9]{1,6}/[0-9a-f-]{36}")
_PIECE = 256 * 1024


class FileArtifacts:
    """A folder of artifacts whose upload URLs begin with `base_url`."""

    def __init__(self, folder: Path, base_url: str, key: str) -> None:
        self._folder = folder
        self._base_url = base_url
        self._key = key.encode()

    def upload_url(self, key: str, size: int, sha256: str, expires: int) -> str:
        """Where to PUT exactly these `size` bytes (`sha256` in hex), until the Unix time `expires`."""
        signature = self._signature(key, size, sha256, expires)
        query = {"size": size, "sha256": sha256, "expires": expires, "signature": signature}
        return f"{self._base_url}/v1/artifacts/{key}?{urlencode(query)}"

    def check(self, key: str, size: int, sha256: str, expires: int, signature: str, now: float) -> None:
        """Unauthenticated unless the URL was made here and lives."""
        expected = self._signature(key, size, sha256, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode()) or now > expires:
            raise Unauthenticated("this link is not valid, or not any more")

    def save(self, key: str, size: int, sha256: str, stream: BinaryIO) -> None:
        """Stores the promised bytes under the key, once or again; Malformed if the stream brings others."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        digest, written = hashlib.sha256(), 0
        try:
            with unfinished.open("wb") as file:
                for piece in _pieces(stream, size + 1):
                    digest.update(piece)
                    written += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            if (written, digest.hexdigest()) != (size, sha256):
                raise Malformed("these are not the bytes that were promised: size and sha256 must fit")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def digest(self, key: str) -> tuple[int, str]:
        """Size in bytes and SHA-256 in hex of what was stored; NotFound if nothing was."""
        try:
            with self._path(key).open("rb") as file:
                return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise NotFound("nothing was uploaded here") from None

    def uri(self, key: str) -> str:
        """The lasting name of the artifact."""
        return f"file:///artifacts/{key}"

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise NotFound("there is no such artifact")
        return self._folder / key

    def _signature(self, key: str, size: int, sha256: str, expires: int) -> str:
        text = f"facteur upload {key} {size} {sha256} {expires}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _pieces(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    left = limit
    while left and (piece := stream.read(min(_PIECE, left))):
        left -= len(piece)
        yield piece
