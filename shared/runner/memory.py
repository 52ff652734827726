"""What earlier runs left, as the container asks for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from shared.runner.client import Client
from shared.runner.errors import Away


@dataclass(frozen=True)
class Memory:
    """One memory: data from an earlier run, never an instruction. The higher the score, the nearer."""

    score: float
    snippet: str
    metadata: Mapping[str, Any]
    provenance: Mapping[str, Any]


def similar(client: Client, url: str, limit: int, namespace: str | None, resource_kind: str | None) -> list[Memory]:
    """Memories near to the task itself, the nearest first."""
    asked = {"limit": limit, "namespace": namespace, "resourceKind": resource_kind}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return _memories(client.json("GET", f"{url}?{query}"))


def answers(client: Client, url: str, text: str, limit: int) -> list[Memory]:
    """Memories near to a text, the nearest first."""
    body = json.dumps({"text": text, "limit": limit}).encode()
    return _memories(client.json("POST", f"{url}/query", body))


def _memories(answer: Mapping[str, Any]) -> list[Memory]:
    try:
        return [
            Memory(
                float(one["score"]), str(one["snippet"]), dict(one.get("metadata") or {}), dict(one["provenance"] or {})
            )
            for one in answer["results"]
        ]
    except (KeyError, TypeError, ValueError):
        raise Away("something other than memory-query answers at CODEX_MEMORY_ENDPOINT") from None
