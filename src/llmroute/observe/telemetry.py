"""OpenTelemetry: spans and metrics of calls, sent to a collector from a thread of their own.

The event loop only puts records into a queue.  A collector that is away costs what waits for it,
and a line in the log.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmroute.config.telemetry import Telemetry as Settings
from llmroute.observe import conventions
from llmroute.observe.metrics import Reading
from llmroute.observe.record import Record

__all__ = ["Telemetry", "wanted"]

_log = logging.getLogger("llmroute")

_MOST: Final = 10_000  # calls that may wait
_BATCH: Final = 128  # calls of one export
_INTERVAL: Final = 1.0  # seconds between two exports
_GRACE: Final = 5.0  # seconds for the last ones
_GRACE_AWAY: Final = 0.5  # the same where nobody took the ones before
_NANO: Final = 1e9
_ADDRESSES: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
# What the conventions ask for.
_BOUNDS: Final[Mapping[str, tuple[str, tuple[float, ...]]]] = {
    conventions.TOKENS: ("{token}", tuple(4.0**n for n in range(14))),
    conventions.DURATION: ("s", tuple(0.01 * 2**n for n in range(14))),
    conventions.FIRST_TOKEN: (
        "s",
        (*(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1), *(0.25, 0.5, 0.75), *(1, 2.5, 5), 10),
    ),
}


def wanted(settings: Settings | None, environ: Mapping[str, str]) -> Settings | None:
    """Return what to tell a collector; `None` if nobody asks for it.

    Args:
        settings: The configuration's; they stand above the environment.
        environ: OpenTelemetry's own variables are looked up here.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if settings is None:
        if not any(environ.get(name) for name in _ADDRESSES):
            return None
        settings = Settings()
    silent = {
        name: False
        for name in ("traces", "metrics")
        if environ.get(f"OTEL_{name.upper()}_EXPORTER", "").strip().lower() == "none"
    }
    settings = settings.model_copy(update=silent)
    return settings if settings.enabled and (settings.traces or settings.metrics) else None


class Telemetry:
    """An observer that tells a collector of calls.

    Attributes:
        dropped: How many calls it was not told of.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], *, version: str = ""
    ) -> None:
        """Prepare; this imports the SDK, and nothing is sent before `start()`.

        Args:
            settings: What is told, and where.
            environ: What says the rest: the exporters read the process's own as well.
            version: Of this program.
        """
        from opentelemetry.sdk.resources import Resource

        self.dropped = 0
        self._waiting: deque[Record] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._away: set[str] = set()
        name = settings.service_name or environ.get("OTEL_SERVICE_NAME") or "llmroute"
        resource = Resource.create(
            {
                "service.name": name,
                "service.version": version,
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        self._spans = _Spans(settings, resource) if settings.traces else None
        self._meter = _Meter(settings, resource, self._sent) if settings.metrics else None

    def record(self, record: Record) -> None:
        """Take note of a call that is over."""
        if len(self._waiting) < _MOST:
            self._waiting.append(record)
        else:
            self.dropped += 1

    def readings(self) -> Iterable[Reading]:
        """Return how many calls the collector was not told of."""
        return [Reading("llmroute_telemetry_dropped", self.dropped)]

    def start(self) -> None:
        """Begin to send, in a thread that ends with the program, or with `close()`."""
        self._thread = threading.Thread(target=self._run, name="llmroute telemetry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what is left, if the collector takes it within seconds; this waits for it."""
        grace = _GRACE_AWAY if self._away else _GRACE
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(grace)
            self._thread = None
        if self._spans is not None:
            self._spans.close()
        if self._meter is not None:
            self._meter.close(grace)

    def work(self) -> None:
        """Send what waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            if self._meter is not None:
                self._meter.measure(batch)
            if self._spans is not None:
                took = self._spans.send(batch)
                self._sent("spans", is_taken=took)
                self.dropped += 0 if took else len(batch)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_INTERVAL)
            try:
                self.work()
            except Exception:  # noqa: BLE001 - the reason is below
                # A thread that ended here would be missed by nobody.
                _log.exception("telemetry met a fault of its own; it goes on")

    def _sent(self, what: str, *, is_taken: bool) -> None:
        if is_taken and what in self._away:
            self._away.discard(what)
            _log.warning("the collector takes %s again", what)
        elif not is_taken and what not in self._away:
            self._away.add(what)
            _log.warning("the collector takes no %s; they are dropped until it does", what)


class _Spans:
    """Makes spans of records."""

    def __init__(self, settings: Settings, resource: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import SpanExportResult
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        class Collected(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                ended.append(span)

        ended: list[Any] = []
        self._ended = ended
        self._trace = trace
        self._propagator = TraceContextTextMapPropagator()
        self._success = SpanExportResult.SUCCESS
        sample = settings.sample
        provider = TracerProvider(
            sampler=None if sample is None else ParentBased(TraceIdRatioBased(sample)),
            resource=resource,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Collected())
        self._tracer = provider.get_tracer("llmroute")
        self._exporter = OTLPSpanExporter(**_address(settings, "traces"))

    def send(self, records: Sequence[Record]) -> bool:
        """Send the spans of these calls; return whether the collector has taken them."""
        for record in records:
            self._add(record)
            time.sleep(0)
        spans, self._ended[:] = list(self._ended), []
        return not spans or self._exporter.export(spans) is self._success

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _add(self, record: Record) -> None:
        trace, started = self._trace, int(record.at * _NANO)
        whole = self._tracer.start_span(
            conventions.call_name(record),
            context=self._begun(record),
            kind=trace.SpanKind.SERVER,
            attributes=conventions.call_attributes(record),
            start_time=started,
        )
        if whole.is_recording():
            within = trace.set_span_in_context(whole)
            answering = conventions.answering(record)
            for number, attempt in enumerate(record.attempts):
                answers = number == answering
                began = started + int(attempt.began * _NANO)
                span = self._tracer.start_span(
                    conventions.attempt_name(record, attempt),
                    context=within,
                    kind=trace.SpanKind.CLIENT,
                    attributes=conventions.attempt_attributes(record, attempt, answers=answers),
                    start_time=began,
                )
                broke = answers and record.outcome == "broken"
                if attempt.error or broke:
                    span.set_status(trace.StatusCode.ERROR)
                if answers:
                    span.end(started + int(record.duration * _NANO))
                else:
                    span.end(began + int(attempt.seconds * _NANO))
        if record.outcome in ("failed", "broken"):
            whole.set_status(trace.StatusCode.ERROR)
        whole.end(started + int(record.duration * _NANO))

    def _begun(self, record: Record) -> Any:
        """Return what a client's span is to a new one's; nothing, if there is none."""
        given = {"traceparent": record.trace, "tracestate": record.trace_state}
        return self._propagator.extract(given)


class _Meter:
    """Measures calls."""

    def __init__(self, settings: Settings, resource: Any, sent: Any) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import (
            MetricExportResult,
            PeriodicExportingMetricReader,
        )

        class Exporter(OTLPMetricExporter):
            def export(self, *args: Any, **named: Any) -> MetricExportResult:
                result = super().export(*args, **named)
                sent("metrics", is_taken=result is MetricExportResult.SUCCESS)
                return result

        reader = PeriodicExportingMetricReader(Exporter(**_address(settings, "metrics")))
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("llmroute")
        self._instruments = {
            name: meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=bounds)
            for name, (unit, bounds) in _BOUNDS.items()
        }

    def measure(self, records: Sequence[Record]) -> None:
        for record in records:
            for name, value, attributes in conventions.measures(record):
                self._instruments[name].record(value, attributes)
            time.sleep(0)  # or the event loop would have to wait for five milliseconds

    def close(self, grace: float) -> None:
        self._provider.shutdown(timeout_millis=grace * 1000)


def _address(settings: Settings, what: str) -> dict[str, Any]:
    """Return an exporter's own settings; what is left out it finds in the environment."""
    found: dict[str, Any] = {}
    if settings.endpoint is not None:
        found["endpoint"] = f"{settings.endpoint}/v1/{what}"
    if settings.headers:
        found["headers"] = {
            name: value.get_secret_value() for name, value in settings.headers.items()
        }
    return found
