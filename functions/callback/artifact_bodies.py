"""What containers say of the files they leave, and what they are answered."""

from typing import Annotated
from uuid import UUID

import msgspec

from shared.domain.artifact import MAX_PART, MAX_PARTS, MAX_SIZE, Link, Piece, Upload

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]{1,127}"  # noqa: S105 - the term of RFC 9110
# It becomes a header of the upload, and of every download.
ContentType = Annotated[str, msgspec.Meta(pattern=rf"^{_TOKEN}/{_TOKEN}(?:; ?{_TOKEN}={_TOKEN})*\Z", max_length=255)]


class PartBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a large file, in the order of the file."""

    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PART)]
    sha256: Sha256


class ArtifactBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of `POST /v1/codex/tasks/{id}/artifacts`: sizes in bytes, SHA-256 in hex."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
    sha256: Sha256
    content_type: ContentType = "application/octet-stream"
    parts: Annotated[list[PartBody], msgspec.Meta(max_length=MAX_PARTS)] = []

    @property
    def whole(self) -> Piece:
        return Piece(self.size, self.sha256)

    @property
    def pieces(self) -> list[Piece]:
        return [Piece(part.size, part.sha256) for part in self.parts]


def promised(artifact: UUID, links: list[Link], parts: list[Piece]) -> dict[str, object]:
    """Where to PUT the file, or each of its parts."""
    if not parts:
        return {"artifactId": artifact, "upload": _request(links[0])}
    offsets = [sum(part.size for part in parts[:number]) for number in range(len(parts))]
    told = [
        {**_request(link), "offset": offset, "size": part.size}
        for link, part, offset in zip(links, parts, offsets, strict=True)
    ]
    return {"artifactId": artifact, "parts": told}


def kept(upload: Upload, uri: str) -> dict[str, object]:
    """The artifact that an upload became."""
    return {"artifactId": upload.id, "size": upload.size, "sha256": upload.sha256, "uri": uri}


def _request(link: Link) -> dict[str, object]:
    return {"method": "PUT", "url": link.url, "headers": link.headers, "expires": link.expires}
