"""Leaves a file with the task: promise it, upload it, have it verified."""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from shared.runner.client import Client
from shared.runner.errors import Away, RunnerError, Unacceptable

_UPLOAD_TIMEOUT = 120.0


@dataclass(frozen=True)
class Artifact:
    """What is to be left: `name` without any folder, `size` in bytes, `sha256` in hex."""

    source: Path | bytes
    name: str
    size: int
    sha256: str
    content_type: str

    def open(self) -> BinaryIO:
        return _open(self.source, self.name)


def measure(source: str | Path | bytes, name: str | None, content_type: str | None) -> Artifact:
    """Reads the source once, in pieces; RunnerError if it cannot be read or has no name."""
    if not isinstance(source, bytes):
        source = Path(source)
        name = name or source.name
    name = Path(name or "").name[-255:]
    if not name:
        raise RunnerError("an artifact made of bytes needs a name")
    digest, size = hashlib.sha256(), 0
    with _open(source, name) as content:
        while True:
            piece = content.read(1 << 20)
            if not piece:
                break
            digest.update(piece)
            size += len(piece)
    guessed = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Artifact(source, name, size, digest.hexdigest(), guessed)


def leave(client: Client, url: str, artifact: Artifact) -> str:
    """The artifact's id, once the callback has verified size and checksum. Safe to repeat as a whole."""
    asked = {
        "name": artifact.name,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "contentType": artifact.content_type,
    }
    promise = client.json("POST", f"{url}/artifacts", json.dumps(asked).encode())
    artifact_id, upload_url, headers = _promised(promise)
    with artifact.open() as content:
        client.put(upload_url, content, {**headers, "Content-Length": str(artifact.size)}, _UPLOAD_TIMEOUT)
    try:
        client.json("POST", f"{url}/artifacts/{quote(artifact_id, safe='')}/commit", b"{}")
    except Unacceptable:
        raise Away("what arrived is not what was sent, or the file changed meanwhile") from None
    return artifact_id


def _promised(promise: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
    try:
        upload = promise["upload"]
        headers = {str(name): str(value) for name, value in (upload.get("headers") or {}).items()}
        return str(promise["artifactId"]), str(upload["url"]), headers
    except (KeyError, TypeError, AttributeError):
        raise Away("something other than the callback answers at CODEX_CALLBACK_URL") from None


def _open(source: Path | bytes, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except OSError as error:
        raise RunnerError(f"the artifact {name} cannot be read ({error.strerror})") from None
