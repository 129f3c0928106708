"""An OTLP/HTTP receiver on loopback, built on OpenTelemetry's own protobuf messages."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpReceiver:
    """What arrived. `status` is what it answers; `hold` (when cleared) makes it wait before it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def metric(self, name: str) -> Metric:
        """A metric of the last request, by its dotted name."""
        (resource,) = self.metrics[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return next(metric for metric in scope.metrics if metric.name == name)

    def spans(self) -> list[Span]:
        """All spans that arrived."""
        return [
            span for request in self.traces for r in request.resource_spans for s in r.scope_spans for span in s.spans
        ]


@contextlib.contextmanager
def otlp_receiver(port: int = 0) -> Iterator[OtlpReceiver]:
    """A running receiver at `url` + /v1/metrics and /v1/traces; at any free port if none is given."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            receiver.hold.wait(20)
            if receiver.status == 200 and self.path == "/v1/metrics":
                receiver.metrics.append(ExportMetricsServiceRequest.FromString(body))
            elif receiver.status == 200:
                receiver.traces.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests look at what arrived."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
