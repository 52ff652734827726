"""Reads the container contract from the environment, and says at once everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from shared.runner.errors import RunnerError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ATTEMPT = re.compile(r"[1-9][0-9]{0,5}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-]\d\d:\d\d))")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Environment:
    """What a container is told. `deadline` is a Unix time, None without one."""

    task_id: str
    attempt: int
    prompt: str = field(repr=False)
    callback_url: str = field(repr=False)
    token_file: Path = field(repr=False)
    memory_url: str = field(repr=False)
    deadline: float | None
    traceparent: str | None
    spool_folder: Path | None = field(repr=False)


def read_environment(environ: Mapping[str, str]) -> Environment:
    """The contract of this container; RunnerError names every variable that is missing or wrong."""
    reader = _Reader(environ)
    environment = Environment(
        task_id=reader.matching("CODEX_TASK_ID", _ID, "the task's id"),
        attempt=int(reader.matching("CODEX_ATTEMPT", _ATTEMPT, "a whole number from 1") or 0),
        prompt=reader.text("CODEX_PROMPT_FILE"),
        callback_url=reader.url("CODEX_CALLBACK_URL"),
        token_file=Path(reader.filled("CODEX_CALLBACK_TOKEN_FILE")),
        memory_url=reader.url("CODEX_MEMORY_ENDPOINT"),
        deadline=reader.time("CODEX_DEADLINE"),
        traceparent=_traceparent(environ.get("TRACEPARENT", "")),
        spool_folder=Path(environ["CODEX_SPOOL_DIR"]) if environ.get("CODEX_SPOOL_DIR") else None,
    )
    reader.check()
    return environment


def read_token(file: Path) -> str:
    """The bearer token as the file holds it now: it may be rotated at any time."""
    try:
        token = file.read_text("ascii").strip()
    except (OSError, ValueError):
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise RunnerError("CODEX_CALLBACK_TOKEN_FILE does not name a readable file with a token")
    return token


class _Reader:
    """Reads variables one by one and keeps the complaints for one message."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._wrong: list[str] = []

    def check(self) -> None:
        if self._environ.get("CODEX_CALLBACK_TOKEN_FILE"):
            try:
                read_token(Path(self._environ["CODEX_CALLBACK_TOKEN_FILE"]))
            except RunnerError as error:
                self._wrong.append(str(error))
        if self._wrong:
            raise RunnerError("; ".join(self._wrong))

    def filled(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            self._wrong.append(f"{name} is not set")
        return value

    def matching(self, name: str, shape: re.Pattern[str], what: str) -> str:
        value = self.filled(name)
        if not value or shape.fullmatch(value):
            return value
        self._wrong.append(f"{name} must be {what}")
        return ""

    def text(self, name: str) -> str:
        path = self.filled(name)
        try:
            return Path(path).read_bytes().decode("utf-8") if path else ""
        except (OSError, ValueError):
            self._wrong.append(f"{name} does not name a readable file of UTF-8 text")
            return ""

    def url(self, name: str) -> str:
        value = self.filled(name)
        if value and not is_http_url(value):
            self._wrong.append(f"{name} must be an http or https URL")
        return value.rstrip("/")

    def time(self, name: str) -> float | None:
        value = self._environ.get(name, "")
        shape = _TIME.fullmatch(value)
        try:
            if shape:
                day, clock, offset = shape.groups()
                return datetime.fromisoformat(f"{day}T{clock}{offset or '+00:00'}").timestamp()
        except ValueError:
            pass
        if value:
            self._wrong.append(f"{name} must be an RFC 3339 time")
        return None


def is_http_url(value: str) -> bool:
    """Whether a request can be sent there as it stands."""
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and _sendable(value, parts.port)
    except ValueError:
        return False


def _sendable(value: str, port: int | None) -> bool:
    return port != 0 and value.isascii() and value.isprintable() and " " not in value


def _traceparent(value: str) -> str | None:
    return value if _TRACEPARENT.fullmatch(value) else None
