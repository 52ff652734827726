"""Parsers of settings: from the text that stands in the environment or the file; ValueError says what it must be."""

import json
import re
from collections.abc import Callable
from typing import Any

_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """A parser for decimal numbers from `low` to `high`."""

    def parse(raw: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", raw) or not low <= float(raw) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(raw)

    return parse


def http_url(raw: str) -> str:
    """A parser for http and https URLs; the trailing slash goes."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", raw):
        raise ValueError("must be a URL that starts with http:// or https://")
    return raw.rstrip("/")


def redis_url(raw: str) -> str:
    """A parser for URLs of a Redis."""
    if not re.fullmatch(r"(?:rediss?|unix)://\S+", raw):
        raise ValueError("must be a URL that starts with redis://, rediss:// or unix://")
    return raw


def tls_url(raw: str) -> str:
    """A parser for URLs to which tokens travel: without TLS to this machine only."""
    url = http_url(raw)
    if not url.startswith("https://") and not re.match(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$)", url):
        raise ValueError("must be a URL that starts with https:// (http:// for this machine alone)")
    return url


def secret(raw: str) -> str:
    """A parser for keys: at least 32 characters."""
    if len(raw) < 32:
        raise ValueError("must have at least 32 characters (make one with: openssl rand -hex 32)")
    return raw


def text_list(raw: str) -> tuple[str, ...]:
    """A parser for a JSON list of strings."""
    value = json_value(raw)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a JSON list of strings, like ["codex", "exec"]')
    return tuple(value)


def text_map(raw: str) -> tuple[tuple[str, str], ...]:
    """A parser for a JSON object of strings, as pairs of name and text; the case of names is kept."""
    value = json_value(raw)
    if not isinstance(value, dict) or not all(name and isinstance(text, str) for name, text in value.items()):
        raise ValueError('must be a JSON object of strings, like {"rawEvent": ""}')
    return tuple(value.items())


def switch(raw: str) -> bool:
    """A parser for yes and no."""
    if raw.lower() not in _SWITCHES:
        raise ValueError("must be true or false")
    return _SWITCHES[raw.lower()]


def flag(raw: str) -> bool:
    """A parser for a flag of the earlier system: whatever is set is true, except 0, false and no."""
    return raw.lower() not in ("0", "false", "no")


def dns_label(raw: str) -> str:
    """A parser for the name of a namespace."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", raw):
        raise ValueError("must be a DNS label: at most 63 of a-z, 0-9 and '-', and '-' inside only")
    return raw


def dns_name(raw: str) -> str:
    """A parser for names of Kubernetes objects: DNS labels with dots between them."""
    if len(raw) > 253 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", raw):
        raise ValueError("must be a DNS name: at most 253 of a-z, 0-9, '-' and '.', and the last two inside only")
    return raw


def json_value(raw: str) -> Any:
    """A parser for JSON of any shape; a name twice in one object is refused."""
    try:
        return json.loads(raw, object_pairs_hook=_once)
    except _NameTwice:
        raise ValueError("must be JSON without a name twice in one object") from None
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None


class _NameTwice(ValueError):
    """An object has a name twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise _NameTwice
    return names
