"""Links to artifacts: where containers PUT them, and where readers GET them, each good for one thing and some minutes.

Making one asks nobody, so a function that only points to artifacts needs no store.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote, urlencode

from shared.artifacts.settings import S3Settings
from shared.artifacts.signing import Signer
from shared.domain.artifact import LINK_SECONDS, Link, Piece, disposition
from shared.domain.errors import Unauthenticated


class Links(Protocol):
    """Makes links to keys of one store; `now` is the Unix time."""

    def upload(self, key: str, piece: Piece, content_type: str, now: float) -> Link:
        """Where to PUT exactly this piece."""

    def download(self, key: str, name: str, content_type: str, now: float) -> str:
        """Where to GET the artifact, to be saved under `name`."""


def links(s3: S3Settings, callback_url: str, keys: Sequence[str]) -> Links:
    """Links to the S3 store if there is one, else to callback, which keeps files; it signs with the first of `keys`."""
    return S3Links(s3) if s3.endpoint else FileLinks(callback_url, keys)


class S3Links:
    """Presigned URLs."""

    def __init__(self, settings: S3Settings) -> None:
        self._signer = Signer(settings.endpoint, settings.region, settings.access_key, settings.secret_key)
        self._bucket = settings.bucket

    def upload(self, key: str, piece: Piece, content_type: str, now: float) -> Link:
        checksum = b64encode(bytes.fromhex(piece.sha256)).decode()
        told = {"Content-Type": content_type, "x-amz-checksum-sha256": checksum}
        signed = {**told, "Content-Length": str(piece.size)}
        url = self._signer.url("PUT", f"/{self._bucket}/{key}", now, LINK_SECONDS, signed)
        return Link(url, told, int(now) + LINK_SECONDS)

    def download(self, key: str, name: str, content_type: str, now: float) -> str:
        shown = {"response-content-disposition": disposition(name), "response-content-type": content_type}
        return self._signer.url("GET", f"/{self._bucket}/{key}", now, LINK_SECONDS, query=shown)


class FileLinks:
    """URLs of callback with an HMAC of all that they are good for."""

    def __init__(self, base_url: str, keys: Sequence[str]) -> None:
        self._base_url = base_url
        self._keys = [key.encode() for key in keys]

    def upload(self, key: str, piece: Piece, content_type: str, now: float) -> Link:
        expires = int(now) + LINK_SECONDS
        signature = _mac(self._keys[0], "upload", key, piece.size, piece.sha256, content_type, expires)
        query = {"size": piece.size, "sha256": piece.sha256, "expires": expires, "signature": signature}
        return Link(self._url(key, query), {"Content-Type": content_type}, expires)

    def download(self, key: str, name: str, content_type: str, now: float) -> str:
        expires = int(now) + LINK_SECONDS
        signature = _mac(self._keys[0], "download", key, name, content_type, expires)
        return self._url(key, {"expires": expires, "name": name, "type": content_type, "signature": signature})

    def check_upload(self, key: str, piece: Piece, content_type: str, expires: int, signature: str, now: float) -> None:
        """Unauthenticated unless this very upload was promised here, and its link lives."""
        self._check(signature, expires, now, "upload", key, piece.size, piece.sha256, content_type, expires)

    def check_download(self, key: str, name: str, content_type: str, expires: int, signature: str, now: float) -> None:
        """Unauthenticated unless the link was made here and lives."""
        self._check(signature, expires, now, "download", key, name, content_type, expires)

    def _url(self, key: str, query: dict[str, object]) -> str:
        return f"{self._base_url}/v1/artifacts/{key}?{urlencode(query, quote_via=quote)}"

    def _check(self, signature: str, expires: int, now: float, *signed: object) -> None:
        made = [hmac.compare_digest(_mac(key, *signed).encode(), signature.encode()) for key in self._keys]
        if not any(made) or now > expires:
            raise Unauthenticated("this link is not valid, or not any more")


def _mac(key: bytes, *signed: object) -> str:
    text = "".join(f"{len(str(one))}:{one}" for one in ("facteur artifact", *signed))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
