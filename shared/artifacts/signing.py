"""Presigned URLs of S3: AWS Signature Version 4 in the query, with path-style addresses.

What a URL was signed for is all it is good for: the store refuses any other method, key, header or query.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Signer:
    """Signs for `endpoint`, a URL without a path."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)

    def url(
        self,
        method: str,
        path: str,
        now: float,
        seconds: int,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """The URL of `path` (`/bucket/key`, not quoted) for `seconds` from `now`, for a request with these headers."""
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{at[:8]}/{self.region}/s3/aws4_request"
        signed = {name.lower(): value for name, value in (headers or {}).items()}
        signed["host"] = urlsplit(self.endpoint).netloc
        names = ";".join(sorted(signed))
        asked = {
            **(query or {}),
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": at,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": names,
        }
        line = "&".join(sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in asked.items()))
        lines = [f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed)]
        request = "\n".join([method, quote(path, safe="/-_.~"), line, "".join(lines), names, "UNSIGNED-PAYLOAD"])
        text = "\n".join([_ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()])
        signature = hmac.new(self._key(scope), text.encode(), hashlib.sha256).hexdigest()
        return f"{self.endpoint}{quote(path, safe='/-_.~')}?{line}&X-Amz-Signature={signature}"

    def _key(self, scope: str) -> bytes:
        key = b"AWS4" + self.secret_key.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
