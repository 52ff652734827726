"""Who asks: the caller behind a bearer token, known by its hash or to Kubernetes."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from flask import Request

from shared.domain.token import Caller, find_caller, is_jwt, permitted
from shared.token_file import TokenFile
from shared.web.caller_settings import CallerSettings
from shared.web.requests import bearer

if TYPE_CHECKING:
    from shared.kubernetes.token_review import TokenReview


class ApiCallers:
    """Finds the caller of a token; Unauthenticated for an unknown one, Forbidden without the scope.

    Unavailable while a token cannot be checked.
    """

    def __init__(self, settings: CallerSettings) -> None:
        self._settings = settings
        self._file = TokenFile(settings.api_tokens_file) if settings.api_tokens_file else None

    def __call__(self, token: str | None, scope: str) -> Caller:
        return permitted(find_caller(self._known(), token) or self._reviewed(token), scope)

    def _known(self) -> Sequence[Caller]:
        return [*(self._settings.api_tokens or ()), *(self._file.callers() if self._file else ())]

    def _reviewed(self, token: str | None) -> Caller | None:
        accounts = self._settings.token_review_callers
        if not accounts or token is None or not is_jwt(token):
            return None
        return accounts.get(self._review.username(token) or "")

    @cached_property
    def _review(self) -> "TokenReview":
        # Only these tokens need the HTTP client.
        from shared.kubernetes.token_review import TokenReview

        asked = self._settings
        return TokenReview(asked.kubernetes_api_url, asked.kubernetes_credentials, asked.token_review_audience)


class Callers:
    """Finds the caller of a request, as ApiCallers does."""

    def __init__(self, settings: CallerSettings) -> None:
        self._caller = ApiCallers(settings)

    def __call__(self, request: Request, scope: str) -> Caller:
        return self._caller(bearer(request), scope)
