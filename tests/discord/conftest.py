"""A Discord for each test, and something that answers it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.postgres.database import Database
from tests.component.conftest import Stage
from tests.component.functions import sink
from tests.discord.application import Application
from tests.discord.application import application as answering
from tests.discord.simulator import Discord
from tests.discord.simulator import discord as running
from tests.discord.stand import Stand


@pytest.fixture
def discord() -> Iterator[Discord]:
    with running() as simulated:
        yield simulated


@pytest.fixture
def stopped(discord: Discord) -> None:
    """The time of Discord is moved by the test alone."""
    discord.clock.stop()


@pytest.fixture
def application() -> Iterator[Application]:
    with answering() as told:
        yield told


@pytest.fixture
def stand(discord: Discord, database: Database, dsn: str, redis_url: str, tmp_path: Path) -> Iterator[Stand]:
    """discord-interaction with all that is around it; the database, the broker and Redis are empty."""
    with sink() as broker:
        yield Stand(discord, broker, Stage(dsn, database), redis_url, tmp_path)
