"""What a card shows of its task. Whatever an agent or a caller wrote is contained: it formats and mentions nothing."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.discord_interaction.commands import COMMANDS_OF_STAGES
from shared.domain.card import TaskFacts
from shared.domain.discord import CONTENT_LIMIT, Message, contained, length, plain
from shared.domain.run import RunState

FOLLOW_IT = "Discord lets me edit this message for 15 minutes only: follow the task with `/codex status`."
_SLOW = "It is not accepted yet. It waits to be delivered, or it was refused: then it is among the dead letters."

_SIGNS = {
    RunState.RUNNING: "▶️",
    RunState.SUCCEEDED: "✅",
    RunState.FAILED: "❌",
    RunState.EXPIRED: "⌛",
    RunState.CANCELED: "⏹️",
    RunState.DENIED: "⛔",
}
_ACTION_ROW = 1
_MOST_NAMES = 5
_BLOCK_LIMIT = 900
# So many messages of a result go into a thread at most.
MOST_PARTS = 20

Button = Callable[[str, UUID], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Face:
    """What a card shows: a text of at most 2,000 characters, and buttons by their kind."""

    content: str
    buttons: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The same for what looks the same: signatures and expiries of buttons have no part in it."""
        return hashlib.sha256("\n".join((*self.buttons, self.content)).encode()).hexdigest()

    def message(self, task_id: UUID, button: Button, ephemeral: bool) -> Message:
        row = {"type": _ACTION_ROW, "components": [button(kind, task_id) for kind in self.buttons]}
        return Message(self.content, (row,) if self.buttons else (), ephemeral)


def unknown(task_id: UUID, *, slow: bool, note: str = "") -> Face:
    """A task that is not accepted yet; `slow` if it should be by now."""
    return Face(_lines("⏳ **requested**: the task is on its way.", _SLOW if slow else "", note, f"`{task_id}`"))


def face(task_id: UUID, facts: TaskFacts, link: str, note: str = "") -> Face:
    """A task as it stands. `link` is where it can be looked at, `note` is for people who read this; both may be ""."""
    above = _lines(_state(facts), _work(facts), _quoted(facts.prompt))
    below = _lines(_changes(facts), _files(facts.artifacts), note, f"<{link}>" if link else "", f"`{task_id}`")
    room = min(_BLOCK_LIMIT, CONTENT_LIMIT - length(above) - length(below) - 2)
    words = facts.result if facts.finished_at and facts.result else "" if facts.finished_at else last_line(facts.said)
    return Face(_lines(above, contained(words, room), below), _buttons(facts))


def last_line(said: Any) -> str:
    """The last line of what an agent said; empty if there is none."""
    text = said if isinstance(said, str) else _sentence(said) if isinstance(said, Mapping) else ""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()


def parts(result: str, limit: int = CONTENT_LIMIT) -> Sequence[str]:
    """The result as code blocks, in their order, each of which fits into a message; nothing is lost but what is
    beyond the last of `MOST_PARTS`.
    """
    pieces = list(_cut(result, limit - 8))
    whole = [contained(piece, limit) for piece in pieces[:MOST_PARTS]]
    if len(pieces) > MOST_PARTS:
        whole.append("The result goes on: `/codex status` and the task's own page have all of it.")
    return [block for block in whole if block]


def _cut(text: str, room: int) -> Iterator[str]:
    """Pieces that have at most `room` characters once they are contained; cut at the end of a line where one is."""
    begin, used, line_end = 0, 0, 0
    for place, character in enumerate(text):
        cost = {"`": 2, "@": 2, "\t": 4}.get(character) or length(character)
        if used + cost > room:
            end = line_end if line_end > begin else place
            yield text[begin:end]
            used = sum({"`": 2, "@": 2, "\t": 4}.get(one) or length(one) for one in text[end:place])
            begin = end
        used += cost
        if character == "\n":
            line_end = place + 1
    yield text[begin:]


def _sentence(said: Mapping[str, Any]) -> str:
    """A report of the wrapper in words; that of any other agent as it is."""
    match said:
        case {"kind": "command", "command": str(command)}:
            return f"$ {command.splitlines()[0] if command else ''}"
        case {"kind": "files", "files": [{"path": str(path)}, *more]}:
            return f"changed {path}" + (f" and {len(more)} more" if more else "")
        case {"kind": "todo", "items": [*items]}:
            done = sum(isinstance(item, Mapping) and item.get("done") is True for item in items)
            return f"{done} of {len(items)} steps are done"
        case {"kind": "tool", "tool": str(tool)}:
            return f"used {tool}"
        case {"kind": "search", "query": str(query)}:
            return f"looked for {query}"
        case {"text": str(text)} | {"message": str(text)}:
            return text
    return ", ".join(f"{name}: {value}" for name, value in said.items() if isinstance(value, str | int | float))


def _state(facts: TaskFacts) -> str:
    asked = facts.cancel_requested and not facts.finished_at
    pieces = [
        f"{_SIGNS.get(facts.status, '⏳')} **{'is being canceled' if asked else facts.status.value}**",
        _time(facts),
        f"attempt {facts.attempt}" if facts.attempt > 1 else "",
        *_cost(facts.usage),
    ]
    reason = plain(facts.reason, 240)
    return _lines(" · ".join(piece for piece in pieces if piece), reason)


def _time(facts: TaskFacts) -> str:
    # Discord itself counts the time since then: a card need not be edited for it.
    began = facts.launched_at or facts.accepted_at
    if facts.finished_at:
        return f"took {_duration((facts.finished_at - began).total_seconds())}, ended {_stamp(facts.finished_at)}"
    return f"{'started' if facts.launched_at else 'asked for'} {_stamp(began)}"


def _stamp(at: datetime) -> str:
    return f"<t:{int(at.timestamp())}:R>"


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _cost(usage: Mapping[str, Any]) -> Iterator[str]:
    numbers = {name: value for name, value in usage.items() if isinstance(value, int | float)}
    tokens = sum(numbers.get(name, 0) for name in ("inputTokens", "outputTokens"))
    if tokens:
        yield f"{tokens:,.0f} tokens"
    if "costUsd" in numbers:
        yield f"${numbers['costUsd']:,.2f}"


def _work(facts: TaskFacts) -> str:
    repository = plain(facts.repository, 100)
    branches = " → ".join(plain(name, 60) for name in (facts.base, facts.head) if name)
    return f"{facts.stage}{f' of {repository}' if repository else ''}{f' ({branches})' if branches else ''}"


def _quoted(prompt: str) -> str:
    shown = plain(prompt, 240)
    return f"> {shown}" if shown else ""


def _changes(facts: TaskFacts) -> str:
    targets = f"{facts.changes:,} {'line' if facts.changes == 1 else 'lines'} of the targets" if facts.changes else ""
    told = " · ".join(piece for piece in (plain(facts.diff, 120), targets) if piece)
    return f"Changes: {told}" if told else ""


def _files(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"Files: {', '.join(plain(name, 40) or 'unnamed' for name in names[:_MOST_NAMES])}{more}"


def _buttons(facts: TaskFacts) -> tuple[str, ...]:
    if not facts.finished_at:
        return ("timeline", "memory") if facts.cancel_requested else ("cancel", "timeline", "memory")
    command = COMMANDS_OF_STAGES.get(facts.stage)
    return (*([f"retry-{command}"] if command else []), "timeline", "memory")


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
