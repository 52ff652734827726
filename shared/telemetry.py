"""Traces, metrics and logs. OpenTelemetry is loaded only with an endpoint, by `shared/telemetry_export.py`.

Every request runs inside a trace: the caller's (W3C `traceparent` header, or the CloudEvents
distributed-tracing extension), or a new one. Its id is in every log line.
"""

import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

Record = Callable[[float, Mapping[str, str]], None]
Spans = Callable[[str, str], AbstractContextManager[str]]

# Version 00 of the W3C's trace context; neither id may be all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_task_id: ContextVar[str | None] = ContextVar("task_id", default=None)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_TRACES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_METRICS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")

# Set where traces are exported: opens a span and gives its trace context; notes something about it.
_spans: Spans | None = None
_attributes: Callable[[str, str], None] | None = None
# By the name of the instrument; empty where nothing is exported.
_recorders: dict[str, Record] = {}


def log_level(environ: Mapping[str, str] = os.environ) -> str:
    """The level that FACTEUR_LOG_LEVEL names, INFO if it is empty; ValueError if it names none."""
    level = environ.get("FACTEUR_LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in LEVELS:
        raise ValueError(f"FACTEUR_LOG_LEVEL must be one of {', '.join(LEVELS)}")
    return level


def set_up(service: str, environ: Mapping[str, str] = os.environ) -> None:
    """Starts logging for the function `service`, and traces and metrics where an endpoint is set."""
    # No line says where it was written, by which thread or process: let nobody find that out.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine(service))
    logging.basicConfig(level=log_level(environ), handlers=[handler], force=True)
    traces, metrics = (any(environ.get(name) for name in names) for names in (_TRACES, _METRICS))
    if traces or metrics:
        # The SDK costs 70 ms that nobody should pay who exports nothing.
        from shared import telemetry_export

        global _spans, _attributes
        if traces:
            _spans, _attributes = telemetry_export.start_traces(service, environ)
        if metrics:
            _recorders.update(telemetry_export.start_metrics(service, environ))


class RequestSpan:
    """Runs a request inside the trace of `parent` (a W3C traceparent), or a new one if that is none."""

    __slots__ = ("_name", "_parent", "_span", "_task", "_trace")

    def __init__(self, name: str, parent: str | None) -> None:
        self._name = name
        self._parent = parent if parent and _TRACEPARENT.fullmatch(parent) else new_traceparent()

    def __enter__(self) -> None:
        self._span = _spans(self._name, self._parent) if _spans else None
        self._trace = _traceparent.set(self._span.__enter__() if self._span else self._parent)
        self._task = _task_id.set(None)

    def __exit__(self, *failure: Any) -> None:
        _task_id.reset(self._task)
        _traceparent.reset(self._trace)
        if self._span:
            self._span.__exit__(*failure)


def new_traceparent() -> str:
    """A fresh, sampled W3C trace context."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def traceparent() -> str | None:
    """The current W3C trace context, to be carried by events and containers; None outside a request."""
    return _traceparent.get()


def trace_id() -> str | None:
    """The current trace id, 32 hex digits; None outside a request."""
    current = _traceparent.get()
    return current[3:35] if current else None


def about_task(task_id: object) -> None:
    """Puts the task's id into every further log line of this request, and into its span."""
    _task_id.set(str(task_id))
    if _attributes:
        _attributes("facteur.task_id", str(task_id))


def count(name: str, amount: int = 1, **labels: str) -> None:
    """Adds to the counter `name` of the catalogue in `shared/instruments.py`."""
    if _recorders:
        _recorders[name](amount, labels)


def measure(name: str, milliseconds: float, **labels: str) -> None:
    """Puts a duration into the histogram `name` of the catalogue in `shared/instruments.py`."""
    if _recorders:
        _recorders[name](milliseconds, labels)


_encode = json.JSONEncoder(default=str).encode


class _JsonLine(logging.Formatter):
    """One JSON object a line. Only the fields named here can get in."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "message": record.getMessage(),
        }
        extra = {"traceId": trace_id(), "taskId": _task_id.get(), **getattr(record, "facts", {})}
        line.update({key: value for key, value in extra.items() if value is not None})
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["at"] = _where(record)
        return _encode(line)


def _where(record: logging.LogRecord) -> str:
    """The innermost frame of the exception. Its text may hold input, so that is left out."""
    frame = record.exc_info[2] if record.exc_info else None
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
