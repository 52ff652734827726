"""A store of artifacts that is well, and what is found of one that is not."""

import http.server
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate

import pytest

from shared.doctor.checks import Report
from shared.doctor.examination import look
from shared.doctor.looks import Asked
from shared.local.state import free_port
from tests.contract.artifacts.conftest import S3_NAMES
from tests.contract.artifacts.front import ACCESS_KEY, SECRET_KEY, make_bucket, signed_moto
from tests.serving import serving


@dataclass(frozen=True)
class Bucket:
    """A bucket that is there, and the key that may use it."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str = field(repr=False)


@pytest.fixture(scope="module", params=["fake", *(["minio"] if "FACTEUR_TEST_S3_ENDPOINT" in os.environ else [])])
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """On the fake store, and on a real one where the environment names it."""
    if request.param == "minio":
        yield Bucket(*(os.environ[f"FACTEUR_TEST_S3_{name}"] for name in S3_NAMES))
        return
    with signed_moto() as endpoint:
        make_bucket(endpoint, "there")
        yield Bucket(endpoint, "there", ACCESS_KEY, SECRET_KEY)


def examined(bucket: Bucket) -> Report:
    environ = {"MINIO_ENDPOINT": bucket.endpoint, "MINIO_BUCKET": bucket.name}
    environ |= {"MINIO_ACCESS_KEY": bucket.access_key, "MINIO_SECRET_KEY": bucket.secret_key}
    return look(Asked(environ=environ))


def test_a_bucket_that_takes_our_key_is_well(bucket: Bucket) -> None:
    report = examined(bucket)
    assert report.findings == ()
    assert report.exit_code == 0
    assert report.looked >= 4


def test_a_bucket_that_is_not_there_is_found(bucket: Bucket) -> None:
    assert [finding.check for finding in examined(replace(bucket, name="another")).findings] == ["bucket-missing"]


def test_a_key_that_is_refused_is_found_and_not_shown(bucket: Bucket) -> None:
    secret = "a-key-that-must-never-be-told"
    report = examined(replace(bucket, secret_key=secret))
    assert [finding.check for finding in report.findings] == ["bucket-refuses"]
    assert secret not in repr(report)
    assert bucket.access_key not in repr(report)


def test_a_store_that_is_away_is_found() -> None:
    away = Bucket(f"http://127.0.0.1:{free_port()}", "there", ACCESS_KEY, SECRET_KEY)
    assert [finding.check for finding in examined(away).findings] == ["server-away"]


def test_what_is_no_store_is_not_judged_and_its_clock_is() -> None:
    began = time.monotonic()
    with elsewhere(ahead=3600) as endpoint:
        report = examined(Bucket(endpoint, "there", ACCESS_KEY, SECRET_KEY))
    assert [finding.check for finding in report.findings] == ["clocks-apart"]
    told = re.search(r"\b(\d+) s ahead of", report.findings[0].what)
    # Less what the answer took on its way, and a part of a second.
    assert told and 3599 - (time.monotonic() - began) <= int(told[1]) <= 3600
    assert any("not what an S3 store answers" in missed.why for missed in report.not_looked)


@contextmanager
def elsewhere(ahead: float) -> Iterator[str]:
    """A server of another kind, in another time: that of its start, so that no wait makes it be further ahead."""
    date = formatdate(time.time() + ahead, usegmt=True)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url
