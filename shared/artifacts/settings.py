"""Where artifacts are, read from environment and file by every function that keeps them or points to them.

The names are those of MinIO's own tools; any store that speaks S3 will do.
"""

import re
from dataclasses import dataclass

from shared.setting_values import switch
from shared.settings import env

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_PORTS = {"http": ":80", "https": ":443"}


def _endpoint(raw: str) -> str:
    if not re.fullmatch(rf"(?:https?://)?{_HOST}/?", raw):
        raise ValueError("must be host:port, or a URL of http or https without a path, like https://minio.example:9000")
    return raw.rstrip("/")


def _bucket(raw: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", raw):
        raise ValueError("must be the name of a bucket: 3 to 63 of a-z, 0-9, '.' and '-', the last two inside only")
    return raw


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """With `server`, the artifacts are in a bucket there."""

    server: str = env("MINIO_ENDPOINT", _endpoint, default="")
    bucket: str = env("MINIO_BUCKET", _bucket, default="")
    access_key: str = env("MINIO_ACCESS_KEY", default="")
    secret_key: str = env("MINIO_SECRET_KEY", default="")
    secure: bool = env("MINIO_SECURE", switch, default=True)
    region: str = env("MINIO_REGION", default="us-east-1")

    def __post_init__(self) -> None:
        needed = {
            "MINIO_BUCKET": self.bucket,
            "MINIO_ACCESS_KEY": self.access_key,
            "MINIO_SECRET_KEY": self.secret_key,
        }
        missing = [name for name, value in needed.items() if not value]
        if self.server and missing:
            raise ValueError(f"MINIO_ENDPOINT is set, and {', '.join(missing)} must be set with it")

    @property
    def endpoint(self) -> str:
        """Its URL as clients write it, without a port that goes without saying; empty if there is none."""
        if not self.server:
            return ""
        said, _, host = self.server.rpartition("://")
        scheme = said or ("https" if self.secure else "http")
        return f"{scheme}://{host.removesuffix(_PORTS[scheme])}"
