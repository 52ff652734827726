"""The token of an interaction is in Redis for as long as it lives, and in no other place, whatever goes wrong."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.discord_interaction.buttons import custom_id
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.events.catalogue import KAFKA_RECORD, RunLaunched, TaskFinished
from shared.events.protobuf.proompteng.facteur.v1.contract_pb2 import CommandEvent
from shared.local.discord import snowflake
from shared.postgres.reports import PgReports
from tests.component.conftest import until
from tests.component.functions import TOKEN_SECRET, Function, authorised
from tests.discord.server import BOT_TOKEN
from tests.discord.simulator import ADA
from tests.discord.stand import Stand, told
from tests.integration.postgres.conftest import launch

TOKEN = "a-token-of-an-interaction-that-somebody-else-received"
LIFE_MILLISECONDS = 900_000


def event(**changes: Any) -> CommandEvent:
    fields: dict[str, Any] = {
        "interaction_id": snowflake(time.time()),
        "application_id": "1200000000000000000",
        "command": "plan",
        "token": TOKEN,
        "options": {"prompt": "elsewhere"},
        "guild_id": ADA.guild_id,
        "channel_id": ADA.channel_id,
        "user": {"id": ADA.user_id},
    }
    return CommandEvent(**{**fields, **changes})


def record(function: Function, body: bytes) -> int:
    """The answer to a command that a Kafka source brings."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": f"partition:0/offset:{uuid4().int % 10**9}",
        "ce-source": "/apis/v1/namespaces/facteur/kafkasources/discord#discord.commands.incoming",
        "ce-type": KAFKA_RECORD,
        "content-type": "application/x-protobuf",
    }
    return function.post("/events", body, authorised(**headers)).status


def forms_of(token: str) -> Iterator[str]:
    """How a token would be found again: as it is, and in base64 wherever it begins there."""
    yield token
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + token.encode()).decode()
        yield encoded[4:-4]


@pytest.fixture
def done(stand: Stand) -> tuple[list[str], set[UUID]]:
    """Everything was done that there is to do, and much went wrong; the tokens, and the tasks that have one."""
    with stand.function(FACTEUR_LOG_LEVEL="DEBUG", FACTEUR_DISCORD_GUILD_ID=str(ADA.guild_id)) as function:
        task, card = stand.card(function)
        launch(stand.stage.database, task)
        stand.hear(function, RunLaunched(task, 1, "job"))
        for kind in ("timeline", "memory", "cancel", "retry-implement"):
            ident = custom_id(TOKEN_SECRET, kind, task, int(time.time()) + 3600)
            stand.discord.click(function.url, card.original, ident)
        asked: tuple[tuple[str, dict[str, str]], ...] = (
            ("status", {}),
            ("memory", {"query": "it"}),
            ("cancel", {"task": str(uuid4())}),
        )
        answers = [stand.discord.command(function.url, ["codex", name], options) for name, options in asked]
        until(lambda: all(told(answer) for answer in answers))
        statuses = [function.post("/events", event().SerializeToString(), authorised()).status]
        statuses += [record(function, event(command=name).SerializeToString()) for name in ("review", "", "destroy")]
        statuses.append(record(function, b"\xff" + TOKEN.encode()))
        assert statuses == [202, 202, 400, 422, 400]
        stand.discord.api.away = True
        stand.broker.status = 503
        statuses = [record(function, event().SerializeToString())]
        stand.discord.interact(function.url, stand.asked("while all is away"))
        PgReports(stand.stage.database).record(task, 1, [Report("e", 1, "failed")], End(RunState.FAILED, "x", ""), None)
        stand.hear(function, TaskFinished(task, "failed"))
        until(lambda: any(seen.status == 503 for seen in stand.discord.api.seen))
        stand.broker.status = 202
        until(lambda: b"while all is away" in (stand.requests()[-1].data or b""))
        assert statuses == [503]
    tokens = [str(token) for token in stand.discord.world.interactions]
    assert len(tokens) >= 9
    return [*tokens, TOKEN], {UUID(str(key).rpartition(":")[2]) for key in stand.redis.keys("facteur:inter*")}


def test_a_token_is_in_redis_for_its_life_and_nowhere_else(stand: Stand, done: tuple[list[str], set[UUID]]) -> None:
    tokens, tasks = done
    places = {
        "the log": stand.logs(),
        "the events": json.dumps([[str(event), (event.data or b"").decode()] for event in stand.broker.events]),
        **{table: "\n".join(rows) for table, rows in stand.dump().items()},
    }
    assert len(places["codex_kb.dead_letters"].splitlines()) == 3
    for secret in (*tokens, BOT_TOKEN, TOKEN_SECRET):
        for form in forms_of(secret):
            assert [place for place, text in places.items() if form in text] == []
    kept = {str(key): str(stand.redis.get(key)) for key in stand.redis.keys("*")}
    held = {key for key, value in kept.items() if any(token in value for token in tokens)}
    assert held == {f"facteur:interaction:{task}" for task in tasks}
    assert len(held) == 4
    for key in held:
        assert 0 < stand.redis.pttl(key) <= LIFE_MILLISECONDS
