"""Puts together what works behind the acknowledgement. Nothing connects before the first errand or event."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from functions.discord_interaction import buttons
from functions.discord_interaction.cards import Cards
from functions.discord_interaction.follower import Follower
from functions.discord_interaction.serve import Serve
from functions.discord_interaction.settings import Settings
from functions.discord_interaction.showing import Showing
from functions.discord_interaction.tell import Tell
from shared.broker.publisher import HttpPublisher
from shared.discord.client import DiscordApi
from shared.events.announcer import BackgroundAnnouncer
from shared.events.cancel import Cancel
from shared.postgres.card_facts import PgCardFacts
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters
from shared.postgres.discord_cards import PgDiscordCards
from shared.postgres.discord_choices import PgDiscordChoices
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.outbox import PgOutbox
from shared.postgres.runs import PgRuns
from shared.postgres.task_views import PgTaskViews
from shared.redis.connection import Connection
from shared.redis.interactions import RedisInteractions
from shared.redis.sessions import RedisSessions
from shared.settings import load
from shared.web import stopping

settings = load(Settings)
database = Database(settings.postgres_dsn)
redis = Connection(settings.redis_url)
publisher = HttpPublisher(settings.sink)
api = DiscordApi(settings.discord.api_url, settings.discord.application_id, settings.discord.bot_token)
dead_letters = PgDeadLetters(database)
# What is proposed while somebody types holds up nobody who waits for an answer.
choices = PgDiscordChoices(Database(settings.postgres_dsn, size=2))


def button(kind: str, task: UUID) -> Mapping[str, Any]:
    """A signed button that works for a week."""
    return buttons.button(settings.token_secret, kind, task, int(time.time()) + buttons.LIFE_SECONDS)


def now() -> datetime:
    return datetime.now(UTC)


def link(task: UUID) -> str:
    """Where people find a task."""
    return f"{settings.public_url}/v1/codex/tasks/{task}" if settings.public_url else ""


facts = PgCardFacts(database)
sessions = RedisSessions(redis)
tokens = RedisInteractions(redis)
notes = PgDiscordCards(database)
showing = Showing(notes, tokens, api, now, bot=settings.discord.bot_token is not None, threads=settings.threads)
cards = Cards(notes, facts, tokens, showing, button, now, link)
follower = Follower(cards.round, stopping.wait)
serve = Serve(
    publisher,
    cards,
    sessions,
    api,
    Tell(PgTaskViews(database), facts, sessions, PgMemorySearch(database), link, settings.discord.guild_id),
    Cancel(PgRuns(database), BackgroundAnnouncer(publisher, PgOutbox(database)), "discord-interaction"),
    settings.jobs_namespace,
)
