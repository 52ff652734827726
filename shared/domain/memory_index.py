"""What goes into the memory index, and what a question may ask of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a task that should have a vector: `kind` says what it is, `source_ref` which one of its kind."""

    task_id: UUID
    kind: str
    source_ref: str
    text: str
    tenant: str
    repository: str
    tags: Sequence[str]
    namespaces: Sequence[str]
    resource_kinds: Sequence[str]


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Chunk `chunk` (from 0) of a text, redacted; `vector` and `model` are None until it could be embedded."""

    id: UUID
    text: Text
    chunk: int
    content: str
    content_hash: bytes
    vector: Sequence[float] | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Filters:
    """What found memories must match. The tenant always applies; None elsewhere matches anything."""

    tenant: str
    not_task: UUID
    namespace: str | None = None
    resource_kind: str | None = None
    repository: str | None = None
    kind: str | None = None
