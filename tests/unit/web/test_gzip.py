"""Compressed bodies: inflated within bounds, whole, or refused."""

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Malformed, TooLarge, Unsupported
from shared.web.requests import MAX_BODY, read_body
from tests.unit.web.test_requests import request

TEXT = b"a delivery, compressed on its way " * 20


def read(body: bytes, encoding: str = "gzip", limit: int = MAX_BODY) -> bytes:
    with request(body=body, Content_Encoding=encoding) as asked:
        return read_body(asked, limit)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_compressed_body_is_the_same_body(encoding: str, level: int) -> None:
    assert read(gzip.compress(TEXT, level), encoding) == TEXT


@given(st.binary(max_size=2000))
def test_any_bytes_come_back(body: bytes) -> None:
    assert read(gzip.compress(body)) == body


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_a_body_that_is_not_encoded_is_left_alone(encoding: str) -> None:
    compressed = gzip.compress(TEXT)
    assert read(compressed, encoding) == compressed


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip,identity", "gzip;q=1", "x" * 1000])
def test_another_encoding_is_not_supported(encoding: str) -> None:
    with pytest.raises(Unsupported):
        read(gzip.compress(TEXT), encoding)


def test_what_inflates_to_the_limit_is_read_and_one_byte_more_is_too_large() -> None:
    assert len(read(gzip.compress(bytes(MAX_BODY)))) == MAX_BODY
    with pytest.raises(TooLarge):
        read(gzip.compress(bytes(MAX_BODY + 1)))


def test_a_bomb_is_given_up_at_the_limit_and_costs_little_memory() -> None:
    bomb = gzip.compress(bytes(200 * MAX_BODY))
    assert len(bomb) < MAX_BODY
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BODY


def test_every_truncation_is_refused() -> None:
    whole = gzip.compress(TEXT)
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            read(whole[:end])


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(TEXT, mtime=0) + b"garbage",
        gzip.compress(TEXT, mtime=0) + b"\0",
        gzip.compress(TEXT, mtime=0) + gzip.compress(TEXT, mtime=0),
        gzip.compress(TEXT, mtime=0)[:-8] + b"\0" * 8,
        zlib.compress(TEXT),
        TEXT,
        b"",
        b"\x1f\x8b",
    ],
    ids=["garbage", "padding", "two streams", "wrong checksum", "zlib", "plain", "empty", "header alone"],
)
def test_what_is_not_one_whole_gzip_stream_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_flipped_byte_never_gives_another_body(at: int, flip: int) -> None:
    damaged = bytearray(gzip.compress(TEXT))
    damaged[at % len(damaged)] ^= flip
    with contextlib.suppress(Malformed, TooLarge):
        assert read(bytes(damaged)) == TEXT  # it was in a part of the header that means nothing


def test_a_body_that_was_compressed_twice_is_unpacked_once() -> None:
    once = gzip.compress(TEXT)
    assert read(gzip.compress(once)) == once
