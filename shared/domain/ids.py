"""Deterministic identifiers: the same fact has the same id in every process, for ever."""

from functools import lru_cache
from urllib.parse import quote
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1d3a52-4f0e-5d0b-9c1a-6b1f0b8f2a11")


def stable_id(*parts: str) -> UUID:
    """A UUIDv5 of the parts. Parts are length-prefixed: ("ab", "c") and ("a", "bc") differ."""
    return uuid5(NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts))


@lru_cache(maxsize=256)
def run_id(delivery_id: str) -> UUID:
    """The id of the run that a delivery asks for; the API calls it taskId."""
    return stable_id("run", delivery_id)


def http_delivery(caller: str, key: str) -> str:
    """The delivery id of a task that a caller asked for by a key: the caller is quoted, so no two share one."""
    return f"http:{quote(caller, safe='')}:{key}"


def event_delivery(source: str, event_id: str) -> str:
    """The delivery id of a task that was asked for by an event: quoted, so no two pairs are alike."""
    return f"cloudevent:{quote(source, safe='')}:{event_id}"


def is_made_here(delivery_id: str) -> bool:
    """Whether the delivery id is one of those above: no sender may choose such a one."""
    return delivery_id.startswith(("http:", "cloudevent:"))


def resource_name(task_id: UUID, attempt: int, prefix: str = "codex-") -> str:
    """The name of the Job or Workflow of one attempt: at most 63 characters, a DNS label."""
    if prefix == "codex-":
        return f"codex-{task_id}-{attempt}"
    return f"{prefix[:40]}{task_id.hex[:16]}-{attempt}"
