"""Settings: frozen dataclasses filled from the environment, with every mistake reported at once.

A settings class declares one field per setting, each made by `env(...)`. Empty is unset.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message lists all of them."""


def env(name: str, parse: Callable[[str], Any] = str, *, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field read from the environment variable `name`; required unless it has a default.

    `parse` raises ValueError with a sentence that says what to write. Values never reach a repr.
    """
    metadata = {"env": name, "parse": parse}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata, repr=False)
    return dataclasses.field(default=default, metadata=metadata, repr=False)


def load(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """An instance of the settings class `cls`; raises SettingsError that names every mistake."""
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for setting in dataclasses.fields(cls):  # type: ignore[arg-type]  # cls is a dataclass by convention
        name: str = setting.metadata["env"]
        raw = source.get(name, "").strip()
        if not raw:
            if setting.default is dataclasses.MISSING:
                mistakes.append(f"{name} is not set")
            continue
        try:
            values[setting.name] = setting.metadata["parse"](raw)
        except ValueError as error:
            mistakes.append(f"{name} {error}")
    if mistakes:
        raise SettingsError("; ".join(mistakes))
    return cls(**values)


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def http_url(raw: str) -> str:
    """A parser for http and https URLs; the trailing slash goes."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", raw):
        raise ValueError("must be a URL that starts with http:// or https://")
    return raw.rstrip("/")


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


def json_value(raw: str) -> Any:
    """A parser for JSON of any shape."""
    try:
        return json.loads(raw)
    except ValueError:
        raise ValueError("must be JSON") from None
