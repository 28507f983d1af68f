"""Figures for Prometheus: what was counted of calls, and how things are at the moment."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

from llmroute.observe.record import Record

__all__ = ["Instrumented", "Metrics", "Reading"]

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_MICROS: Final = 1e6  # to a dollar
# Keys come and go by the API; what there is of them beyond this is counted as one.
_MOST_KEYS: Final = 1000
_OTHER: Final = "other"
# What the Messages API calls errors. An upstream may make up names, and each would be a series.
_KINDS: Final = frozenset(
    {
        *("invalid_request_error", "authentication_error", "billing_error", "permission_error"),
        *("not_found_error", "request_too_large", "rate_limit_error", "timeout_error"),
        *("api_error", "overloaded_error"),
    }
)
# Calls whose cost is still to be worked out, between two times that somebody looks.
_MOST_WAITING: Final = 20_000


class Reading(NamedTuple):
    """What one instrument shows.

    Attributes:
        name: One of `llmroute_…` that `Metrics` knows.
        value: The number.
        labels: What it is of, in the order of the metric's labels.
    """

    name: str
    value: float
    labels: tuple[str, ...] = ()


@runtime_checkable
class Instrumented(Protocol):
    """Has instruments to be read."""

    def readings(self) -> Iterable[Reading]:
        """Return what they show, from memory; called in any thread."""


class _Instrument(NamedTuple):
    """A figure that is read and not counted here.

    Attributes:
        text: What it says.
        labels: What it is told apart by.
        mode: What becomes of the figures of several workers: `sum`, the `min`, the `max`, or
            `count`: it only ever grows, and is scraped as a counter.
    """

    text: str
    labels: tuple[str, ...] = ()
    mode: Literal["sum", "min", "max", "count"] = "sum"


_INSTRUMENTS: Final[Mapping[str, _Instrument]] = {
    "llmroute_requests_in_flight": _Instrument("Calls under way."),
    "llmroute_deployment_in_flight": _Instrument(
        "Attempts at a deployment under way.", ("deployment",)
    ),
    "llmroute_deployment_up": _Instrument(
        "1 where a deployment is asked, 0 while it is left alone after a failure.",
        ("deployment",),
        "min",
    ),
    "llmroute_deployment_cooldowns": _Instrument(
        "How often a deployment was left alone.", ("deployment",), "count"
    ),
    "llmroute_budget_spent_dollars": _Instrument(
        "Spent of a budget in its window.", ("scope", "subject", "period", "alias"), "max"
    ),
    "llmroute_budget_limit_dollars": _Instrument(
        "The amount of a budget.", ("scope", "subject", "period", "alias"), "max"
    ),
    "llmroute_usage_waiting": _Instrument("Calls that are still to be written down."),
    "llmroute_usage_dropped": _Instrument("Calls that never will be.", (), "count"),
    "llmroute_database_up": _Instrument("1 while the database answers, else 0.", (), "min"),
    "llmroute_store_up": _Instrument("1 while the shared store answers, else 0.", (), "min"),
    "llmroute_bodies_dropped": _Instrument(
        "Calls whose bodies were to be logged and were not.", (), "count"
    ),
    "llmroute_telemetry_dropped": _Instrument("Calls that no collector was told of.", (), "count"),
}


class Metrics:
    """Prometheus counters, histograms and gauges; `render()` is what `/metrics` answers.

    Attributes:
        sources: Each returns what its instruments show, from memory; asked at every scrape, and
            with several workers once a second.
    """

    def __init__(self) -> None:
        import prometheus_client as prometheus

        self.sources: list[Callable[[], Iterable[Reading]]] = []
        self.is_shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._prometheus = prometheus
        self._registry = prometheus.CollectorRegistry()
        self._requests = self._counter(
            "llmroute_requests",
            "Calls that are over, by what the caller got.",
            *("alias", "deployment", "status", "outcome"),
        )
        self._errors = self._counter(
            "llmroute_errors",
            "Calls that ended in an error, by Anthropic's name for it.",
            *("alias", "deployment", "type"),
        )
        self._duration = self._histogram(
            "llmroute_request_seconds", "Seconds from a call's arrival to its last byte."
        )
        self._first_byte = self._histogram(
            "llmroute_first_byte_seconds",
            "Seconds from a call's arrival to the first byte of its answer.",
        )
        self._tokens = self._counter(
            "llmroute_tokens",
            "Tokens used, by kind: input, output, cache_read, cache_write.",
            *("alias", "deployment", "kind"),
        )
        self._attempts = self._counter(
            "llmroute_failed_attempts",
            "Attempts at a deployment that failed, by Anthropic's name for the error.",
            *("deployment", "type"),
        )
        self._cost = self._counter(
            "llmroute_cost_dollars",
            "What calls cost, in US dollars.",
            *("alias", "deployment", "team"),
        )
        self._key_cost = self._counter(
            "llmroute_key_cost_dollars", "The same by key.", *("key", "team")
        )
        self._unpriced = self._counter(
            "llmroute_unpriced_requests",
            "Calls whose price nobody knows.",
            *("alias", "deployment"),
        )
        self._waiting: deque[Record] = deque(maxlen=_MOST_WAITING)
        self._children: dict[tuple[Any, ...], Any] = {}
        self._keys: set[tuple[str, str]] = set()
        self._instruments: dict[str, Any] = {}
        self._shown: dict[tuple[str, tuple[str, ...]], float] = {}
        self._reading = threading.Lock()

    def record(self, record: Record) -> None:
        """Count the call."""
        alias, deployment, usage = record.alias, record.deployment, record.usage
        self._child(self._requests, alias, deployment, record.status, record.outcome).inc()
        self._child(self._duration, alias).observe(record.duration)
        if record.first_byte is not None:
            self._child(self._first_byte, alias).observe(record.first_byte)
        for kind, count in zip(_TOKENS, usage.counts, strict=True):
            if count > 0:
                self._child(self._tokens, alias, deployment, kind).inc(count)
        for attempt in record.attempts:
            if attempt.error:
                self._child(self._attempts, attempt.deployment, _known(attempt.kind)).inc()
        if record.outcome in _FAILED:
            kind = "broken" if record.outcome == "broken" else _known(record.error_kind)
            self._child(self._errors, alias, deployment, kind).inc()
        if any(usage.counts):
            # Prices may have to be read from files, which is not for the event loop.
            self._waiting.append(record)

    def work(self) -> None:
        """Count what the calls cost that came since, and read the instruments; for a thread."""
        while self._waiting:
            try:
                record = self._waiting.popleft()
            except IndexError:
                break  # another thread has had it
            alias, deployment, cost = record.alias, record.deployment, record.cost
            if cost is None:
                self._child(self._unpriced, alias, deployment).inc()
            elif cost > 0:
                dollars = cost / _MICROS
                self._child(self._cost, alias, deployment, record.team).inc(dollars)
                if record.key:
                    key = self._bounded(record.key, record.team)
                    self._child(self._key_cost, *key).inc(dollars)
        with self._reading:
            self._read()

    def render(self) -> bytes:
        """Return the text format of every worker's figures; this reads files with several."""
        self.work()
        registry = self._registry
        if self.is_shared:
            from prometheus_client import multiprocess

            registry = self._prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return self._prometheus.generate_latest(registry)

    def _bounded(self, key: str, team: str) -> tuple[str, str]:
        if (key, team) not in self._keys:
            if len(self._keys) >= _MOST_KEYS:
                return _OTHER, _OTHER
            self._keys.add((key, team))
        return key, team

    def _read(self) -> None:
        before, self._shown = self._shown, {}
        for source in tuple(self.sources):
            for name, value, labels in source():
                self._show(name, value, labels, before.get((name, labels), 0.0))
        for name, labels in before.keys() - self._shown.keys():
            if _INSTRUMENTS[name].mode == "count":
                continue
            instrument = self._instruments[name]
            if labels and not self.is_shared:
                instrument.remove(*labels)
                self._children.pop((instrument, *labels), None)
            elif _INSTRUMENTS[name].mode == "sum":
                self._child(instrument, *labels).set(0)
            else:
                self._child(instrument, *labels).set(math.nan)

    def _show(self, name: str, value: float, labels: tuple[str, ...], before: float) -> None:
        text, names, mode = _INSTRUMENTS[name]
        instrument = self._instruments.get(name)
        if instrument is None:
            if mode == "count":
                instrument = self._counter(name, text, *names)
            else:
                instrument = self._prometheus.Gauge(
                    name, text, names, registry=self._registry, multiprocess_mode=_MODES[mode]
                )
            self._instruments[name] = instrument
        child = self._child(instrument, *labels)
        if mode != "count":
            child.set(value)
        elif (more := value - before if value >= before else value) > 0:
            # Less than before: what counts it has begun anew.
            child.inc(more)
        self._shown[name, labels] = value

    def _counter(self, name: str, text: str, *labels: str) -> Any:
        return self._prometheus.Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Any:
        return self._prometheus.Histogram(
            name, text, ["alias"], buckets=_SECONDS, registry=self._registry
        )

    def _child(self, metric: Any, *labels: object) -> Any:
        """Look the labelled metric up once: doing so anew costs more than counting."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = metric.labels(*map(str, labels)) if labels else metric
            self._children[key] = child
        return child


_MODES: Final[Mapping[str, Any]] = {"sum": "livesum", "min": "livemin", "max": "livemax"}
_TOKENS: Final = ("input", "output", "cache_read", "cache_write")
_FAILED: Final = ("refused", "failed", "broken")


def _known(kind: str) -> str:
    return kind if kind in _KINDS else _OTHER
