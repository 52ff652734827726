"""What may be said: no secret, nothing that cannot be stored, and not too much of it."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.runner.environment import read_token
from shared.runner.errors import RunnerError
from shared.runner.token import READING, narrowed

MAX_TEXT = 64 * 1024
_MAX_DEPTH = 32


class Mask:
    """Replaces the task's token, tokens narrowed from it, and other secrets that it is told of."""

    def __init__(self, token_file: Path) -> None:
        self._token_file = token_file
        self._token = read_token(token_file)
        self._secrets: list[str] = []

    def add(self, secret: str) -> None:
        if secret:
            self._secrets.append(secret)
            # One secret may be part of another one.
            self._secrets.sort(key=len, reverse=True)

    def text(self, text: str) -> str:
        for secret, mark in self._known():
            text = text.replace(secret, mark)
        return text

    def raw(self, content: bytes) -> bytes:
        """Like `text`, also for secrets that stand in JSON."""
        for secret, mark in self._known():
            for form in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
                content = content.replace(form.encode("utf-8", "surrogateescape"), mark.encode())
        return content

    def _known(self) -> list[tuple[str, str]]:
        with contextlib.suppress(RunnerError):
            self._token = read_token(self._token_file)
        token = self._token
        tokens = [token, narrowed(token, READING)] if token.count("_") > 1 else [token]
        return [*((one, "[token]") for one in tokens), *((one, "[secret]") for one in self._secrets)]


def clean(text: Any) -> str:
    """The text without what the callback cannot store: U+0000 and lone surrogates."""
    return str(text).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """At most about `limit` characters: the end says how many there were."""
    return text if len(text) <= limit else f"{text[:limit]}… (cut; {len(text)} characters in all)"


def cut_inside(text: str, limit: int) -> str:
    """At most about `limit` characters: a quarter from the start, the rest from the end, where results stand."""
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit - limit // 4
    return f"{text[:head]}\n… ({len(text) - limit} characters are cut out here) …\n{text[-tail:]}"


def sayable(content: Any, mask: Mask, depth: int = 0) -> Any:
    """The content as it is told: texts, finite numbers, true, false and null, and lists and objects of them."""
    if depth > _MAX_DEPTH:
        raise RunnerError("what is reported is nested too deeply: send it as one text")
    if content is None or isinstance(content, (bool, int)):
        return content
    if isinstance(content, float) and math.isfinite(content):
        return content
    if isinstance(content, Mapping):
        return {cut(mask.text(clean(name))): sayable(one, mask, depth + 1) for name, one in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
        return [sayable(one, mask, depth + 1) for one in content]
    return cut(mask.text(clean(content)))
