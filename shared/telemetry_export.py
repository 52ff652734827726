"""Exports traces and metrics by OTLP over HTTP. Importing this loads the OpenTelemetry SDK."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.util import Finalize

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.instruments import INSTRUMENTS, Instrument
from shared.telemetry import Record, Spans

_PROPAGATOR = TraceContextTextMapPropagator()
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
# A collector that is away must not hold up the stop of a function.
_EXPORT_SECONDS = 2


def _at_stop(shut_down: Callable[[], None]) -> None:

    # The server's worker is a child of multiprocessing, which runs its own finalizers and not atexit's.
    Finalize(None, shut_down, exitpriority=1)


def _resource(service: str, environ: Mapping[str, str]) -> Resource:

    return Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or service})


def start_traces(service: str, environ: Mapping[str, str]) -> tuple[Spans, Callable[[str, str], None]]:
    """Exports spans from now on: how to open one, and how to note something about the one that is open."""

    provider = TracerProvider(resource=_resource(service, environ))
    exporter = OTLPSpanExporter(timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=1000 * _EXPORT_SECONDS))
    _at_stop(provider.shutdown)
    tracer = provider.get_tracer("facteur")

    @contextmanager
    def span(name: str, parent: str) -> Iterator[str]:
        inside = _PROPAGATOR.extract({"traceparent": parent}, context.Context())
        with tracer.start_as_current_span(name, inside, SpanKind.SERVER):
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier)
            yield carrier["traceparent"]

    return span, lambda name, value: trace.get_current_span().set_attribute(name, value)


def start_metrics(service: str, environ: Mapping[str, str]) -> dict[str, Record]:
    """Exports metrics from now on: how to record each instrument, by its name."""

    # What a pod counted in its short life; sums since its start would begin anew with each pod.
    delta: dict[type, AggregationTemporality] = {
        Counter: AggregationTemporality.DELTA,
        Histogram: AggregationTemporality.DELTA,
    }
    exporter = OTLPMetricExporter(
        timeout=_EXPORT_SECONDS, preferred_temporality=None if environ.get(_TEMPORALITY) else delta
    )
    reader = PeriodicExportingMetricReader(exporter, export_timeout_millis=1000 * _EXPORT_SECONDS)
    provider = MeterProvider([reader], _resource(service, environ))
    meter = provider.get_meter("facteur")
    _at_stop(provider.shutdown)
    return {name: _recorder(meter, name, instrument) for name, instrument in INSTRUMENTS.items()}


def _recorder(meter: Meter, name: str, instrument: Instrument) -> Record:
    if instrument.kind == "counter":
        counter = meter.create_counter(name, instrument.unit, instrument.meaning)
        return lambda amount, labels: counter.add(amount, instrument.bounded(labels))
    histogram = meter.create_histogram(name, instrument.unit, instrument.meaning)
    return lambda amount, labels: histogram.record(amount, instrument.bounded(labels))
