"""What S3 looks at before it does anything, said by botocore: who signed a request, for what, and for how long."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

_FORM = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=\S+?, ?SignedHeaders=(\S+?), ?Signature=(\w+)")


class Refused(Exception):
    """The store's answer to a request that it does not take."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Signatures:
    """Those of one key. Names of headers are in lower case."""

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._credentials = Credentials(access_key, secret_key)
        self._region = region

    def check_link(self, method: str, url: str, headers: Mapping[str, str], now: datetime | None = None) -> None:
        """Refused unless a presigned URL is good for the request, now."""
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        made = datetime.strptime(query["X-Amz-Date"], _FORM).replace(tzinfo=UTC)
        if (now or datetime.now(UTC)) > made + timedelta(seconds=int(query["X-Amz-Expires"])):
            raise Refused(403, "AccessDenied")
        names = query["X-Amz-SignedHeaders"].split(";")
        if [name for name in headers if name.startswith("x-amz-") and name not in names]:
            raise Refused(403, "AccessDenied")
        signer = S3SigV4QueryAuth(self._credentials, "s3", self._region, int(query["X-Amz-Expires"]))
        request = AWSRequest(method, re.sub(r"&?X-Amz-Signature=[^&]*", "", url), _signed(headers, names))
        _compare(signer, query["X-Amz-Signature"], request, query["X-Amz-Date"])

    def check_header(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        """Refused unless the Authorization header is good for the request."""
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if not found:
            raise Refused(403, "AccessDenied")
        request = AWSRequest(method, url, _signed(headers, found[1].split(";")))
        signer = S3SigV4Auth(self._credentials, "s3", self._region)
        _compare(signer, found[2], request, headers["x-amz-date"])

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Those of a request that is taken."""
        request = AWSRequest(method, url, {})
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        return dict(request.headers.items())


def _signed(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: headers.get(name, "") for name in names}


def _compare(signer: Any, signature: str, request: AWSRequest, at: str) -> None:
    request.context["timestamp"] = at
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if signature != expected:
        raise Refused(403, "SignatureDoesNotMatch")
