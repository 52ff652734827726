"""callback and codex-intake with one store of artifacts, as deployed, and the steps that a container takes."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from urllib3 import BaseHTTPResponse

from shared.artifacts.files import FileArtifacts
from shared.artifacts.s3 import S3Artifacts
from shared.artifacts.settings import S3Settings
from shared.artifacts.store import store
from shared.local.state import free_port
from shared.settings import load
from tests.component.conftest import Stage, api_tokens
from tests.component.functions import HTTP, Function, await_health, end, settings, start
from tests.contract.artifacts.conftest import S3_NAMES
from tests.contract.artifacts.front import ACCESS_KEY, SECRET_KEY, make_bucket, signed_moto

Run = tuple[UUID, dict[str, str]]
_BUCKET = "artifacts"


@dataclass
class Kit:
    """Both functions, and the store behind them."""

    callback: Function
    intake: Function
    store: FileArtifacts | S3Artifacts
    stage: Stage

    def of(self, run: Run) -> "Container":
        return Container(self.callback, *run)

    def kept(self, run: Run) -> Sequence[Any]:
        """The artifacts of a run."""
        return self.stage.rows(
            "SELECT id, uri, checksum, metadata FROM codex_kb.artifacts WHERE task_run_id = %(task)s", run[0]
        )


@dataclass
class Container:
    """The steps of an upload."""

    callback: Function
    task: UUID
    headers: dict[str, str]

    @property
    def url(self) -> str:
        return f"/v1/codex/tasks/{self.task}/artifacts"

    def begin(self, content: bytes, sent: Sequence[bytes] = (), **changes: Any) -> BaseHTTPResponse:
        body = {"name": "change.patch", **measured(content), "contentType": "text/x-diff"}
        if sent:
            body["parts"] = [measured(part) for part in sent]
        return self.callback.post(self.url, json.dumps(body | changes).encode(), self.headers)

    def promise(self, content: bytes, parts: Sequence[bytes] = (), **changes: Any) -> dict[str, Any]:
        """What is promised of an upload that is taken."""
        answer = self.begin(content, parts, **changes)
        assert answer.status == 201, answer.data
        document: dict[str, Any] = json.loads(answer.data)
        return document

    def commit(self, artifact: str) -> BaseHTTPResponse:
        return self.callback.post(f"{self.url}/{artifact}/commit", b"", self.headers)

    def leave(self, content: bytes, parts: Sequence[bytes] = (), **changes: Any) -> str:
        """The id of an artifact that went all the way."""
        promise = self.promise(content, parts, **changes)
        requests = promise["parts"] if parts else [promise["upload"]]
        for request, part in zip(requests, parts or [content], strict=True):
            assert put(request, part) in (200, 204)
        artifact: str = promise["artifactId"]
        answer = self.commit(artifact)
        assert answer.status == 200, answer.data
        return artifact


def measured(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def put(request: Mapping[str, Any], content: bytes) -> int:
    """The status of what a promise asks for."""
    headers = {**request["headers"], "Connection": "close"}
    return HTTP.request(request["method"], request["url"], body=content, headers=headers).status


@contextmanager
def kit(kind: str, stage: Stage, sink: str, folder: Path) -> Iterator[Kit]:
    if kind == "folder":
        with _running(stage, sink, folder, {}) as made:
            yield made
        return
    if kind == "minio":
        given = {f"MINIO_{name}": os.environ[f"FACTEUR_TEST_S3_{name}"] for name in S3_NAMES}
        with _running(stage, sink, folder, given) as made:
            yield made
        return
    with signed_moto() as endpoint:
        make_bucket(endpoint, _BUCKET)
        with _running(stage, sink, folder, bucket(endpoint)) as made:
            yield made


def bucket(endpoint: str) -> dict[str, str]:
    """The settings of a bucket there."""
    return {
        "MINIO_ENDPOINT": endpoint,
        "MINIO_BUCKET": _BUCKET,
        "MINIO_ACCESS_KEY": ACCESS_KEY,
        "MINIO_SECRET_KEY": SECRET_KEY,
    }


@contextmanager
def _running(stage: Stage, sink: str, folder: Path, more: Mapping[str, str]) -> Iterator[Kit]:
    port = free_port()
    env = settings(stage.dsn, sink, folder) | {"FACTEUR_API_TOKENS": api_tokens(), **more}
    env["FACTEUR_CALLBACK_URL"] = f"http://127.0.0.1:{port}"
    started = start("callback", env, folder / "log", port), start("codex-intake", env, folder / "log")
    try:
        for function in started:
            await_health(function)
        where = None if more else folder / "artifacts"
        yield Kit(*started, store(load(S3Settings, more), where), stage)
    finally:
        for function in started:
            end(function)
