"""Metrics reach a collector as what was counted since the last time, and cost nothing without one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from shared.events import codec
from shared.events.catalogue import TASK_REQUESTED, TaskAccepted, TaskPrepared, announce
from shared.events.event import Event
from shared.instruments import INSTRUMENTS
from tests.component.collector import Collector, collecting, labels_of
from tests.component.conftest import NO_PROXY, Stage, until
from tests.component.functions import Sink, running, settings
from tests.contract.embedders.openai_server import KEY, Answer, openai_server, well
from tests.discord.simulator import discord

PROCESSED = "facteur_command_events_processed_total"
FAILED = "facteur_command_events_failed_total"
TAKEN = "facteur_intake_tasks_total"
BURIED = "facteur_command_events_dlq_total"
REPORTS = "facteur_callback_reports_total"
EVENTS = "facteur_callback_events_total"
REPORT_DURATION = "facteur_callback_duration_ms"
LAUNCHES = "facteur_launches_total"
DURATION = "facteur_command_events_duration_ms"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# Longer than any test: what is exported is exported at the end.
SELDOM = {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def environment(stage: Stage, broker: Sink, folder: Path) -> dict[str, str]:
    return settings(stage.dsn, broker.url, folder) | SELDOM


def requested(data: bytes = b'{"prompt": "count me"}', event_type: str = TASK_REQUESTED) -> Event:
    return Event(str(uuid4()), "/tests", event_type, datacontenttype="application/json", data=data)


def temporalities(collector: Collector) -> set[int]:
    return {(m.sum if m.HasField("sum") else m.histogram).aggregation_temporality for m in collector.metrics}


def test_what_was_counted_arrives_when_the_function_stops(
    environment: dict[str, str], collector: Collector, folder: Path
) -> None:
    with running("codex-intake", environment | {ENDPOINT: collector.url}, folder / "log") as intake:
        assert [intake.deliver(requested()).status for _ in range(3)] == [204] * 3
        assert intake.deliver(requested(b"not json")).status == 400
        assert intake.deliver(requested(event_type=f"a.type.of.{uuid4()}")).status == 422
        assert intake.post("/", b"no event").status == 400
        for event in (requested(), requested(event_type=f"a.type.of.{uuid4()}")):
            headers, body = codec.encode(event)
            assert intake.post("/dead-letters", body, headers).status == 204
        assert collector.metrics == []
    assert collector.services == {"codex-intake"}
    assert collector.total(PROCESSED, command="task.requested") == 3
    assert collector.total(FAILED, command="task.requested") == 1
    assert collector.total(FAILED, command="(unknown)") == 2
    assert collector.total(BURIED, command="task.requested") == 1
    assert collector.total(BURIED, command="(unknown)") == 1
    assert collector.total(TAKEN, door="event", outcome="accepted") == 3
    assert collector.total(TAKEN, door="event", outcome="refused") == 1
    durations = {labels_of(point)["command"]: point for point in collector.points(DURATION)}
    assert {command: point.count for command, point in durations.items()} == {"task.requested": 4, "(unknown)": 2}
    assert all(0 < point.min <= point.max < 30_000 for point in durations.values())
    assert {metric.name: metric.unit for metric in collector.metrics} == {
        name: instrument.unit
        for name, instrument in INSTRUMENTS.items()
        if name != LAUNCHES
        and not name.startswith(("facteur_callback_", "facteur_discord_", "facteur_memory_", "graf_"))
    }


def test_calls_of_the_embedding_api_are_timed_and_their_failures_counted(
    environment: dict[str, str], collector: Collector, stage: Stage, folder: Path
) -> None:
    openai = {"OPENAI_API_KEY": KEY, "OPENAI_EMBEDDING_DIMENSION": "64", **NO_PROXY}
    with openai_server() as api:
        env = environment | openai | {"OPENAI_BASE_URL": api.base_url, ENDPOINT: collector.url}
        with running("embedder", env, folder / "log") as embedder:
            for answer in (well, lambda _: Answer(429, {"error": {"message": "slow down"}})):
                api.respond = answer
                asked = len(api.requests)
                task = stage.accept(f"text {uuid4()}")
                assert embedder.deliver(announce(TaskAccepted(task), "codex-intake", None)).status == 204
                until(lambda asked=asked: len(api.requests) > asked)  # type: ignore[misc]
    assert collector.total("graf_codex_embedding_failures_total", why="throttled") == 1
    (duration,) = collector.points("graf_codex_embedding_duration_ms")
    assert (duration.count, labels_of(duration)) == (2, {})


def test_acknowledgements_and_edits_in_discord_are_counted(
    environment: dict[str, str], collector: Collector, folder: Path
) -> None:
    with discord() as app:
        env = environment | app.settings() | {ENDPOINT: collector.url}
        with running("discord-interaction", env, folder / "log") as function:
            answered = app.command(function.url, ["codex", "status"])
            until(lambda: answered.original.history)
            app.command(function.url, ["plan"])
    counts = {labels_of(point)["kind"]: point.count for point in collector.points("facteur_discord_ack_duration_ms")}
    assert counts == {"command": 2}
    assert collector.total("facteur_discord_edits_total", outcome="edited") == 1


def test_launches_are_counted_by_how_they_ended(
    environment: dict[str, str], collector: Collector, stage: Stage, folder: Path
) -> None:
    with running("dispatcher", environment | {ENDPOINT: collector.url}, folder / "log") as dispatcher:
        for mode in ("direct", "direct", "temporal"):
            task = stage.accept(f"mode {mode}", mode=mode)
            assert dispatcher.deliver(announce(TaskPrepared(task), "embedder", None)).status == 204
    assert collector.total(LAUNCHES, mode="direct", outcome="launched") == 2
    assert collector.total(LAUNCHES, mode="temporal", outcome="failed") == 1


def test_reports_are_counted_by_what_became_of_them(
    environment: dict[str, str], collector: Collector, stage: Stage, folder: Path
) -> None:
    task, token = stage.launch()
    path = f"/v1/codex/tasks/{task}/events"
    with running("callback", environment | {ENDPOINT: collector.url}, folder / "log") as callback:
        for sequence, kind in ((1, "progress"), (1, "progress"), (2, "completed"), (3, "progress")):
            event = {"eventId": f"e{sequence}", "sequence": sequence, "eventType": kind}
            callback.post(path, json.dumps(event).encode(), token)
        callback.post(path, b"[]", token)
        callback.post(path, b"[]", {})
    assert collector.total(EVENTS, outcome="accepted") == 2
    assert collector.total(EVENTS, outcome="duplicate") == 1
    outcomes = {"accepted": 3, "fenced": 1, "refused": 2}
    assert {outcome: collector.total(REPORTS, outcome=outcome) for outcome in outcomes} == outcomes
    assert {labels_of(point)["outcome"]: point.count for point in collector.points(REPORT_DURATION)} == outcomes


@pytest.mark.parametrize(
    ("preference", "temporality", "last"),
    [
        ("", metrics_pb2.AGGREGATION_TEMPORALITY_DELTA, 1),
        ("cumulative", metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE, 2),
    ],
)
def test_counters_are_deltas_unless_the_collector_wants_sums(
    environment: dict[str, str], collector: Collector, folder: Path, preference: str, temporality: int, last: int
) -> None:
    often = {ENDPOINT: collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "100"}
    wanted = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": preference}
    with running("codex-intake", environment | often | wanted, folder / "log") as intake:
        intake.deliver(requested())
        until(lambda: collector.points(PROCESSED))
        intake.deliver(requested())
    values = [point.as_int for point in collector.points(PROCESSED)]
    assert (values[0], values[-1]) == (1, last)
    assert preference or len(values) == 2
    assert temporalities(collector) == {temporality}


@pytest.mark.parametrize(("signal", "traces", "metrics"), [("TRACES", True, False), ("METRICS", False, True)])
def test_each_signal_may_have_its_endpoint_alone(
    environment: dict[str, str], collector: Collector, folder: Path, signal: str, traces: bool, metrics: bool
) -> None:
    endpoint = {f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": f"{collector.url}/v1/{signal.lower()}"}
    with running("codex-intake", environment | endpoint, folder / "log") as intake:
        intake.deliver(requested())
    assert (bool(collector.traces), bool(collector.metrics)) == (traces, metrics)


def test_without_an_endpoint_nothing_is_loaded_and_a_count_costs_next_to_nothing() -> None:
    code = """
import sys, time, timeit
from shared import telemetry
telemetry.set_up("tests", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ""})
def call():
    telemetry.count("facteur_command_events_failed_total", command="tick")
    telemetry.measure("facteur_command_events_duration_ms", 1.5, command="tick")
best = min(timeit.repeat(call, timer=time.process_time, number=10_000, repeat=5)) / 10_000
names = ("opentelemetry.sdk", "opentelemetry.metrics", "opentelemetry.exporter", "shared.instruments")
print(best * 1e6, [name for name in sys.modules if name.startswith(names)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    microseconds, loaded = done.stdout.split(maxsplit=1)
    assert loaded.strip() == "[]"
    assert float(microseconds) < 4, "two calls"
