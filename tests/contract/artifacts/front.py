"""moto does not look at signatures: this stands before it, and refuses what S3 would refuse."""

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.contract.artifacts.signatures import Refused, Signatures
from tests.serving import serving

ACCESS_KEY, SECRET_KEY, REGION = "the-access-key", "the-secret-key-that-must-never-be-logged", "us-east-1"
_SIGNATURES = Signatures(ACCESS_KEY, SECRET_KEY, REGION)


class Front:
    """A WSGI application before another one."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            url = f"http://{environ['HTTP_HOST']}{environ['RAW_URI']}"
            _check(environ["REQUEST_METHOD"], url, _headers(environ), body)
        except Refused as refused:
            content = f"<Error><Code>{refused.code}</Code></Error>".encode()
            start_response(f"{refused.status} Refused", [("Content-Length", str(len(content)))])
            return [content]
        answer: Iterable[bytes] = self._behind(environ, start_response)
        return answer


@contextmanager
def signed_moto() -> Iterator[str]:
    """The URL of a store in memory."""
    server = make_server(
        "127.0.0.1",
        0,
        Front(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=_Quiet,
    )
    with serving(server) as url:
        yield url


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name is werkzeug's
        """Nothing."""


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    sent = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    more = {"content-type": environ.get("CONTENT_TYPE"), "content-length": environ.get("CONTENT_LENGTH")}
    return sent | {name: value for name, value in more.items() if value}


def _check(method: str, url: str, headers: dict[str, str], body: bytes) -> None:
    if "X-Amz-Signature=" in urlsplit(url).query:
        _SIGNATURES.check_link(method, url, headers)
    else:
        _SIGNATURES.check_header(method, url, headers)
    checksum = headers.get("x-amz-checksum-sha256")
    if checksum and checksum != base64.b64encode(hashlib.sha256(body).digest()).decode():
        raise Refused(400, "XAmzContentChecksumMismatch")


def make_bucket(endpoint: str, bucket: str) -> None:
    """An empty bucket."""
    url = f"{endpoint}/{bucket}"
    answer = urllib3.request("PUT", url, headers=_SIGNATURES.headers("PUT", url), retries=False)
    assert answer.status == 200, answer.data
