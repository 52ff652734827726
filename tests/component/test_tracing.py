"""Spans are exported where an endpoint is set, and a collector that is away holds nothing up."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.collector import Collector, collecting
from tests.component.functions import await_health, end, running, settings, start

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def environment(folder: Path, endpoint: str) -> dict[str, str]:
    env = settings("postgresql://x@127.0.0.1:1/x", "http://127.0.0.1:1", folder)
    return {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}


def test_spans_of_the_callers_trace_are_exported_before_the_function_ends(collector: Collector, tmp_path: Path) -> None:
    with running("discord-interaction", environment(tmp_path, collector.url), tmp_path / "log") as function:
        assert function.post("/interactions", b"{}", {"traceparent": PARENT}).status == 401
    assert TRACE in collector.traces


def test_a_collector_that_is_away_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    function = start("discord-interaction", environment(tmp_path, "http://127.0.0.1:1"), tmp_path / "log")
    await_health(function)
    function.post("/interactions", b"{}", {"traceparent": PARENT})
    began = time.monotonic()
    assert end(function) == 0
    assert time.monotonic() - began < 5


def test_the_sdk_is_not_loaded_without_an_endpoint(tmp_path: Path) -> None:
    code = (
        "from shared import telemetry; telemetry.set_up('test', {}); import sys; "
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
