"""Reading requests: every input is hostile, and nothing of it is echoed."""

import io
import re
from typing import Any, BinaryIO, TypeVar

import msgspec
from flask import Request

from shared.domain.errors import Malformed, TooLarge

MAX_BODY = 1024 * 1024
_DRAINED_PIECES = 64
MAX_DEPTH = 64

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
# An even number of backslashes before it is text about the escape, and no escape.
_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

AnyShape = TypeVar("AnyShape")


def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The whole body, at most `limit` bytes, counted while reading; TooLarge beyond that.

    Read from the server directly: a chunked body above werkzeug's own limit would be cut silently.
    """
    stream = request.environ["wsgi.input"]
    pieces: list[bytes] = []
    size = 0
    while size <= limit and (piece := stream.read(min(65536, limit + 1 - size))):
        pieces.append(piece)
        size += len(piece)
    body = b"".join(pieces)
    # The framework reads the request once more after the handler: give it what is here already.
    request.environ["wsgi.input"] = io.BytesIO(body[:limit])
    if size > limit:
        _drain(stream)
        raise TooLarge(f"the body is larger than {limit} bytes")
    return body


def _drain(stream: BinaryIO) -> None:
    """Reads on for a while: closing on a client that is still sending would lose it the answer."""
    for _ in range(_DRAINED_PIECES):
        if not stream.read(65536):
            return


def body_stream(request: Request) -> BinaryIO:
    """The body to be read piece by piece, by a handler that bounds it itself."""
    stream: BinaryIO = request.environ["wsgi.input"]
    request.environ["wsgi.input"] = io.BytesIO()
    return stream


def parse_json(body: bytes, shape: type[AnyShape]) -> AnyShape:
    """The body as `shape`; Malformed says which field is wrong, and never what was in it."""
    try:
        value = msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Malformed(f"the body does not fit: {_field(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if _NULL.search(body):
        raise Malformed("the body holds the character U+0000, which cannot be stored")
    if _depth(body) > MAX_DEPTH:
        raise Malformed(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def _depth(body: bytes) -> int:
    """How deep valid JSON is nested."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NO_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _field(error: msgspec.ValidationError) -> str:
    # msgspec quotes unknown field names and bad enum values; those are input.
    text = str(error)
    if text.startswith("Object contains unknown field"):
        return "it has an unknown field" + (text[text.index(" - at") :] if " - at" in text else "")
    return text if "'" not in text else "a value is not one of those allowed" + text[text.rfind(" - at") :]


def bearer(request: Request) -> str | None:
    """The bearer token of the request, None without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def query_integer(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query string; Malformed outside `low` to `high`."""
    raw: Any = request.args.get(name)
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 11 or not low <= int(raw) <= high:
        raise Malformed(f"{name} must be a whole number from {low} to {high}")
    return int(raw)
