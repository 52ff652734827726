"""Traces and logs. The OpenTelemetry API is always there; its SDK is loaded only with an endpoint.

Every request runs inside a trace: the caller's (W3C `traceparent` header, or the CloudEvents
distributed-tracing extension), or a new one. Its id is in every log line.
"""

import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_task_id: ContextVar[str | None] = ContextVar("task_id", default=None)
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def log_level(environ: Mapping[str, str] = os.environ) -> str:
    """The level that FACTEUR_LOG_LEVEL names, INFO if it is empty; ValueError if it names none."""
    level = environ.get("FACTEUR_LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in _LEVELS:
        raise ValueError(f"FACTEUR_LOG_LEVEL must be one of {', '.join(_LEVELS)}")
    return level


def set_up(service: str, environ: Mapping[str, str] = os.environ) -> None:
    """Starts logging for the function `service`, and tracing where an endpoint is set."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine(service))
    logging.basicConfig(level=log_level(environ), handlers=[handler], force=True)
    if any(environ.get(name) for name in _ENDPOINTS):
        _start_sdk(service, environ)


def _start_sdk(service: str, environ: Mapping[str, str]) -> None:
    # 70 ms that nobody should pay who exports nothing.
    from multiprocessing.util import Finalize

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or service})
    provider = TracerProvider(resource=resource)
    # Short timeouts: a collector that is away must not hold up the stop of a function.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=2), export_timeout_millis=2000))
    trace.set_tracer_provider(provider)
    # The server's worker is a child of multiprocessing, which runs its own finalizers and not atexit's.
    Finalize(None, provider.shutdown, exitpriority=1)


@contextmanager
def request_span(name: str, parent: str | None) -> Iterator[None]:
    """Runs a request inside the trace of `parent` (a W3C traceparent), or a new one if that is none."""
    inside = _PROPAGATOR.extract({"traceparent": parent or ""}, context.Context())
    if not trace.get_current_span(inside).get_span_context().is_valid:
        inside = _PROPAGATOR.extract({"traceparent": new_traceparent()}, context.Context())
    token = context.attach(inside)
    task = _task_id.set(None)
    try:
        with trace.get_tracer("facteur").start_as_current_span(name, kind=SpanKind.SERVER):
            yield
    finally:
        _task_id.reset(task)
        context.detach(token)


def new_traceparent() -> str:
    """A fresh, sampled W3C trace context."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def traceparent() -> str | None:
    """The current W3C trace context, to be carried by events and containers; None outside a request."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """The current trace id, 32 hex digits; None outside a request."""
    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.is_valid else None


def about_task(task_id: object) -> None:
    """Puts the task's id into every further log line of this request."""
    _task_id.set(str(task_id))
    trace.get_current_span().set_attribute("facteur.task_id", str(task_id))


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
        return json.dumps(line, default=str)


def _where(record: logging.LogRecord) -> str:
    """The innermost frame of the exception. Its text may hold input, so that is left out."""
    frame = record.exc_info[2] if record.exc_info else None
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
