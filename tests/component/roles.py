"""Each function with its own database role, on the servers of the tests that have these roles."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from shared.postgres.roles import as_role

# By the password of a server's owner, which it has behind whatever proxy.
_SERVERS: dict[str, Mapping[str, str]] = {}
_DSN = "FACTEUR_POSTGRES_DSN"


def remember(dsn: str, passwords: Mapping[str, str]) -> None:
    """The functions have roles with these passwords on the server of the owner's DSN."""
    _SERVERS[_password(dsn)] = passwords


def dsn_of(function: str, dsn: str) -> str:
    """The DSN of a function, from the owner's; the same where functions have no roles."""
    passwords = _SERVERS.get(_password(dsn))
    return as_role(dsn, function, passwords[function]) if passwords else dsn


def in_its_role(function: str, env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of a function, with its own role in place of the owner's."""
    return {**env, _DSN: dsn_of(function, env[_DSN])} if _DSN in env else env


def _password(dsn: str) -> str:
    return unquote(urlsplit(dsn).password or "")
