"""What is to be forgotten, and what that takes with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.domain.errors import Rejected

# Every kind of memory that is made.
KINDS = frozenset(
    {"prompt", "snapshot-before", "snapshot-after", "change", "change-shape", "outcome", "events", "final-message"}
)
# What each task has: alone it says nothing.
_OF_EVERY_TASK = re.compile(r"prompt|attempt [0-9]+")
# Stands where the memories of a prompt file were.
PURGED = "(What was recalled here has been forgotten since.)\n"
_CLOSING = re.compile(r"</recalled-memory-([A-Za-z0-9_-]{16,64})>\s*\Z")


@dataclass(frozen=True, slots=True)
class Choice:
    """The memories that match all that is given; Rejected if that is nothing, or a text that every task has.

    `source` is a repository or an issue (`owner/name#12`), which means whole tasks, or the `source_ref` of memories.
    """

    task: UUID | None = None
    caller: str | None = None
    source: str | None = None
    tenant: str | None = None

    def __post_init__(self) -> None:
        if not (self.task or self.caller or self.source):
            raise Rejected("say what to forget: a task, a caller or a source")
        # An empty variable of a script must not widen what is forgotten.
        if "" in (self.caller, self.source, self.tenant):
            raise Rejected("a caller, a source or a tenant has a name: leave it away where any will do")
        if self.source and not self.task and _OF_EVERY_TASK.fullmatch(self.source):
            raise Rejected("every task has such a text: say of which task it is")


@dataclass(frozen=True, slots=True)
class Sight:
    """An attempt that saw some of it, and when first; `channel` is `prompt` or `query`, what it asked for."""

    task_id: UUID
    attempt: int
    channel: str
    at: datetime
    memories: int
    over: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a choice means: tasks that match and those of them that are not forgotten yet, and memories by kind."""

    matching: int
    tasks: int
    tenants: Sequence[str]
    memories: Mapping[str, int]
    seen_by: Sequence[Sight]

    @property
    def nothing(self) -> bool:
        return not self.tasks and not self.memories


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten: memories by kind, tasks of which nothing is remembered again, and what went with them.

    `contents` are the hashes of the texts, `models` those that may have made vectors of them; `prompts` are the
    prompt files that are to be purged now, and once their runs are over.
    """

    memories: Mapping[str, int]
    tasks: Sequence[UUID]
    seen_by: Sequence[Sight]
    vectors: int
    contents: Sequence[bytes] = field(default=(), repr=False)
    models: Sequence[str] = ()
    prompts: tuple[int, int] = (0, 0)


def without_memories(prompt: str) -> str:
    """A prompt file with a note in place of the memories that it ends with, if it does.

    What only looks like a fence, further up, was written by the caller, who could not know the nonce.
    """
    closing = _CLOSING.search(prompt)
    start = prompt.find(f"<recalled-memory-{closing[1]}>\n") if closing else -1
    return prompt if start < 0 else prompt[:start] + PURGED
