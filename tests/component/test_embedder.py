"""embedder over HTTP: every text gets its vector once, and no task waits for one."""

import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from shared.domain.run import RunState
from shared.events.catalogue import Fact, RunReported, TaskAccepted, TaskFinished, announce
from shared.events.event import Event
from shared.local.state import free_port
from shared.postgres.database import Row
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.runs import PgRuns
from shared.redis.connection import Connection
from shared.redis.pace import RedisPace
from tests.component.conftest import NO_PROXY, Stage, tick, until
from tests.component.functions import Function, Sink, authorised, running, settings
from tests.contract.embedders.openai_server import KEY, Answer, OpenAIServer, openai_server, refusal, well
from tests.patience import PATIENCE

OFFLINE = "facteur-offline-lexical-v1:512"
_OFFERED = """
INSERT INTO codex_kb.memory_trials (task_id, tenant, repository, round, topic, arm, share, base, decided_at)
VALUES (%(task)s, 'default', '', 0, '', 'all', 0, 0.5, now() - %(seconds)s::float * interval '1 second')
"""
_FINISHED = """
UPDATE codex_kb.codex_tasks SET status = 'succeeded', finished_at = now() - %(seconds)s::float * interval '1 second'
WHERE id = %(task)s
"""
OPENAI = {"OPENAI_API_KEY": KEY, "OPENAI_EMBEDDING_DIMENSION": "64", **NO_PROXY}


@pytest.fixture(scope="module")
def embedder(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("embedder", settings(stage.dsn, module_sink.url, folder), folder / "log") as function:
        yield function


def memories(stage: Stage, task: UUID) -> list[Row]:
    rows = stage.rows(
        "SELECT kind, chunk, content, model, embedding IS NOT NULL AS embedded, repository, namespaces, tags "
        "FROM codex_kb.codex_task_memory_index LEFT JOIN codex_kb.codex_task_memory_vectors USING (content_hash) "
        "WHERE task_id = %(task)s ORDER BY kind, source_ref, chunk",
        task,
    )
    return list(rows)


def said(fact: Fact, source: str = "codex-intake") -> Event:
    return announce(fact, source, None)


def deliver(function: Function, event: Event) -> None:
    answer = function.deliver(event)
    assert (answer.status, answer.data) == (204, b"")


def test_an_accepted_task_is_embedded_and_prepared_once(embedder: Function, stage: Stage, broker: Sink) -> None:
    task = stage.accept("Rename the service", repository="o/r", tags=("a", "b"))
    event = said(TaskAccepted(task))
    for _ in range(3):
        deliver(embedder, event)
    assert memories(stage, task) == [
        {
            "kind": "prompt",
            "chunk": 0,
            "content": "Rename the service",
            "model": OFFLINE,
            "embedded": True,
            "repository": "o/r",
            "namespaces": [],
            "tags": ["a", "b"],
        }
    ]
    assert [(event.type.split(".", 3)[3], event.subject) for event in broker.events] == [
        ("task.prepared.v1", str(task))
    ]
    assert stage.status(task)[0] == "prepared"


def test_ten_deliveries_at_the_same_moment_prepare_once(embedder: Function, stage: Stage, broker: Sink) -> None:
    task = stage.accept("At the same moment")
    event = said(TaskAccepted(task))
    threads = [threading.Thread(target=deliver, args=(embedder, event)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broker.types() == ["task.prepared.v1"]
    assert len(memories(stage, task)) == 1


def finished(stage: Stage, seconds_ago: float) -> UUID:
    """A task that was offered memories, and succeeded."""
    task = stage.remember("Ended without a word")
    stage.change(_OFFERED, task, seconds=seconds_ago + 60)
    stage.change(_FINISHED, task, seconds=seconds_ago)
    return task


def learned(stage: Stage, task: UUID) -> float | None:
    (row,) = stage.rows("SELECT success FROM codex_kb.memory_trials WHERE task_id = %(task)s", task)
    success: float | None = row["success"]
    return success


def test_an_outcome_is_learned_from_whether_or_not_the_texts_of_the_task_can_be_stored(
    embedder: Function, stage: Stage
) -> None:
    task = finished(stage, 0)
    with stage.locked(task):
        assert embedder.deliver(said(TaskFinished(task, "succeeded"), "callback")).status == 409
    assert learned(stage, task) == 1.0


def test_the_tick_learns_from_an_outcome_that_never_got_through(embedder: Function, stage: Stage) -> None:
    task, recent = finished(stage, 70), finished(stage, 0)
    deliver(embedder, tick())
    assert (learned(stage, task), learned(stage, recent)) == (1.0, None)


def test_an_event_about_a_task_that_does_not_exist_does_no_harm(embedder: Function, stage: Stage) -> None:
    task = uuid4()
    deliver(embedder, said(TaskAccepted(task)))
    assert memories(stage, task) == []


def test_a_late_announcement_does_not_move_a_run_back(embedder: Function, stage: Stage) -> None:
    task, _ = stage.launch("Already running")
    deliver(embedder, said(TaskAccepted(task)))
    assert stage.status(task)[0] == "running"


def test_a_long_text_is_embedded_in_pieces_of_which_none_is_lost(embedder: Function, stage: Stage) -> None:
    lines = [f"line {number} of a very long prompt\n" for number in range(400)]
    task = stage.accept("".join(lines))
    deliver(embedder, said(TaskAccepted(task)))
    pieces = memories(stage, task)
    assert len(pieces) > 1
    assert all(piece["embedded"] for piece in pieces)
    assert "\n".join(piece["content"] for piece in pieces).split("\n") == [line.strip() for line in lines]


def test_no_credential_of_a_prompt_reaches_the_memory_index(embedder: Function, stage: Stage) -> None:
    secrets = ["ghp_" + "a1B2" * 9, "hunter2-and-more", "AKIA" + "ABCD1234" * 2]
    task = stage.accept(f"use {secrets[0]}\npassword: {secrets[1]}\nkey {secrets[2]}\nand deploy")
    deliver(embedder, said(TaskAccepted(task)))
    (row,) = memories(stage, task)
    assert not any(secret in row["content"] for secret in secrets)
    assert "and deploy" in row["content"]
    assert not any(secret in embedder.log.read_text() for secret in secrets)


def test_what_a_run_left_is_embedded_when_it_reports_and_when_it_ends(embedder: Function, stage: Stage) -> None:
    task, _ = stage.launch("Change the limits")
    deliver(embedder, said(TaskAccepted(task)))
    stage.rows(
        "INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest) "
        "VALUES (gen_random_uuid(), %(task)s, 1, 'after', 'limits: 2Gi', '') RETURNING id",
        task,
    )
    deliver(embedder, said(RunReported(task, 1, 3), "callback"))
    assert [row["kind"] for row in memories(stage, task)] == ["prompt", "snapshot-after"]
    (run,) = [one.run for one in PgRuns(stage.database).open() if one.run.id == task]
    finished = said(TaskFinished(task, "failed"), "dispatcher")
    PgRuns(stage.database).finish(run, RunState.FAILED, "the quota was exceeded", finished)
    deliver(embedder, finished)
    outcome = memories(stage, task)[0]
    assert outcome["kind"] == "outcome"
    assert re.fullmatch(r"failed: the quota was exceeded \(attempt 1, \d+ s\)", outcome["content"])


def test_a_change_is_remembered_with_its_shape(embedder: Function, stage: Stage) -> None:
    task, _ = stage.launch("Change the image")
    stage.rows(
        "INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest, diff, taken_by)"
        " VALUES (gen_random_uuid(), %(task)s, 1, 'after', 'image: b', '', %(diff)s, 'cluster') RETURNING id",
        task,
        diff='~ apps/v1 Deployment shop/web: spec.template.spec.containers[web].image: "a" -> "b"',
    )
    deliver(embedder, said(RunReported(task, 1, 3), "callback"))
    contents = {row["kind"]: row["content"] for row in memories(stage, task)}
    assert contents["change-shape"] == "apps/v1 Deployment: spec.template.spec.containers[].image changed"
    assert contents["change"].endswith('image: "a" -> "b"')
    trust = stage.rows(
        "SELECT kind, trust, attempt FROM codex_kb.codex_task_memory_index WHERE task_id = %(task)s ORDER BY kind", task
    )
    assert [(row["kind"], row["trust"], row["attempt"]) for row in trust] == [
        ("change", "cluster", 1),
        ("change-shape", "cluster", 1),
        ("prompt", "caller", None),
        ("snapshot-after", "cluster", 1),
    ]


def test_every_piece_of_a_long_manifest_says_what_it_is_of(embedder: Function, stage: Stage) -> None:
    about = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: inventory\n  namespace: shop\n"
    task = stage.accept(about + "data:\n" + "".join(f"  article{n}: some words about it\n" for n in range(300)))
    deliver(embedder, said(TaskAccepted(task)))
    pieces = [row["content"] for row in memories(stage, task)]
    assert len(pieces) > 2
    assert all(piece.startswith(about) for piece in pieces)


# --- an embedding API that is away


def test_without_the_embedding_api_a_task_is_prepared_and_embedded_later(
    openai_stage: Stage, broker: Sink, folder: Path
) -> None:
    task = openai_stage.accept("Embed me later")
    env = settings(openai_stage.dsn, broker.url, folder) | OPENAI
    away = env | {"OPENAI_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    with running("embedder", away, folder / "log-away") as function:
        deliver(function, said(TaskAccepted(task)))
        assert broker.types() == ["task.prepared.v1"]
        (row,) = memories(openai_stage, task)
        assert (row["embedded"], row["model"], row["content"]) == (False, None, "Embed me later")
        deliver(function, tick())
        assert not memories(openai_stage, task)[0]["embedded"]
    with openai_server() as api, running("embedder", env | {"OPENAI_BASE_URL": api.base_url}, folder / "log-2") as back:
        deliver(back, tick())
        (row,) = memories(openai_stage, task)
        assert (row["embedded"], row["model"]) == (True, "text-embedding-3-large:64")
        asked = len(api.requests)
        deliver(back, tick())
        assert len(api.requests) == asked
    assert broker.types() == ["task.prepared.v1"]
    assert KEY not in (folder / "log-away").read_text() + (folder / "log-2").read_text()


@pytest.fixture(scope="module")
def api() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


def refusing_what_is_forbidden(request: Mapping[str, Any]) -> Answer:
    if any("forbidden" in text for text in request["input"]):
        return refusal(400, "this text is not allowed")
    return well(request)


def test_a_text_that_the_api_refuses_for_ever_holds_up_neither_its_task_nor_others(
    openai_stage: Stage, broker: Sink, api: OpenAIServer, folder: Path
) -> None:
    bad, good = openai_stage.accept("forbidden words"), openai_stage.accept("allowed words")
    api.respond = refusing_what_is_forbidden
    env = settings(openai_stage.dsn, broker.url, folder) | OPENAI | {"OPENAI_BASE_URL": api.base_url}
    with running("embedder", env, folder / "log-refuse") as function:
        deliver(function, said(TaskAccepted(bad)))
        deliver(function, tick())
    assert broker.types() == ["task.prepared.v1"]
    assert [row["embedded"] for row in memories(openai_stage, bad)] == [False]
    assert [row["embedded"] for row in memories(openai_stage, good)] == [True]


def test_an_api_at_its_limit_does_not_hold_a_task_up(
    openai_stage: Stage, broker: Sink, api: OpenAIServer, folder: Path
) -> None:
    task = openai_stage.accept("one text too many")
    api.respond = lambda _: Answer(429, {"error": {"message": "slow down"}}, {"Retry-After": "3600"})
    env = settings(openai_stage.dsn, broker.url, folder) | OPENAI | {"OPENAI_BASE_URL": api.base_url}
    with running("embedder", env, folder / "log-limit") as function:
        deliver(function, said(TaskAccepted(task)))
    assert broker.types() == ["task.prepared.v1"]
    assert openai_stage.status(task)[0] == "prepared"


def test_a_broker_that_is_away_leaves_the_event_in_the_outbox(embedder: Function, stage: Stage, broker: Sink) -> None:
    task = stage.accept("Nobody listens")
    broker.status = 503
    deliver(embedder, said(TaskAccepted(task)))
    assert stage.outbox(task) == ["task.prepared.v1"]


def test_a_route_of_another_function_is_not_found(embedder: Function) -> None:
    assert embedder.post("/v1/codex/tasks", b"{}", authorised()).status == 404


# --- an embedding API that fails, and several processes


def test_an_api_that_hangs_holds_no_task_up_and_what_it_makes_late_is_not_made_again(
    openai_stage: Stage, broker: Sink, api: OpenAIServer, folder: Path, redis_url: str
) -> None:
    slow = threading.Event()

    def late(request: Mapping[str, Any]) -> Answer:
        assert slow.wait(PATIENCE)
        return well(request)

    task = openai_stage.accept("an answer that comes late")
    api.respond = late
    env = settings(openai_stage.dsn, broker.url, folder, redis_url) | OPENAI | {"OPENAI_BASE_URL": api.base_url}
    asked = len(api.requests)
    with running("embedder", env, folder / "log-hang") as function:
        deliver(function, said(TaskAccepted(task)))
        assert broker.types() == ["task.prepared.v1"]
        assert [row["embedded"] for row in memories(openai_stage, task)] == [False]
        slow.set()
        deliver(function, tick())
    sent = [text for request in api.requests[asked:] for text in request["input"]]
    assert [row["embedded"] for row in memories(openai_stage, task)] == [True]
    assert sent.count("an answer that comes late") == 1


def test_a_pause_that_one_process_was_asked_for_is_kept_by_every_other(
    openai_stage: Stage, broker: Sink, api: OpenAIServer, folder: Path, redis_url: str
) -> None:
    redis.Redis.from_url(redis_url).flushall()
    api.respond = lambda _: Answer(429, {"error": {"message": "slow down"}}, {"Retry-After": "600"})
    env = settings(openai_stage.dsn, broker.url, folder, redis_url) | OPENAI | {"OPENAI_BASE_URL": api.base_url}
    with running("embedder", env, folder / "log-one") as one, running("embedder", env, folder / "log-two") as two:
        deliver(one, said(TaskAccepted(openai_stage.accept("the first text"))))
        pace = RedisPace(Connection(redis_url), "text-embedding-3-large:64")
        until(pace.pause)
        asked = len(api.requests)
        api.respond = well
        deliver(two, said(TaskAccepted(openai_stage.accept("the second text"))))
        deliver(two, tick())
        assert len(api.requests) == asked
        assert broker.types() == ["task.prepared.v1"] * 2
        redis.Redis.from_url(redis_url).flushall()
        deliver(two, tick())
    assert len(api.requests) > asked, "a process that was not told keeps no pause that Redis has lost"


def test_two_processes_with_the_same_text_at_the_same_moment_send_it_once(
    openai_stage: Stage, broker: Sink, api: OpenAIServer, folder: Path, redis_url: str
) -> None:
    redis.Redis.from_url(redis_url).flushall()
    api.respond = well
    asked = len(api.requests)
    env = settings(openai_stage.dsn, broker.url, folder, redis_url) | OPENAI | {"OPENAI_BASE_URL": api.base_url}
    tasks = [openai_stage.accept("the same words for everybody") for _ in range(16)]
    with (
        running("embedder", env, folder / "log-one") as one,
        running("embedder", env, folder / "log-two") as two,
        ThreadPoolExecutor(16) as threads,
    ):
        list(threads.map(deliver, [one, two] * 8, [said(TaskAccepted(task)) for task in tasks]))
        deliver(one, tick())  # for who did not want to wait longer
    sent = [text for request in api.requests[asked:] for text in request["input"]]
    assert sent.count("the same words for everybody") == 1
    assert all(row["embedded"] for task in tasks for row in memories(openai_stage, task))


# --- the model in use is not the configured one


def test_who_has_no_key_for_the_model_in_use_leaves_texts_waiting_for_who_has(
    openai_stage: Stage, broker: Sink, api: OpenAIServer, folder: Path
) -> None:
    PgMemoryModels(openai_stage.database).in_use("text-embedding-3-large:64")
    task = openai_stage.accept("waits for a key")
    api.respond = well
    without = settings(openai_stage.dsn, broker.url, folder)
    with running("embedder", without, folder / "log-no-key") as function:
        deliver(function, said(TaskAccepted(task)))
        deliver(function, tick())
    assert broker.types() == ["task.prepared.v1"]
    assert [row["embedded"] for row in memories(openai_stage, task)] == [False]
    assert (folder / "log-no-key").read_text().count("facteur memory migrate --to") == 1
    other = without | OPENAI | {"OPENAI_BASE_URL": api.base_url, "OPENAI_EMBEDDING_DIMENSION": "32"}
    with running("embedder", other, folder / "log-other") as function:
        deliver(function, tick())
    assert [row["model"] for row in memories(openai_stage, task)] == ["text-embedding-3-large:64"]


def test_a_switch_is_noticed_by_a_process_that_runs(embedder: Function, stage: Stage) -> None:
    before = stage.accept("embedded before the switch")
    deliver(embedder, said(TaskAccepted(before)))
    PgMemoryModels(stage.database).switch("facteur-offline-lexical-v1-64:64")

    def caught_up() -> bool:
        deliver(embedder, tick())
        return not stage.rows("SELECT FROM codex_kb.codex_task_memory_index WHERE waits")

    until(caught_up)
    assert {row["model"] for row in memories(stage, before)} == {OFFLINE, "facteur-offline-lexical-v1-64:64"}
