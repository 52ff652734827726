"""The use case: what a user is told of a task or of memory, in one message that nobody else sees.

What agents, callers and memories say is hostile text: it is contained.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from functions.discord_interaction.card import face
from functions.discord_interaction.wishes import Errand, Remembered, Search, Status, Timeline
from shared.domain.card import Opened, TaskFacts
from shared.domain.discord import CONTENT_LIMIT, Message, contained
from shared.domain.errors import Forbidden, NotFound
from shared.domain.memory import Recalled, snippet
from shared.domain.memory_index import Filters, Question
from shared.domain.redaction import redact
from shared.domain.session import Session
from shared.domain.timeline import Entry, Page, Wanted

TENANT = "default"
_MEMORIES = 5
_ENTRIES = 40
_ROOM = CONTENT_LIMIT - 200
_NO_TASK = UUID(int=0)
_NO_MEMORY = (
    "What is remembered is of everybody's tasks, so I show it only where my operator allows it: on the server that "
    "FACTEUR_DISCORD_GUILD_ID is set to, or to the roles that FACTEUR_ROLE_MAP names for `memory`."
)


class Tasks(Protocol):
    """Tasks as they are looked at."""

    def status(self, task_id: UUID, tenant: str) -> Mapping[str, Any] | None: ...

    def timeline(self, task_id: UUID, tenant: str) -> Sequence[Entry]: ...

    def list(self, tenant: str, wanted: Wanted) -> Page: ...


class Facts(Protocol):
    """What there is to show of a task; None while it is not accepted."""

    def of(self, task_id: UUID) -> TaskFacts | None: ...


class Sessions(Protocol):
    """What each user asked for last; None if it is not known any more."""

    def get(self, user: str) -> Session | None: ...


class Memories(Protocol):
    """Finds memories by words, or by a task's own prompt."""

    def search(self, question: Question, filters: Filters, limit: int) -> Sequence[Recalled]: ...

    def nearest_to_task(self, task: UUID, limit: int) -> Sequence[Recalled]: ...


class Tell:
    """Answers wishes that change nothing. NotFound and Forbidden in words for the user.

    `guild_id` is the server that may see what is remembered of all tasks; None if nobody said which one it is.
    """

    def __init__(
        self, tasks: Tasks, facts: Facts, sessions: Sessions, memories: Memories, link: Callable[[UUID], str],
        guild_id: str | None,
    ) -> None:  # fmt: skip
        self._tasks = tasks
        self._facts = facts
        self._sessions = sessions
        self._memories = memories
        self._link = link
        self._guild_id = guild_id

    def __call__(self, errand: Errand) -> Message:
        match errand.wish:
            case Status(task):
                return self._status(errand, task)
            case Timeline(task):
                return self._timeline(errand, task)
            case Remembered(task):
                self.visible(errand, task)
                self._require_memory(errand)
                return _memories(self._memories.nearest_to_task(task, _MEMORIES), "is like this task")
            case Search():
                return self._search(errand, errand.wish)
        raise TypeError("this wish changes something")

    def visible(self, errand: Errand, task: UUID) -> Mapping[str, Any]:
        """The task, if its user may look at it; NotFound in the same words for another's and for none."""
        row = self._tasks.status(task, TENANT)
        user, guild = caller(errand.opened), errand.opened.guild_id
        if row is None or not (
            errand.named or row["caller"] == user or (guild and row["metadata"].get("guildId") == guild)
        ):
            raise NotFound(f"There is no task `{task}` that you may look at here, or not yet.")
        return row

    def _status(self, errand: Errand, task: UUID | None) -> Message:
        found = task or self._latest(errand.opened)
        facts = self._facts.of(found)
        if facts is None and task is None:
            return Message(f"Task `{found}` is on its way: it is not stored yet.")
        self.visible(errand, found)
        return Message(face(found, facts, self._link(found)).content if facts else f"Task `{found}` is gone.")

    def _latest(self, opened: Opened) -> UUID:
        """What the user asked for last: as their session has it, or else as the tasks say."""
        session = self._sessions.get(opened.user_id)
        known = _uuid(session.correlation_id) if session else None
        if known:
            return known
        tasks = self._tasks.list(TENANT, Wanted(caller=caller(opened), limit=1)).tasks
        if not tasks:
            raise NotFound("You have not asked for a task yet. Try `/codex implement`.")
        return UUID(tasks[0]["taskId"])

    def _timeline(self, errand: Errand, task: UUID) -> Message:
        self.visible(errand, task)
        story = self._tasks.timeline(task, TENANT)
        lines: list[str] = []
        for entry in reversed(story[-_ENTRIES:]):
            lines.insert(0, _line(entry))
            if len("\n".join(lines)) > _ROOM // 2:
                break
        left_out = f" (its last {len(lines)} of {len(story)} entries)" if len(lines) < len(story) else ""
        return Message(f"Task `{task}`{left_out}\n{contained(chr(10).join(lines), _ROOM)}")

    def _search(self, errand: Errand, search: Search) -> Message:
        self._require_memory(errand)
        filters = Filters(TENANT, _NO_TASK, namespace=search.namespace or None, repository=search.repository or None)
        found = self._memories.search(Question("", redact(search.text)), filters, _MEMORIES)
        return _memories(found, "has these words")

    def _require_memory(self, errand: Errand) -> None:
        """Any server can add the application, and what is remembered is of everybody's tasks."""
        if errand.named or (self._guild_id and errand.opened.guild_id == self._guild_id):
            return
        raise Forbidden(_NO_MEMORY)


def caller(opened: Opened) -> str:
    """By what name tasks know the user."""
    return f"discord:{opened.user_id}"


def _memories(found: Sequence[Recalled], how: str) -> Message:
    if not found:
        return Message(f"Nothing is remembered that {how}.")
    texts = [
        f"{recalled.memory.kind} of {recalled.memory.task_id} ({recalled.memory.outcome or 'open'})\n"
        f"  {snippet(recalled.memory.text)}"
        for recalled in found
    ]
    return Message(f"What is remembered and {how}:\n{contained(chr(10).join(texts), _ROOM)}")


def _line(entry: Entry) -> str:
    return f"{_clock(entry.at)} {entry.what}{_detail(entry.detail)}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def _detail(detail: Any) -> str:
    content = detail.get("content") if isinstance(detail, Mapping) else None
    said = content if content is not None else detail
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False) if said else ""
    return f": {snippet(text, 120)}" if text else ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
