"""An OpenTelemetry collector that keeps what it is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.serving import serving


@dataclass
class Collector:
    """`traces` are the ids of the traces of all spans; `metrics` come as they were exported."""

    url: str = ""
    traces: list[str] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def points(self, name: str) -> list[Any]:
        """Every point of a metric, in the order of export."""
        found = [metric for metric in self.metrics if metric.name == name]
        return [point for metric in found for kind in (metric.sum, metric.histogram) for point in kind.data_points]

    def total(self, name: str, **labels: str) -> int:
        """The sum of a counter's points with these labels."""
        return sum(int(point.as_int) for point in self.points(name) if labels_of(point) == labels)

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.traces.extend(span.trace_id.hex() for span in scope.spans)
        elif path == "/v1/metrics":
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                named = {one.key: one.value.string_value for one in measured.resource.attributes}
                self.services.add(named["service.name"])
                for part in measured.scope_metrics:
                    self.metrics.extend(part.metrics)


def labels_of(point: Any) -> dict[str, str]:
    return {label.key: label.value.string_value for label in point.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    with serving(server) as collector.url:
        yield collector
