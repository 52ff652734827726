"""discord-interaction over HTTP, before a Discord that keeps its rules: acknowledged at once, then told the truth."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from nacl.signing import SigningKey
from urllib3 import BaseHTTPResponse

from functions.discord_interaction.buttons import custom_id
from shared.domain.ids import event_delivery, resource_name, run_id
from shared.events.catalogue import KAFKA_RECORD, TASK_REQUESTED, TaskAccepted, announce
from shared.events.event import Event
from shared.events.protobuf.proompteng.facteur.v1.contract_pb2 import CommandEvent
from shared.local.discord import COMMAND, MODAL, PING, Person, command, filled, interaction, signed, snowflake
from shared.redis.connection import Connection
from shared.redis.sessions import RedisSessions
from tests.component.conftest import Stage, tick, until
from tests.component.functions import DISCORD, HTTP, TOKEN_SECRET, Function, Sink, authorised, end, running, settings
from tests.discord.simulator import ADA, Acknowledged, Discord, discord

SOURCE = "/facteur/discord-interaction"
MAINTAINER, STRANGER = "100000000000000001", "100000000000000002"
PROMPT = "Rewrite the changelog @everyone <@123> `code` of unit-7f3a"
BOB = Person(user_id="1000000000000000002", roles=[STRANGER])
ALONE = Person(guild_id=None, channel_id="1110000000000000007")
KEY = DISCORD.encode().hex()


@pytest.fixture(scope="module")
def app() -> Iterator[Discord]:
    with discord() as there:
        yield there


@pytest.fixture(scope="module")
def environment(stage: Stage, module_sink: Sink, folder: Path, redis_url: str, app: Discord) -> dict[str, str]:
    roles = {"review": [MAINTAINER, "100000000000000009"]}
    every = settings(stage.dsn, module_sink.url, folder, redis_url) | app.settings()
    return every | {"FACTEUR_ROLE_MAP": json.dumps(roles)}


@pytest.fixture(scope="module")
def function(environment: dict[str, str], folder: Path) -> Iterator[Function]:
    with running("discord-interaction", environment, folder / "log") as function:
        yield function


def asks(app: Discord, function: Function, name: str = "implement", who: Person = ADA, **options: str) -> Acknowledged:
    """Somebody asks for a task."""
    return app.command(function.url, ["codex", name], options or {"prompt": PROMPT}, who)


def told(answered: Acknowledged) -> str:
    """What follows an acknowledgement."""
    assert answered.answer["type"] == 5, answered.answer
    until(lambda: answered.known.original and answered.known.original.history)
    return answered.original.content


def requested(broker: Sink) -> UUID:
    """The task that the last event asked for."""
    return run_id(event_delivery(SOURCE, broker.events[-1].id))


def accepted(stage: Stage, who: Person = ADA, prompt: str = PROMPT, **more: Any) -> UUID:
    """A task of somebody in Discord, as codex-intake leaves it."""
    metadata = {"caller": f"discord:{who.user_id}", "guildId": who.guild_id or ""}
    return stage.accept(prompt, caller=f"discord:{who.user_id}", tenant="default", metadata=metadata, **more)


def said(answered: Acknowledged) -> str:
    """The text of a message that only its user sees, at once."""
    assert (answered.answer["type"], answered.answer["data"]["flags"]) == (4, 64), answered.answer
    assert answered.answer["data"]["allowed_mentions"] == {"parse": []}
    assert "unit-7f3a" not in answered.said
    return answered.said


def test_a_ping_is_answered_with_a_pong(app: Discord, function: Function, broker: Sink) -> None:
    answered = app.interact(function.url, interaction(PING, {}, ADA))
    assert (answered.status, answered.answer) == (200, {"type": 1})
    assert broker.events == []


@pytest.mark.parametrize(
    ("name", "stage_"),
    [("plan", "planning"), ("implement", "implementation"), ("review", "review"), ("PLAN", "planning")],
)
def test_a_command_becomes_one_request_however_often_it_comes(
    app: Discord, function: Function, broker: Sink, name: str, stage_: str
) -> None:
    options = {"prompt": PROMPT, "repository": "o/r", "surprise": "x"}
    document = interaction(COMMAND, command(["codex", name], options), Person(roles=[MAINTAINER]))
    body, headers = signed(KEY, document)
    answers = [
        app.interact(function.url, document).answer,
        json.loads(function.post("/interactions", body, headers).data),
    ]
    assert answers == [{"type": 5}] * 2
    first, again = broker.events
    assert (first.id, first.source, first.type) == (again.id, SOURCE, TASK_REQUESTED)
    assert json.loads(first.data or b"") == {
        "prompt": PROMPT,
        "repository": "o/r",
        "stage": stage_,
        "metadata": {"caller": f"discord:{ADA.user_id}", "guildId": ADA.guild_id},
        "tags": ["discord"],
    }


def test_two_interactions_are_two_requests(app: Discord, function: Function, broker: Sink) -> None:
    for _ in range(2):
        asks(app, function)
    assert len({event.id for event in broker.events}) == 2


def test_a_request_gets_its_card_and_its_session(
    app: Discord, function: Function, broker: Sink, stage: Stage, redis_url: str
) -> None:
    frank = Person(user_id="1000000000000000010")
    answered = asks(app, function, who=frank)
    task = requested(broker)
    assert str(task) in told(answered)
    assert len(stage.rows("SELECT FROM codex_kb.discord_cards WHERE task_id = %(task)s", task)) == 1
    sessions = RedisSessions(Connection(redis_url))
    until(lambda: (found := sessions.get(frank.user_id)) and found.correlation_id == str(task))
    session = sessions.get(frank.user_id)
    assert session and (session.namespace, session.workflow_name) == ("codex", resource_name(task, 1))


def test_what_is_not_signed_by_discord_now_is_refused_without_a_word(function: Function, broker: Sink) -> None:
    body, good = signed(KEY, interaction(COMMAND, command(["codex", "implement"], {"prompt": "x"}), ADA))
    other = SigningKey(b"\x08" * 32).encode().hex()

    def fresh(text: bytes, seconds: float = 0, key: str = KEY) -> dict[str, str]:
        return signed_bytes(key, text, time.time() + seconds)

    attempts = [
        fresh(body, 310),  # first: it is too far ahead for ten seconds only
        {},
        {**good, "X-Signature-Ed25519": ""},
        {**good, "X-Signature-Ed25519": "zz" * 64},
        {**good, "X-Signature-Ed25519": good["X-Signature-Ed25519"][:-2]},
        {**good, "X-Signature-Ed25519": good["X-Signature-Ed25519"] + "00"},
        {**good, "X-Signature-Timestamp": str(int(good["X-Signature-Timestamp"]) + 1)},
        {**good, "X-Signature-Timestamp": "not a time"},
        {**good, "X-Signature-Timestamp": "9" * 40},
        fresh(body, key=other),
        fresh(body, -301),
        fresh(body + b" "),
    ]
    answers = [function.post("/interactions", body, headers) for headers in attempts]
    answers.append(function.post("/interactions", b"not json", fresh(body)))
    assert [(answer.status, answer.data) for answer in answers] == [(401, b"")] * len(answers)
    assert broker.events == []
    assert function.post("/interactions", body, fresh(body, -290)).status == 200


def test_a_thousand_tampered_requests_are_a_thousand_401_and_no_effect(
    app: Discord, function: Function, broker: Sink
) -> None:
    body, headers = signed(KEY, interaction(COMMAND, command(["codex", "implement"], {"prompt": "x"}), ADA))
    before = len(app.messages)
    statuses = []
    for number in range(1000):
        place, bit = number % len(body), 1 << number % 8
        tampered = body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :]
        statuses.append(HTTP.request("POST", f"{function.url}/interactions", body=tampered, headers=headers).status)
    assert statuses == [401] * 1000
    assert (broker.events, len(app.messages)) == ([], before)


def signed_bytes(key: str, body: bytes, now: float) -> dict[str, str]:
    timestamp = str(int(now))
    signature = SigningKey(bytes.fromhex(key)).sign(timestamp.encode() + body).signature.hex()
    return {"X-Signature-Timestamp": timestamp, "X-Signature-Ed25519": signature, "Content-Type": "application/json"}


def test_a_signed_body_that_is_no_interaction_is_malformed(function: Function) -> None:
    wrong = (
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"id": 1, "type": 2}',
        b'{"id": "1", "type": "2"}',
        b'{"id": "x", "type": 1}',
    )
    for body in wrong:
        assert function.post("/interactions", body, signed_bytes(KEY, body, time.time())).status == 400, body


def test_roles_decide_who_may_use_a_command(app: Discord, function: Function, broker: Sink) -> None:
    refusal = "Your roles do not allow this command here."
    holder = Person(roles=[STRANGER, MAINTAINER])
    assert said(asks(app, function, "review", BOB)) == refusal
    assert said(asks(app, function, "REVIEW")) == refusal
    assert said(asks(app, function, "review", Person(roles=[MAINTAINER], guild_id=None))) == refusal
    assert broker.events == []
    asks(app, function, "review", holder)
    assert len(broker.events) == 1


def test_a_command_without_a_rule_is_for_everyone_even_in_direct_messages(
    app: Discord, function: Function, broker: Sink
) -> None:
    told(asks(app, function, "plan", ALONE))
    metadata = json.loads(broker.events[0].data or b"")["metadata"]
    assert metadata == {"caller": f"discord:{ALONE.user_id}", "guildId": ""}


def test_what_is_not_known_is_said_in_private(app: Discord, function: Function, broker: Sink) -> None:
    unknown = [command(["codex", "destroy"], {}), command(["other"], {}), command(["codex"], {})]
    for data in unknown:
        assert said(app.interact(function.url, interaction(COMMAND, data, ADA))).startswith(
            "I do not know this command."
        )
    modal = interaction(MODAL, filled("something", {"content": "x"}), ADA)
    assert said(app.interact(function.url, modal)) == "This button is not one of mine."
    assert broker.events == []


@pytest.mark.parametrize("prompt", ["", "   "])
def test_a_command_without_a_prompt_says_what_is_missing(
    app: Discord, function: Function, broker: Sink, prompt: str
) -> None:
    assert "`prompt` is empty" in said(asks(app, function, "plan", prompt=prompt))
    assert broker.events == []


def test_the_form_of_plan_becomes_a_task(app: Discord, function: Function, broker: Sink) -> None:
    form = app.command(function.url, ["plan"]).answer
    answered = app.submit(function.url, form, {"content": "Plan the next release"})
    assert json.loads(broker.events[0].data or b"")["prompt"] == "Plan the next release"
    assert str(requested(broker)) in told(answered)


def test_a_broker_that_is_away_is_admitted_and_gets_the_task_when_it_is_back(
    app: Discord, function: Function, broker: Sink
) -> None:
    broker.status = 503
    answered = asks(app, function, "plan")
    assert "is not queued yet" in told(answered)
    broker.status = 202
    until(lambda: broker.events)
    task = requested(broker)
    until(lambda: "not queued" not in answered.original.content)
    assert str(task) in answered.original.content


def test_a_slow_broker_does_not_make_discord_wait_longer_than_it_does(
    app: Discord, function: Function, broker: Sink
) -> None:
    """Discord gives an interaction three seconds."""
    broker.open.clear()
    # Acknowledged before the broker has answered: that comes below.
    answered = asks(app, function, "plan")
    assert (answered.answer, broker.events) == ({"type": 5}, [])
    broker.open.set()
    until(lambda: len(broker.events) >= 2)  # It has the task, and it is the same when it comes once more.
    assert len({event.id for event in broker.events}) == 1


def test_a_process_that_is_told_to_stop_says_what_it_could_not_do(
    app: Discord, environment: dict[str, str], broker: Sink, folder: Path
) -> None:
    broker.status = 503
    with running("discord-interaction", environment, folder / "log-stopped") as other:
        answered = asks(app, other, "plan")
        told(answered)
        assert end(other) == 0
    assert "may not have been queued" in answered.original.content


def test_that_it_was_in_vain_is_said_while_the_token_lives(app: Discord, function: Function, broker: Sink) -> None:
    broker.status = 503
    document = interaction(COMMAND, command(["codex", "plan"], {"prompt": PROMPT}), ADA)
    late = app.interact(function.url, document | {"id": snowflake(time.time() - 875)})
    assert "may not have been queued" in told(late)


def test_neither_prompt_nor_interaction_token_reaches_a_log_or_the_database(
    app: Discord, function: Function, broker: Sink, stage: Stage
) -> None:
    answered = asks(app, function)
    told(answered)
    log = function.log.read_text()
    token = answered.known.document["token"]
    assert "unit-7f3a" not in log
    assert token not in log
    for event in broker.events:
        assert token not in str(event)
    assert not [row for row in stage.rows("SELECT c::text AS t FROM codex_kb.discord_cards AS c") if token in row["t"]]


def test_status_shows_what_the_user_asked_for_last(
    app: Discord, function: Function, broker: Sink, stage: Stage
) -> None:
    carol = Person(user_id="1000000000000000003")
    assert "not asked for a task yet" in told(app.command(function.url, ["codex", "status"], {}, carol))
    task = accepted(stage, carol)
    answered = app.command(function.url, ["codex", "status"], {}, carol)
    assert answered.answer == {"type": 5, "data": {"flags": 64}}
    assert str(task) in told(answered)


def test_a_task_is_shown_to_its_own_server_and_to_nobody_else(app: Discord, function: Function, stage: Stage) -> None:
    task = accepted(stage)
    foreign = Person(user_id="1000000000000000004", guild_id="1100000000000000009")
    for name in ("status", "cancel"):
        for who in (foreign, Person(user_id=foreign.user_id, guild_id=None)):
            assert "no task" in told(app.command(function.url, ["codex", name], {"task": str(task)}, who))
        assert "no task" in told(app.command(function.url, ["codex", name], {"task": str(uuid4())}))
    assert "accepted" in told(app.command(function.url, ["codex", "status"], {"task": str(task)}, BOB))
    assert stage.status(task)[0] == "accepted"


def test_a_task_is_canceled_once_by_who_asked_for_it(
    app: Discord, function: Function, broker: Sink, stage: Stage
) -> None:
    task = accepted(stage)
    refused = told(app.command(function.url, ["codex", "cancel"], {"task": str(task)}, BOB))
    assert "Somebody else" in refused
    assert told(app.command(function.url, ["codex", "cancel"], {"task": str(task)})) == f"Task `{task}` is canceled."
    again = told(app.command(function.url, ["codex", "cancel"], {"task": str(task)}))
    assert again == f"Task `{task}` is over already: canceled."
    assert stage.status(task) == ("canceled", f"canceled by discord:{ADA.user_id}")
    until(lambda: broker.types().count("task.finished.v1") == 1)


def test_buttons_do_what_they_say_and_answer_in_private(
    app: Discord, function: Function, broker: Sink, stage: Stage
) -> None:
    card = asks(app, function)
    told(card)
    task = stage.launch(PROMPT, caller=f"discord:{ADA.user_id}", tenant="default")[0]

    def press(kind: str, who: Person = ADA) -> Acknowledged:
        ident = custom_id(TOKEN_SECRET, kind, task, int(time.time()) + 60)
        return app.click(function.url, card.original, ident, who)

    assert "accepted" in told(press("timeline"))
    assert "FACTEUR_DISCORD_GUILD_ID" in told(press("memory"))
    assert told(press("cancel")) == f"Task `{task}` is asked to stop."
    assert "already" in told(press("cancel"))
    until(lambda: broker.types().count("task.cancel-requested.v1") == 1)
    form = press("retry-implement").answer
    assert form["data"]["components"][0]["components"][0]["value"] == PROMPT
    app.submit(function.url, form, {"prompt": "once more", "repository": "", "base": "", "head": ""})
    assert json.loads(broker.events[-1].data or b"")["prompt"] == "once more"
    assert said(press("retry-review")) == "Your roles do not allow this command here."


def test_memory_is_shown_on_the_server_of_the_operator_and_nowhere_else(
    app: Discord, function: Function, environment: dict[str, str], stage: Stage, folder: Path
) -> None:
    stage.remember("The zebra migration needs a lock @everyone ```", tenant="default")
    task = accepted(stage, prompt="The zebra migration goes on")
    ident = custom_id(TOKEN_SECRET, "memory", task, int(time.time()) + 60)
    ours = environment | {"FACTEUR_DISCORD_GUILD_ID": str(ADA.guild_id)}

    def searched(url: str, who: Person) -> str:
        return told(app.command(url, ["codex", "memory"], {"query": "zebra migration"}, who))

    with running("discord-interaction", ours, folder / "log-guild") as other:
        found = searched(other.url, ADA)
        assert "needs a lock" in found and found.count("```") == 2
        card = asks(app, other)
        told(card)
        assert "FACTEUR" not in told(app.click(other.url, card.original, ident))
        assert "FACTEUR_DISCORD_GUILD_ID" in searched(other.url, ALONE)
    for who in (ADA, ALONE, Person(user_id="1000000000000000004", guild_id="1100000000000000009")):
        refused = searched(function.url, who)
        assert "FACTEUR_DISCORD_GUILD_ID" in refused and "lock" not in refused


def proposals(app: Discord, function: Function, option: str, typed: str, who: Person) -> list[str]:
    """What is proposed for an option, once a look takes no longer than it may: until then it is nothing."""
    found: list[str] = []
    name = "status" if option == "task" else "plan"

    def proposed() -> bool:
        found[:] = app.complete(function.url, ["codex", name], {option: typed}, option, who)
        return bool(found)

    until(proposed)
    return found


def test_what_is_typed_is_completed_from_the_users_own_tasks(app: Discord, function: Function, stage: Stage) -> None:
    dora = Person(user_id="1000000000000000005", guild_id="1100000000000000005")
    task = accepted(stage, dora, repository="dora/tools")
    other = accepted(stage, Person(user_id="1000000000000000006", guild_id=None))
    proposed = proposals(app, function, "task", "", dora)
    assert str(task) in proposed and str(other) not in proposed
    assert app.complete(function.url, ["codex", "status"], {"task": "no such"}, "task", dora) == []
    assert proposals(app, function, "repository", "DORA", dora) == ["dora/tools"]


def test_while_the_database_is_away_everything_is_acknowledged_and_admitted(
    app: Discord, environment: dict[str, str], broker: Sink, folder: Path
) -> None:
    away = environment | {"FACTEUR_POSTGRES_DSN": "postgresql://nobody@127.0.0.1:1/none"}
    with running("discord-interaction", away, folder / "log-away") as other:
        assert "the database is away" in told(app.command(other.url, ["codex", "status"], {"task": str(uuid4())}))
        assert "is queued, and I cannot follow it" in told(asks(app, other))
        assert app.complete(other.url, ["codex", "status"], {"task": ""}, "task") == []
    assert len(broker.events) == 1


def test_without_redis_cards_and_status_work_all_the_same(
    app: Discord, environment: dict[str, str], broker: Sink, stage: Stage, folder: Path
) -> None:
    erin = Person(user_id="1000000000000000008")
    task = accepted(stage, erin)
    with running(
        "discord-interaction", environment | {"FACTEUR_REDIS_URL": "redis://127.0.0.1:1"}, folder / "log-no-redis"
    ) as other:
        assert str(task) in told(app.command(other.url, ["codex", "status"], {}, erin))
        answered = asks(app, other)
        assert str(requested(broker)) in told(answered)


def event(**changes: Any) -> CommandEvent:
    """A command as the earlier system's webhook service writes it."""
    payload = {"stage": "implementation", "prompt": PROMPT, "repository": "o/r", "issueNumber": "7", "runId": "1"}
    fields = {
        "provider": "discord",
        "interaction_id": snowflake(time.time()),
        "application_id": "1200000000000000000",
        "command": "plan",
        "token": "an-interaction-token-of-somebody-else",
        "options": {"content": "short", "payload": json.dumps(payload), "mode": "argo"},
        "guild_id": ADA.guild_id,
        "channel_id": ADA.channel_id,
        "user": {"id": ADA.user_id},
        "member": {"id": ADA.user_id, "roles": [STRANGER]},
        "correlation_id": "",
    }
    return CommandEvent(**{**fields, **changes})


def deliver(function: Function, command_: CommandEvent | bytes, **headers: str) -> BaseHTTPResponse:
    body = command_ if isinstance(command_, bytes) else command_.SerializeToString()
    return function.post("/events", body, authorised(**headers))


def record() -> dict[str, str]:
    """The headers of a Kafka source."""
    return {
        "ce-specversion": "1.0",
        "ce-id": f"partition:0/offset:{uuid4().int % 10**9}",
        "ce-source": "/apis/v1/namespaces/facteur/kafkasources/discord#discord.commands.incoming",
        "ce-type": KAFKA_RECORD,
        "content-type": "application/x-protobuf",
    }


def test_a_command_event_is_launched_once_raw_or_as_a_kafka_record(function: Function, broker: Sink) -> None:
    asked = event()
    answers = [deliver(function, asked), deliver(function, asked, **record())]
    assert [answer.status for answer in answers] == [202, 202]
    first, again = broker.events
    assert first.id == again.id
    task = requested(broker)
    expected = {"workflowName": resource_name(task, 1), "namespace": "codex", "correlationId": resource_name(task, 1)}
    assert [json.loads(answer.data) for answer in answers] == [{**expected, "taskId": str(task)}] * 2
    assert json.loads(first.data or b"") == {
        "prompt": PROMPT,
        "repository": "o/r",
        "stage": "implementation",
        "issueNumber": 7,
        "metadata": {"caller": f"discord:{ADA.user_id}", "guildId": ADA.guild_id},
        "tags": ["discord"],
    }


def test_the_same_interaction_through_both_doors_is_one_task(app: Discord, function: Function, broker: Sink) -> None:
    answered = asks(app, function)
    deliver(function, event(interaction_id=answered.known.document["id"]))
    assert len({event_.id for event_ in broker.events}) == 1


def test_a_correlation_id_is_given_back(function: Function, broker: Sink) -> None:
    assert json.loads(deliver(function, event(correlation_id="corr-1")).data)["correlationId"] == "corr-1"


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"command": ""}, 400, "missing command"),
        ({"command": "destroy"}, 422, "unknown command"),
        ({"interaction_id": ""}, 422, "missing interaction_id"),
        ({"options": {"payload": "no json"}}, 422, "the option payload is not JSON"),
        ({"options": {}}, 422, "prompt"),
        ({"options": {"prompt": "x\0y"}}, 422, "prompt"),
        ({"options": {"payload": '{"prompt": "\\ud800"}'}}, 422, "prompt"),
        ({"interaction_id": "an id"}, 422, "no id of Discord"),
        ({"user": {"id": "4\0002"}}, 422, "no id of Discord"),
        ({"command": "review"}, 403, "roles"),
        ({"options": {"payload": '{"stage": "review", "prompt": "x"}'}}, 403, "roles"),
    ],
    ids=[
        "no command",
        "unknown",
        "no interaction",
        "payload",
        "no prompt",
        "U+0000",
        "surrogate",
        "interaction",
        "user",
        "role",
        "role of the stage",
    ],
)
def test_what_is_wrong_for_ever_is_parked_without_its_token_and_not_retried(
    function: Function, broker: Sink, stage: Stage, changes: dict[str, Any], status: int, detail: str
) -> None:
    headers = record()
    answer = deliver(function, event(**changes), **headers)
    assert (answer.status, detail in json.loads(answer.data)["detail"]) == (status, True), answer.data
    (letter,) = stage.rows(
        "SELECT event, error_code, reason FROM codex_kb.dead_letters WHERE event_id = %(id)s", id=headers["ce-id"]
    )
    assert letter["error_code"] == str(status)
    assert "an-interaction-token" not in letter["event"]
    assert "YW4taW50ZXJhY3Rpb24tdG9rZW4" not in letter["event"]  # nor in base64
    assert broker.events == []


@pytest.mark.parametrize("stage_", [[], {}], ids=repr)
def test_a_stage_of_another_type_is_no_stage(function: Function, broker: Sink, stage_: Any) -> None:
    payload = json.dumps({"stage": stage_, "prompt": PROMPT})
    assert deliver(function, event(options={"payload": payload}), **record()).status == 202
    assert json.loads(broker.events[0].data or b"")["stage"] == "planning"


def test_a_record_that_cannot_be_read_is_parked_without_its_bytes(function: Function, stage: Stage) -> None:
    headers = record()
    answer = deliver(function, b"\xff\xff an-interaction-token", **headers)
    assert (answer.status, json.loads(answer.data)["detail"]) == (400, "invalid payload")
    assert json.loads(deliver(function, b"").data)["detail"] == "empty payload"
    (letter,) = stage.rows("SELECT event FROM codex_kb.dead_letters WHERE event_id = %(id)s", id=headers["ce-id"])
    assert "data" not in json.loads(letter["event"]) and "data_base64" not in json.loads(letter["event"])


def test_a_source_that_finds_the_broker_away_is_told_to_come_again(function: Function, broker: Sink) -> None:
    broker.status = 503
    asked = event()
    assert deliver(function, asked).status == 503
    broker.status = 202
    assert deliver(function, asked).status == 202
    assert len(broker.events) == 1


def test_commands_of_others_need_a_token_unless_the_door_is_open(
    function: Function, environment: dict[str, str], broker: Sink, folder: Path
) -> None:
    body = event().SerializeToString()
    assert function.post("/events", body).status == 401
    assert function.post("/events", body, authorised("an-unknown-token")).status == 401
    assert broker.events == []
    opened = environment | {"FACTEUR_DISCORD_EVENTS_OPEN": "true"}
    with running("discord-interaction", opened, folder / "log-open") as other:
        assert other.post("/events", body).status == 202
        assert other.post("/events", body, authorised("an-unknown-token")).status == 401


def test_the_events_of_tasks_are_answered_without_a_body(function: Function, stage: Stage) -> None:
    for happened in (tick(), announce(TaskAccepted(uuid4()), "codex-intake", None)):
        answer = function.deliver(happened)
        assert (answer.status, answer.data) == (204, b"")
    assert function.deliver(Event("1", "/x", "unknown.type")).status == 422
