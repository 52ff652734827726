"""Logs and traces: one JSON object a line, nothing but named fields, and one trace all the way."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from shared import telemetry

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What a function writes to its log."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root.handlers.clear()  # Not those of the test runner, which set_up would close.
    telemetry.set_up("tests", {})
    yield written
    root.handlers[:] = before
    root.setLevel(level)


def lines(logged: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_trace_and_the_task(logged: StringIO) -> None:
    with telemetry.RequestSpan("tests GET", PARENT):
        telemetry.about_task("task-7")
        logging.getLogger("x").info("said %s", "this\nand that", extra={"facts": {"texts": 2, "absent": None}})
    (line,) = lines(logged)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "service": "tests",
        "message": "said this\nand that",
        "traceId": TRACE,
        "taskId": "task-7",
        "texts": 2,
    }


def test_an_exception_leaves_its_kind_and_place_but_not_its_words(logged: StringIO) -> None:
    try:
        raise ValueError("a-secret-in-an-exception")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    (line,) = lines(logged)
    assert (line["message"], line["error"]) == ("it failed", "ValueError")
    assert "test_telemetry.py:" in line["at"]
    assert "a-secret" not in logged.getvalue()


def test_a_field_that_was_not_named_does_not_get_in(logged: StringIO) -> None:
    logging.getLogger("x").warning("hello", extra={"token": "a-secret"})
    assert "a-secret" not in logged.getvalue()


def test_each_request_has_its_own_task(logged: StringIO) -> None:
    with telemetry.RequestSpan("one", None):
        telemetry.about_task("first")
    with telemetry.RequestSpan("two", None):
        logging.getLogger("x").info("second")
    assert "taskId" not in lines(logged)[0]


def test_a_trace_goes_on_and_a_wrong_one_is_replaced() -> None:
    with telemetry.RequestSpan("tests", PARENT):
        assert telemetry.trace_id() == TRACE
        assert (telemetry.traceparent() or "").split("-")[1] == TRACE
    seen = set()
    for parent in (None, "", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", PARENT.replace("00-", "ff-", 1)):
        with telemetry.RequestSpan("tests", parent):
            seen.add(telemetry.trace_id())
    assert len(seen) == 5
    assert TRACE not in seen


def test_outside_of_a_request_there_is_no_trace() -> None:
    assert telemetry.trace_id() is None
    assert telemetry.traceparent() is None


def test_a_request_does_not_inherit_the_trace_of_the_one_around_it() -> None:
    with telemetry.RequestSpan("outer", PARENT), telemetry.RequestSpan("inner", None):
        assert telemetry.trace_id() != TRACE


@pytest.mark.parametrize(
    ("raw", "level"), [("", "INFO"), ("  ", "INFO"), ("debug", "DEBUG"), (" Warning ", "WARNING"), ("ERROR", "ERROR")]
)
def test_the_level_is_read_from_the_environment(raw: str, level: str) -> None:
    assert telemetry.log_level({"FACTEUR_LOG_LEVEL": raw}) == level


def test_a_wrong_level_is_named_without_an_echo() -> None:
    with pytest.raises(ValueError, match=r"^FACTEUR_LOG_LEVEL must be one of DEBUG, INFO") as refused:
        telemetry.log_level({"FACTEUR_LOG_LEVEL": "loud"})
    assert "loud" not in str(refused.value)


def test_the_sdk_is_loaded_only_where_an_endpoint_is_set() -> None:
    code = (
        "import sys; from shared import telemetry; telemetry.set_up('tests', {env}); "
        "print(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    for env, loaded in (({}, "False"), ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "True")):
        run = subprocess.run([sys.executable, "-c", code.format(env=env)], capture_output=True, text=True, timeout=60)
        assert run.stdout.strip() == loaded, run.stderr
