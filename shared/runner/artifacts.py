"""Leaves a file with the task: promise it, upload it, have it verified. A large file goes in parts."""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from shared.runner.client import Client
from shared.runner.errors import Away, Fenced, Refused, RunnerError, Unacceptable

PART = 64 * 1024 * 1024
MAX_PARTS = 16
_READ = 1 << 20
_UPLOAD_TIMEOUT = 120.0
_COMMIT_TIMEOUT = 120.0
# A link that is slower than this is given up.
_LEAST_BYTES_PER_SECOND = 256 * 1024


@dataclass(frozen=True)
class Part:
    """Some bytes of a file: `sha256` in hex."""

    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """What is to be left: `name` without any folder, `size` in bytes, `sha256` in hex; one part or more."""

    source: Path | bytes
    name: str
    size: int
    sha256: str
    content_type: str
    parts: tuple[Part, ...]

    def content(self, part: Part) -> Iterator[bytes]:
        """The bytes of a part, as they are now."""
        with _open(self.source, self.name) as file:
            file.seek(part.offset)
            left = part.size
            while left:
                piece = file.read(min(_READ, left))
                if not piece:
                    raise Away("the file became shorter while it was uploaded")
                left -= len(piece)
                yield piece

    @property
    def patience(self) -> float:
        """How many seconds more than a small one it may take."""
        return self.size / _LEAST_BYTES_PER_SECOND


@dataclass(frozen=True)
class _Request:
    """How one part is to be sent."""

    url: str
    headers: Mapping[str, str]


def measure(source: str | Path | bytes, name: str | None, content_type: str | None, part: int = PART) -> Artifact:
    """Reads the source once, in pieces; RunnerError if it cannot be read, has no name or is too large."""
    if not isinstance(source, bytes):
        source = Path(source)
        name = name or source.name
    name = Path(name or "").name[-255:]
    if not name:
        raise RunnerError("an artifact made of bytes needs a name")
    whole = hashlib.sha256()
    parts: list[Part] = []
    with _open(source, name) as content:
        while not parts or parts[-1].size == part:
            if len(parts) == MAX_PARTS and content.read(1):
                raise RunnerError(f"an artifact holds at most {MAX_PARTS * part} bytes: split {name}, or leave it out")
            parts.append(_measured(content, part * len(parts), part, whole))
    if len(parts) > 1 and not parts[-1].size:
        parts.pop()
    size = parts[-1].offset + parts[-1].size
    guessed = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Artifact(source, name, size, whole.hexdigest(), guessed, tuple(parts))


def _measured(content: BinaryIO, offset: int, limit: int, whole: Any) -> Part:
    digest, size = hashlib.sha256(), 0
    while size < limit:
        piece = content.read(min(_READ, limit - size))
        if not piece:
            break
        digest.update(piece)
        whole.update(piece)
        size += len(piece)
    return Part(offset, size, digest.hexdigest())


class Leaving:
    """Called again after Away it goes on where it was: what has arrived is not sent twice."""

    def __init__(self, client: Client, url: str, artifact: Artifact) -> None:
        self._client = client
        self._url = f"{url}/artifacts"
        self._artifact = artifact
        self._id = ""
        self._sent: set[Part] = set()

    def __call__(self) -> str:
        """The artifact's id, once the callback has verified size and checksum."""
        promise = self._client.json("POST", self._url, json.dumps(self._asked()).encode())
        artifact_id, requests = _promised(promise, len(self._artifact.parts))
        if artifact_id != self._id:
            self._id = artifact_id
            self._sent.clear()
        for number, part in enumerate(self._artifact.parts):
            if part not in self._sent:
                self._send(part, requests[number])
                self._sent.add(part)
        commit = f"{self._url}/{quote(artifact_id, safe='')}/commit"
        try:
            self._client.json("POST", commit, b"{}", timeout=_COMMIT_TIMEOUT)
        except (Away, Unacceptable) as error:
            # What is there may be gone, or something else.
            self._sent.clear()
            if isinstance(error, Away):
                raise
            raise Away("what arrived is not what was sent, or the file changed meanwhile") from None
        return artifact_id

    def _asked(self) -> dict[str, Any]:
        artifact = self._artifact
        asked: dict[str, Any] = {
            "name": artifact.name,
            "size": artifact.size,
            "sha256": artifact.sha256,
            "contentType": artifact.content_type,
        }
        if len(artifact.parts) > 1:
            asked["parts"] = [{"size": part.size, "sha256": part.sha256} for part in artifact.parts]
        return asked

    def _send(self, part: Part, request: _Request) -> None:
        headers = {**request.headers, "Content-Length": str(part.size)}
        timeout = _UPLOAD_TIMEOUT + part.size / _LEAST_BYTES_PER_SECOND
        try:
            self._client.put(request.url, self._artifact.content(part), headers, timeout)
        except (Refused, Fenced):
            raise Away("the link for the upload is not accepted, or not any more") from None
        except Unacceptable:
            raise Away("what arrived is not what was promised, or the file changed meanwhile") from None


def _promised(promise: Mapping[str, Any], parts: int) -> tuple[str, list[_Request]]:
    try:
        told = promise["parts"] if parts > 1 else [promise["upload"]]
        requests = [_Request(str(one["url"]), _headers(one.get("headers") or {})) for one in told]
        if len(requests) == parts:
            return str(promise["artifactId"]), requests
    except (KeyError, TypeError, AttributeError):
        pass
    raise Away("something other than the callback answers at CODEX_CALLBACK_URL")


def _headers(told: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in told.items()}


def _open(source: Path | bytes, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except OSError as error:
        raise RunnerError(f"the artifact {name} cannot be read ({error.strerror})") from None
