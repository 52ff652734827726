"""Reading requests: every input is hostile, and nothing of it is echoed."""

import io
import re
import zlib
from typing import Any, BinaryIO, TypeVar

import msgspec
from flask import Request

from shared.domain.errors import Malformed, TooLarge, Unsupported

MAX_BODY = 1024 * 1024
_DRAINED_PIECES = 64
MAX_DEPTH = 64

# U+0000 cannot be stored. For the schemas of texts; `parse_json` refuses it wherever it stands.
NO_NULL = r"^[^\u0000]*$"

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
# An even number of backslashes before it is text about the escape, and no escape.
_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

AnyShape = TypeVar("AnyShape")


def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The whole body, at most `limit` bytes, counted while reading and inflating; TooLarge beyond that.

    It may come as gzip; Unsupported in any other encoding. Read from the server directly: a chunked body
    above werkzeug's own limit would be cut silently.
    """
    stream = request.environ["wsgi.input"]
    pieces: list[bytes] = []
    size = 0
    announced = request.content_length
    # No read beyond what was announced: each one gives up the interpreter and waits for it again.
    while size <= limit and size != announced and (piece := stream.read(min(65536, limit + 1 - size))):
        pieces.append(piece)
        size += len(piece)
    body = b"".join(pieces)
    # The framework reads the request once more after the handler: give it what is here already.
    request.environ["wsgi.input"] = io.BytesIO(body[:limit])
    if size > limit:
        _drain(stream)
        raise TooLarge(f"the body is larger than {limit} bytes")
    encoding = request.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    return body if encoding in ("", "identity") else _inflated(body, encoding, limit)


def _inflated(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding != "gzip":
        raise Unsupported("the body may be encoded as gzip or not at all")
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # with the header of gzip
    try:
        inflated = inflate.decompress(body, limit + 1)
    except zlib.error:
        raise Malformed("the body is not gzip") from None
    if len(inflated) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    if not inflate.eof or inflate.unused_data:
        raise Malformed("the body is not one whole gzip stream")
    return inflated


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
        value = _decoded(body, shape)
    except msgspec.ValidationError as error:
        raise Malformed(f"the body does not fit: {_field(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if _NULL.search(body):
        raise Malformed("the body holds the character U+0000, which cannot be stored")
    if _depth(body) > MAX_DEPTH:
        raise Malformed(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def _decoded(body: bytes, shape: type[AnyShape]) -> AnyShape:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        if not str(error).startswith("Expected `int`, got `float`"):
            raise
        # In JSON 1.0 is an integer, and some clients write it so.
        return msgspec.convert(_whole(msgspec.json.decode(body)), shape)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_query(request: Request, shape: type[AnyShape]) -> AnyShape:
    """The query as `shape`, whose lists may be given in parts; Malformed says which parameter is wrong."""
    if not request.query_string:
        return shape()
    lists = {field.encode_name for field in msgspec.structs.fields(shape) if field.default_factory is list}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, given in request.args.lists():
        if name not in lists and len(given) > 1:
            raise Malformed("the query holds a parameter twice")
        values[name] = ",".join(given).split(",") if name in lists else given[0]
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed(f"the query does not fit: {_field(error)}") from None


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
    place = text[text.rfind(" - at") :] if " - at" in text else ""
    if text.startswith("Object contains unknown field"):
        return "it has an unknown field" + place
    if text.startswith("Expected `str` matching regex"):
        return "a text is not of the form that it must have" + place
    return text if "'" not in text else "a value is not one of those allowed" + place


def bearer(request: Request) -> str | None:
    """The bearer token of the request, None without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def query_integer(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query string; Malformed outside `low` to `high`."""
    raw: Any = request.args.get(name) if request.query_string else None
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 11 or not low <= int(raw) <= high:
        raise Malformed(f"{name} must be a whole number from {low} to {high}")
    return int(raw)
