"""Cards in Discord: which there are, who may edit which, and when."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.card import Card, Opened
from shared.domain.discord import Posted
from shared.postgres.database import Database, Row

_OPEN = """
INSERT INTO codex_kb.discord_cards (task_id, guild_id, channel_id, user_id, ephemeral, token_until)
VALUES (%(task_id)s, %(guild_id)s, %(channel_id)s, %(user_id)s, %(ephemeral)s, %(token_until)s)
ON CONFLICT (task_id) DO NOTHING
"""

_NEWS = "UPDATE codex_kb.discord_cards SET looked_at = NULL WHERE task_id = %(task_id)s"
_ANY = "SELECT FROM codex_kb.discord_cards WHERE ended_at IS NULL LIMIT 1"

# Whoever has claimed a card has it for themselves until the edit is noted, or for as long as any edit takes.
_CLAIM = """
)
UPDATE codex_kb.discord_cards AS card
SET looked_at = now(), next_edit_at = now() + %(lease)s * interval '1 second'
FROM due WHERE card.task_id = due.task_id
RETURNING card.task_id, guild_id, channel_id, message_id, ephemeral, token_until, shown, thread_id, told
"""
_CLAIM_ONE = f"""
WITH due AS (
    SELECT task_id FROM codex_kb.discord_cards
    WHERE task_id = %(task_id)s AND ended_at IS NULL AND next_edit_at <= now() FOR UPDATE SKIP LOCKED{_CLAIM}"""  # noqa: S608  # the only thing put in is a constant

# A change bears the time at which its transaction began, and may become visible some time later: hence the slack.
# What does not touch the task's row is seen with the look that comes in any case.
_CLAIM_ANY = f"""
WITH due AS (
    SELECT card.task_id FROM codex_kb.discord_cards AS card LEFT JOIN codex_kb.codex_tasks AS task ON task.id = task_id
    WHERE ended_at IS NULL AND next_edit_at <= now() AND (
        looked_at IS NULL OR looked_at <= now() - %(idle)s * interval '1 second'
        OR greatest(task.updated_at, task.last_report_at) >= looked_at - %(slack)s * interval '1 second')
    ORDER BY next_edit_at, card.task_id LIMIT 1 FOR UPDATE OF card SKIP LOCKED{_CLAIM}"""  # noqa: S608  # the only thing put in is a constant

_EDITED = """
UPDATE codex_kb.discord_cards
SET shown = %(shown)s, channel_id = coalesce(%(channel_id)s, channel_id),
    message_id = coalesce(%(message_id)s, message_id), edited_at = now(), tries = 0,
    next_edit_at = now() + interval '1 second' * CASE
        WHEN token_until < now() - %(old_since)s * interval '1 second' THEN %(old)s::float8
        ELSE %(pause)s::float8 END
WHERE task_id = %(task_id)s
"""

_LOOKED = """
UPDATE codex_kb.discord_cards SET next_edit_at = now() + %(pause)s * interval '1 second', tries = 0
WHERE task_id = %(task_id)s
"""

_PUT_OFF = """
UPDATE codex_kb.discord_cards SET looked_at = NULL, next_edit_at = now() + %(seconds)s * interval '1 second'
WHERE task_id = %(task_id)s
"""

_FAILED = """
UPDATE codex_kb.discord_cards SET looked_at = NULL, tries = tries + 1, next_edit_at = now() + interval '1 second'
    * greatest(%(at_least)s, least(%(longest)s, %(pause)s * 2.0 ^ least(tries, 20)))
WHERE task_id = %(task_id)s
"""

_TOLD = """
UPDATE codex_kb.discord_cards SET thread_id = %(thread_id)s, told = greatest(told, %(told)s), looked_at = NULL,
    next_edit_at = now() + %(pause)s * interval '1 second', tries = 0
WHERE task_id = %(task_id)s
"""

_END = """
UPDATE codex_kb.discord_cards SET ended_at = now(), ended_why = %(why)s
WHERE task_id = %(task_id)s AND ended_at IS NULL
"""


# Discord allows fewer edits to a message that is an hour old: the token has been over for so many seconds then.
OLD_SINCE = 44 * 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two edits, and between two of a message that is old; the longest that one edit takes,
    between two looks at a task that is still, how late a change may become visible, and the longest pause after
    failures.
    """

    pause: float = 2.0
    old: float = 20.0
    lease: float = 30.0
    idle: float = 30.0
    slack: float = 15.0
    longest: float = 300.0


class PgDiscordCards:
    """Cards by their task. Each is claimed by one process at a time; whoever dies with it holds it up for seconds."""

    def __init__(self, database: Database, pace: Pace | None = None) -> None:
        self._database = database
        self._pace = pace or Pace()

    def open(self, task_id: UUID, opened: Opened) -> None:
        """There is a card for this task; twice is once."""
        parameters = {
            "task_id": task_id,
            "guild_id": opened.guild_id,
            "channel_id": opened.channel_id,
            "user_id": opened.user_id,
            "ephemeral": opened.ephemeral,
            "token_until": opened.until,
        }
        self._database.do(_OPEN, parameters)

    def news(self, task_id: UUID) -> bool:
        """The card is looked at as soon as it may be edited; False if the task has none, not even one that ended."""
        return self._database.do(_NEWS, {"task_id": task_id}) > 0

    def any_open(self) -> bool:
        """Whether any card has not ended."""
        return self._database.one(_ANY, {}) is not None

    def claim(self, task_id: UUID | None = None) -> Card | None:
        """The card of a task, or the one that has waited longest among those with news; None if none is due.

        Nobody else gets it until its edit is noted.
        """
        if task_id is None:
            pace = {"idle": self._pace.idle, "slack": self._pace.slack}
            row = self._database.one(_CLAIM_ANY, {"lease": self._pace.lease, **pace})
        else:
            row = self._database.one(_CLAIM_ONE, {"lease": self._pace.lease, "task_id": task_id})
        return _card(row) if row else None

    def edited(self, task_id: UUID, shown: str, at: Posted | None) -> None:
        """The message shows `shown` now, and is `at` this place, if that is known."""
        place = {"channel_id": at.channel_id, "message_id": at.message_id} if at else {}
        age = {"old": self._pace.old, "old_since": OLD_SINCE}
        self._note(_EDITED, task_id, shown=shown, **{"channel_id": None, "message_id": None, **place, **age})

    def looked(self, task_id: UUID) -> None:
        """There was nothing to edit."""
        self._note(_LOOKED, task_id)

    def put_off(self, task_id: UUID, seconds: float) -> None:
        """The card is looked at in so many seconds, whether anything is new or not."""
        self._note(_PUT_OFF, task_id, seconds=seconds)

    def failed(self, task_id: UUID, at_least: float) -> None:
        """Discord was away: the card is looked at after `at_least` seconds, and later with each failure in a row."""
        self._note(_FAILED, task_id, at_least=at_least, longest=self._pace.longest)

    def told(self, task_id: UUID, thread_id: str, told: int) -> None:
        """The thread of the card has `told` messages."""
        self._note(_TOLD, task_id, thread_id=thread_id, told=told)

    def end(self, task_id: UUID, why: str) -> None:
        """The card is not edited any more."""
        self._note(_END, task_id, why=why)

    def _note(self, statement: str, task_id: UUID, **said: Any) -> None:
        self._database.do(statement, {"task_id": task_id, "pause": self._pace.pause, **said})


def _card(row: Row) -> Card:
    at = Posted(row["channel_id"], row["message_id"]) if row["message_id"] else None
    names = ("task_id", "guild_id", "ephemeral", "token_until", "shown", "thread_id", "told")
    return Card(at=at, **{name: row[name] for name in names})
