"""What goes into the memory index, and what a question may ask of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a task that should have a vector: `kind` says what it is, `source_ref` which one of its kind.

    `trust` is who wrote it: `caller`, `cluster` or `agent`, the least trusted unless something else is known.
    """

    task_id: UUID
    kind: str
    source_ref: str
    text: str
    tenant: str
    repository: str
    tags: Sequence[str]
    namespaces: Sequence[str]
    resource_kinds: Sequence[str]
    trust: str = "agent"
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Chunk `chunk` (from 0) of a text, redacted.

    `model` is the one that was asked: it has made `vector`, or without one refuses the content for ever. None if
    it was not asked, because it knows the content, or could not answer.
    """

    id: UUID
    text: Text
    chunk: int
    content: str
    content_hash: bytes
    vector: Sequence[float] | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What memories should be like: a text, a vector of `model` (name and dimension, as `name:3072`), or both."""

    model: str
    text: str | None = None
    vector: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """What found memories must match. The tenant always applies; None elsewhere matches anything.

    `tags` must all be there. With `per_task` the best memory of each task is found, otherwise any number.
    """

    tenant: str
    not_task: UUID
    namespace: str | None = None
    resource_kind: str | None = None
    repository: str | None = None
    kind: str | None = None
    tags: Sequence[str] = ()
    outcome: str | None = None
    max_age_days: int | None = None
    per_task: bool = True
