"""What is in Discord: interactions that live for 15 minutes, messages, threads, commands; and who may do what."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.local.discord import APPLICATION, CHANNEL, COMPONENT, snowflake
from tests.discord.shapes import (
    DEFERRED,
    DEFERRED_UPDATE,
    EPHEMERAL,
    MESSAGE,
    UPDATE,
    command_faults,
    message_faults,
)

ANSWER_SECONDS, TOKEN_SECONDS, OLD_SECONDS, NONCE_SECONDS = 3.0, 900.0, 3600.0, 300.0


@dataclass
class Reply:
    """Status and JSON of an answer."""

    status: int
    document: Any = None


def refusal(status: int, code: int, message: str) -> Reply:
    return Reply(status, {"message": message, "code": code})


@dataclass
class Shown:
    """A message, and every text that it has had: when, what and with which components."""

    id: str
    channel_id: str
    created: float
    ephemeral: bool
    history: list[tuple[float, str]] = field(default_factory=list)
    components: list[Any] = field(default_factory=list)
    deleted: bool = False
    thread_id: str | None = None

    @property
    def content(self) -> str:
        return self.history[-1][1] if self.history else ""

    @property
    def edits(self) -> list[float]:
        """When it was given its text, and another one."""
        return [at for at, _ in self.history]

    @property
    def buttons(self) -> dict[str, str]:
        """The custom_id of each button that is not a link, by its label."""
        every = [button for row in self.components for button in row["components"]]
        return {button["label"]: button["custom_id"] for button in every if "custom_id" in button}

    def document(self) -> dict[str, Any]:
        flags = EPHEMERAL if self.ephemeral else 0
        return {
            "id": self.id,
            "channel_id": self.channel_id,
            "content": self.content,
            "components": self.components,
            "flags": flags,
            "author": {"id": APPLICATION, "bot": True},
        }


@dataclass
class Known:
    """An interaction: when it was made, and what it was answered with; the original is the message of its answer."""

    document: Mapping[str, Any]
    created: float
    answered: int | None = None
    ephemeral: bool = False
    original: Shown | None = None

    @property
    def waiting(self) -> bool:
        """The user is still shown that something will follow."""
        return self.answered == DEFERRED and self.original is not None and not self.original.history


def _moment(snowflake_id: str) -> float:
    """When an id was made, in seconds since 1970: the life of an interaction begins there."""
    return (int(snowflake_id) >> 22) / 1000 + 1_420_070_400


class World:
    """The state, by the clock of the tests. One call at a time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.lock = threading.RLock()
        self.interactions: dict[str, Known] = {}
        self.messages: dict[tuple[str, str], Shown] = {}
        self.channels: set[str] = {CHANNEL}
        self.forbidden: set[str] = set()
        self.commands: dict[str | None, list[Any]] = {}
        self.nonces: dict[tuple[str, str], tuple[float, Shown]] = {}
        self.faults: list[str] = []

    def come(self, document: Mapping[str, Any]) -> Known:
        """An interaction is on its way to the application."""
        with self.lock:
            known = Known(document, _moment(document["id"]))
            self.channels.add(document["channel_id"])
            return self.interactions.setdefault(document["token"], known)

    def acknowledge(self, known: Known, answer: Mapping[str, Any]) -> None:
        """The application's answer came in time: what it shows is there."""
        with self.lock:
            if known.answered is not None:
                return
            known.answered, data = answer["type"], answer.get("data", {})
            known.ephemeral = bool(data.get("flags", 0) & EPHEMERAL)
            clicked = known.document.get("message", {}) if known.document["type"] == COMPONENT else {}
            if answer["type"] in (DEFERRED_UPDATE, UPDATE):
                known.original = self.messages.get((known.document["channel_id"], clicked.get("id", "")))
                if answer["type"] == UPDATE and known.original:
                    self._write(known.original, data)
            elif answer["type"] in (MESSAGE, DEFERRED):
                known.original = self._new(known.document["channel_id"], known.ephemeral)
                if answer["type"] == MESSAGE:
                    self._write(known.original, data)

    def edit_original(self, token: str, message: Mapping[str, Any]) -> Reply:
        known, refused = self._living(token)
        if refused or known is None:
            return refused or refusal(404, 10015, "Unknown Webhook")
        if known.original is None or known.original.deleted:
            return refusal(404, 10008, "Unknown Message")
        return self._take(known.original, message)

    def edit_message(self, channel_id: str, message_id: str, message: Mapping[str, Any]) -> Reply:
        shown = self.messages.get((channel_id, message_id))
        if channel_id in self.forbidden:
            return refusal(403, 50001, "Missing Access")
        if shown is None or shown.deleted or shown.ephemeral:
            return refusal(404, 10008, "Unknown Message")
        return self._take(shown, message)

    def start_thread(self, channel_id: str, message_id: str, thread: Mapping[str, Any]) -> Reply:
        shown = self.messages.get((channel_id, message_id))
        if channel_id in self.forbidden:
            return refusal(403, 50013, "Missing Permissions")
        if shown is None or shown.deleted or shown.ephemeral:
            return refusal(404, 10008, "Unknown Message")
        if shown.thread_id:
            return refusal(400, 160004, "A thread has already been created for this message")
        if not 1 <= len(thread.get("name", "")) <= 100 or thread.keys() - {"name", "auto_archive_duration"}:
            return self._nonsense(["a thread has a name of 1 to 100 characters"])
        shown.thread_id = shown.id
        self.channels.add(shown.id)
        return Reply(201, {"id": shown.id, "parent_id": channel_id, "name": thread["name"], "type": 11})

    def send(self, channel_id: str, message: Mapping[str, Any]) -> Reply:
        if channel_id in self.forbidden:
            return refusal(403, 50013, "Missing Permissions")
        if channel_id not in self.channels:
            return refusal(404, 10003, "Unknown Channel")
        key = (channel_id, str(message.get("nonce")))
        if message.get("enforce_nonce") and key in self.nonces and self.nonces[key][0] > self._now() - NONCE_SECONDS:
            return Reply(200, self.nonces[key][1].document())
        shown = self._new(channel_id, ephemeral=False)
        self.nonces[key] = (self._now(), shown)
        return self._take(shown, message)

    def register(self, guild_id: str | None, commands: Any) -> Reply:
        if faults := command_faults(commands):
            return self._nonsense(faults)
        self.commands[guild_id] = commands
        return Reply(200, [{"id": str(1000 + n), **command} for n, command in enumerate(commands)])

    def is_old(self, channel_id: str, message_id: str) -> bool:
        shown = self.messages.get((channel_id, message_id))
        return shown is not None and self._now() - shown.created > OLD_SECONDS

    def _living(self, token: str) -> tuple[Known | None, Reply | None]:
        known = self.interactions.get(token)
        if known is None or known.answered is None:
            return None, refusal(404, 10015, "Unknown Webhook")
        if self._now() - known.created >= TOKEN_SECONDS:
            return None, refusal(401, 50027, "Invalid Webhook Token")
        return known, None

    def _take(self, shown: Shown, message: Mapping[str, Any]) -> Reply:
        if faults := list(message_faults(message)):
            return self._nonsense(faults)
        self._write(shown, message)
        return Reply(200, shown.document())

    def _nonsense(self, faults: list[str]) -> Reply:
        self.faults += faults
        return refusal(400, 50035, "Invalid Form Body")

    def _new(self, channel_id: str, ephemeral: bool) -> Shown:
        shown = Shown(snowflake(self._now()), channel_id, self._now(), ephemeral)
        self.messages[(channel_id, shown.id)] = shown
        return shown

    def _write(self, shown: Shown, message: Mapping[str, Any]) -> None:
        shown.history.append((self._now(), message.get("content", shown.content)))
        shown.components = message.get("components", shown.components)
