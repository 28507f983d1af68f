"""An OpenTelemetry collector on loopback that keeps what it is sent."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


class Collector:
    """What came, decoded; `status` is what the next exports are answered with."""

    def __init__(self):
        self.url = ""
        self.status = 200
        self.raw = b""
        self.headers = []
        self.came = {path: [] for path in KINDS}
        self._changed = threading.Condition()

    def take(self, path, headers, body):
        with self._changed:
            self.raw += body
            self.headers.append(headers)
            self.came[path].append(KINDS[path].FromString(body))
            self._changed.notify_all()

    def wait(self, is_so):
        with self._changed:
            assert self._changed.wait_for(lambda: is_so(self), timeout=20)

    @property
    def spans(self):
        """Every span so far."""
        return [
            span
            for request in self.came["/v1/traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self):
        """The metrics of the last export, by name."""
        (last,) = self.came["/v1/metrics"][-1:]
        return {
            metric.name: metric
            for resource in last.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def plain(attributes):
    """Return attributes as a dict."""
    return {each.key: _value(each.value) for each in attributes}


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


@contextmanager
def collecting():
    """Yield a collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.status == 200:
                collector.take(self.path, dict(self.headers.items()), body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(10)
