"""Who may use the API, read from environment and file by every function that asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared import token_file
from shared.domain.token import Caller, parse_callers, parse_service_accounts
from shared.setting_values import json_value, tls_url
from shared.settings import env


def _token_file(raw: str) -> Path:
    try:
        token_file.read(Path(raw))
    except ValueError as error:
        raise ValueError(f"names a file that cannot be used: it {error}") from None
    return Path(raw)


@dataclass(frozen=True, kw_only=True)
class CallerSettings:
    """At least one of tokens, token file and ServiceAccounts must be set."""

    api_tokens: tuple[Caller, ...] | None = env(
        "FACTEUR_API_TOKENS", lambda raw: parse_callers(json_value(raw)), default=None
    )
    api_tokens_file: Path | None = env("FACTEUR_API_TOKENS_FILE", _token_file, default=None)
    token_review_callers: Mapping[str, Caller] | None = env(
        "FACTEUR_TOKEN_REVIEW_CALLERS", lambda raw: parse_service_accounts(json_value(raw)), default=None
    )
    token_review_audience: str = env("FACTEUR_TOKEN_REVIEW_AUDIENCE", default="facteur")
    kubernetes_api_url: str = env("FACTEUR_KUBERNETES_API_URL", tls_url, default="https://kubernetes.default.svc")
    kubernetes_credentials: Path = env(
        "FACTEUR_KUBERNETES_CREDENTIALS_DIR", Path, default=Path("/var/run/secrets/kubernetes.io/serviceaccount")
    )

    def __post_init__(self) -> None:
        if self.api_tokens is None and self.api_tokens_file is None and self.token_review_callers is None:
            raise ValueError(
                "FACTEUR_API_TOKENS is not set, and neither FACTEUR_API_TOKENS_FILE nor FACTEUR_TOKEN_REVIEW_CALLERS "
                "is: one of them must say who may call"
            )
