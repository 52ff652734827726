"""The keys of task tokens, for a function that checks them."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.setting_values import secret
from shared.settings import env


@dataclass(frozen=True, kw_only=True)
class TaskTokenSettings:
    """`token_secret` makes and checks tokens; what `token_secret_previous` made is accepted still."""

    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    token_secret_previous: str = env("FACTEUR_TOKEN_SECRET_PREVIOUS", secret, default="")

    @property
    def token_keys(self) -> Sequence[str]:
        """The keys whose tokens are accepted."""
        return tuple(filter(None, (self.token_secret, self.token_secret_previous)))
