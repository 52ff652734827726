"""Cards: messages in Discord, each of which follows one task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.discord import Posted
from shared.domain.run import RunState

TOKEN_LIFE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Opened:
    """An interaction that asked for a task. Whoever has `token` can speak for us until `until`."""

    application_id: str
    token: str = field(repr=False)
    channel_id: str
    guild_id: str | None
    user_id: str
    ephemeral: bool
    created_at: datetime

    @property
    def until(self) -> datetime:
        return self.created_at + TOKEN_LIFE


@dataclass(frozen=True, slots=True)
class Card:
    """One task's message. `at` is unknown before its first edit, `shown` is the digest of what it shows.

    The interaction's token ends at `token_until`. The card's thread has `told` messages so far.
    """

    task_id: UUID
    at: Posted | None
    guild_id: str | None
    ephemeral: bool
    token_until: datetime
    shown: str
    thread_id: str | None
    told: int

    @property
    def asked_at(self) -> datetime:
        return self.token_until - TOKEN_LIFE


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What a card shows of its task. Texts are the caller's or the agent's own: hostile.

    `said` is the content of the last progress or log event of this attempt, `diff` the last line of a diffstat,
    `changes` the number of lines in which the targets differ. A `settled` task has nothing more to tell.
    """

    status: RunState
    reason: str
    result: str
    stage: str
    repository: str
    base: str
    head: str
    prompt: str
    attempt: int
    usage: Mapping[str, Any]
    accepted_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    settled: bool
    said: Any
    diff: str
    changes: int
    artifacts: tuple[str, ...]
