"""Artifacts as files, for the local twin: the same steps as with S3, on a folder."""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from shared.domain.artifact import Piece, Upload
from shared.domain.errors import Malformed, NotFound, Rejected, Unavailable

# Keys of before 0010_artifacts.sql begin with the task.
_KEY = re.compile(r"(?:tasks/)?[0-9a-f-]{36}/[0-9]{1,6}/[0-9a-f-]{36}(?:\.[0-9]{1,2})?")
_PIECE = 256 * 1024
_AWAY = "the folder of artifacts cannot be used: it is full, or not ours"


class FileArtifacts:
    """A folder of artifacts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, key: str, promised: Piece, stream: BinaryIO) -> None:
        """Stores the promised bytes under the key, once or again; Malformed if the stream brings others."""
        if not self._stored(self._path(key), promised, _pieces(stream, promised.size + 1)):
            raise Malformed("these are not the bytes that were promised: size and sha256 must fit")

    def open(self, key: str) -> tuple[BufferedReader, int]:
        """What is stored under the key, to be closed by the caller, and its size; NotFound if nothing is."""
        try:
            file = self._path(key).open("rb")
        except FileNotFoundError:
            raise NotFound("nothing was uploaded here, or not all of it") from None
        except OSError:
            raise Unavailable(_AWAY) from None
        return file, os.fstat(file.fileno()).st_size

    def digest(self, key: str) -> tuple[int, str]:
        """Size in bytes and SHA-256 in hex of what was stored; NotFound if nothing was."""
        file, size = self.open(key)
        with file:
            return size, hashlib.file_digest(file, "sha256").hexdigest()

    def join(self, upload: Upload) -> None:
        """Makes one of the parts; NotFound if one is missing, Rejected if they are not what was promised."""
        content = (piece for key in upload.part_keys for piece in self._content(key))
        if not self._stored(self._path(upload.key), Piece(upload.size, upload.sha256), content):
            raise Rejected("the parts do not have the size and sha256 that were promised: upload them again")

    def delete(self, keys: Sequence[str]) -> None:
        """Takes away what is stored under the keys, if anything is."""
        for key in keys:
            try:
                self._path(key).unlink(missing_ok=True)
            except OSError:
                raise Unavailable(_AWAY) from None

    def tidy(self, age_seconds: float) -> None:
        """Takes away what was being written that long ago, by a process that is gone."""
        for path in self._folder.glob("tasks/*/*/.*"):
            try:
                if path.stat().st_mtime < time.time() - age_seconds:
                    path.unlink()
            except FileNotFoundError:
                continue

    def uri(self, key: str) -> str:
        """The lasting name of the artifact."""
        return f"file:///artifacts/{key}"

    def _stored(self, path: Path, promised: Piece, content: Iterable[bytes]) -> bool:
        """Whether the content is what was promised; then, and only then, it is there afterwards."""
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        digest, written = hashlib.sha256(), 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                for piece in content:
                    digest.update(piece)
                    written += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            fits = (written, digest.hexdigest()) == (promised.size, promised.sha256)
            if fits:
                unfinished.replace(path)
            return fits
        except OSError:
            raise Unavailable(_AWAY) from None
        finally:
            unfinished.unlink(missing_ok=True)

    def _content(self, key: str) -> Iterator[bytes]:
        file, size = self.open(key)
        with file:
            yield from _pieces(file, size)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise NotFound("there is no such artifact")
        return self._folder / key


def _pieces(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    left = limit
    while left and (piece := stream.read(min(_PIECE, left))):
        left -= len(piece)
        yield piece
