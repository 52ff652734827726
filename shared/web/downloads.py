"""Files as answers: saved, and never shown as a part of our own site."""

from collections.abc import Iterator
from typing import BinaryIO

from flask import Response

from shared.domain.artifact import disposition

_PIECE = 256 * 1024
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
}


def attachment(file: BinaryIO, size: int, name: str, content_type: str) -> Response:
    """The file, to be saved under `name`. It is closed with the answer."""
    response = Response(_pieces(file), content_type=content_type)
    response.call_on_close(file.close)
    response.headers.update({**_HEADERS, "Content-Length": str(size), "Content-Disposition": disposition(name)})
    return response


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
