"""A receiver of OTLP over HTTP with protobuf, in this process: traces, logs and metrics, and no collector."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def attributes(item: Any) -> dict[str, Any]:
    """Attributes of a span, event, log record, data point or resource as plain values."""
    return {pair.key: _value(pair.value) for pair in item.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)


class OtlpSink:
    """Listens on a port of its own; `spans`, `logs` and `metrics` are what arrived, decoded.

    Set `status` to 503 to see what an exporter does when nobody takes its data.
    """

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.logs: list[Any] = []
        self.metrics: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.status = 200
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if sink.status == 200:
                    sink.take(self.path, body)
                self.send_response(sink.status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """An exporter that goes away in the middle is none of our business."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The standard variables that send a process's telemetry here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}

    def take(self, path: str, body: bytes) -> None:
        """Decode one request."""
        kept: list[Any]
        if path == "/v1/traces":
            groups, kept = ExportTraceServiceRequest.FromString(body).resource_spans, self.spans
            items = [span for group in groups for scope in group.scope_spans for span in scope.spans]
        elif path == "/v1/logs":
            groups, kept = ExportLogsServiceRequest.FromString(body).resource_logs, self.logs
            items = [record for group in groups for scope in group.scope_logs for record in scope.log_records]
        else:
            groups, kept = ExportMetricsServiceRequest.FromString(body).resource_metrics, self.metrics
            items = [metric for group in groups for scope in group.scope_metrics for metric in scope.metrics]
        self.resources += [attributes(group.resource) for group in groups]
        kept += items

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and data of every point of one metric, of the last export that had it."""
        found: Iterable[Any] = ()
        for metric in self.metrics:
            if metric.name == name:
                found = metric.sum.data_points if metric.HasField("sum") else metric.histogram.data_points
        return [(attributes(point), point) for point in found]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
