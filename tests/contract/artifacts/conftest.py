"""Every store of artifacts with its links: a folder behind callback, a fake S3, and a real one if there is one."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
import urllib3

import functions.callback.keep
import functions.callback.sweep
from shared.artifacts.files import FileArtifacts
from shared.artifacts.links import FileLinks, Links, S3Links
from shared.artifacts.s3 import S3Artifacts
from shared.artifacts.settings import S3Settings
from shared.domain.artifact import Link, Piece, Upload, key
from shared.local.state import free_port
from tests.component.functions import TOKEN_SECRET, await_health, end, settings, start
from tests.contract.artifacts.front import ACCESS_KEY, SECRET_KEY, make_bucket, signed_moto

_HTTP = urllib3.PoolManager(retries=False, timeout=30)
MINIO = ["minio"] if "FACTEUR_TEST_S3_ENDPOINT" in os.environ else []
S3_NAMES = ("ENDPOINT", "BUCKET", "ACCESS_KEY", "SECRET_KEY")
STORES = ["files", "fake", *MINIO]


class Store(functions.callback.keep.Store, functions.callback.sweep.Store, Protocol):
    """All that callback asks of a store."""


@dataclass
class Place:
    """A store, and who makes links to it."""

    store: Store
    links: Links

    def put(self, link: Link, content: bytes, headers: Mapping[str, str] | None = None) -> int:
        """The status of an upload, with the headers of the link unless others are given."""
        sent = {**(link.headers if headers is None else headers), "Connection": "close"}
        return _HTTP.request("PUT", link.url, body=content, headers=sent).status

    def get(self, url: str) -> urllib3.BaseHTTPResponse:
        return _HTTP.request("GET", url, headers={"Connection": "close"})


def piece(content: bytes) -> Piece:
    return Piece(len(content), hashlib.sha256(content).hexdigest())


def upload(content: bytes, parts: int = 0) -> Upload:
    """An upload that was promised, under a key of its own."""
    artifact, whole = uuid4(), piece(content)
    return Upload(artifact, "a.txt", whole.size, whole.sha256, "text/plain", key(uuid4(), 1, artifact), parts)


@pytest.fixture(scope="module", params=STORES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = {"files": lambda: _files(tmp_path_factory.mktemp("artifacts")), "fake": _fake, "minio": _minio}
    with made[request.param]() as place:
        yield place


@contextmanager
def _files(folder: Path) -> Iterator[Place]:
    """Through the routes of callback, which needs no database for them."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    away = settings("postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1", folder)
    function = start("callback", {**away, "FACTEUR_CALLBACK_URL": url}, folder / "log", port)
    try:
        await_health(function)
        yield Place(FileArtifacts(folder / "artifacts"), FileLinks(url, [TOKEN_SECRET]))
    finally:
        end(function)


@contextmanager
def _fake() -> Iterator[Place]:
    with signed_moto() as endpoint:
        make_bucket(endpoint, "artifacts")
        yield _bucket(endpoint, "artifacts", ACCESS_KEY, SECRET_KEY)


@contextmanager
def _minio() -> Iterator[Place]:
    yield _bucket(*(os.environ[f"FACTEUR_TEST_S3_{name}"] for name in S3_NAMES))


def _bucket(endpoint: str, bucket: str, access_key: str, secret_key: str) -> Place:
    settings = S3Settings(server=endpoint, bucket=bucket, access_key=access_key, secret_key=secret_key)
    return Place(S3Artifacts(settings), S3Links(settings))
