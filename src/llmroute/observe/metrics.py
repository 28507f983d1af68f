"""Figures for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from llmroute.observe.record import Record

__all__ = ["Metrics"]


class Metrics:
    """Prometheus counters and histograms; `render()` is what `/metrics` answers."""

    def __init__(self) -> None:
        import prometheus_client as prometheus

        self._prometheus = prometheus
        self._registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            "llmroute_requests",
            "Calls that are over, by what the caller got.",
            ["alias", "deployment", "status", "outcome"],
            registry=self._registry,
        )
        self._duration = prometheus.Histogram(
            "llmroute_request_seconds",
            "Seconds from a call's arrival to its last byte.",
            ["alias"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._first_byte = prometheus.Histogram(
            "llmroute_first_byte_seconds",
            "Seconds from a call's arrival to the first byte of its answer.",
            ["alias"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._tokens = prometheus.Counter(
            "llmroute_tokens",
            "Tokens used, by kind: input, output, cache_read, cache_write.",
            ["alias", "deployment", "kind"],
            registry=self._registry,
        )
        self._attempts = prometheus.Counter(
            "llmroute_failed_attempts",
            "Attempts at a deployment that failed.",
            ["deployment"],
            registry=self._registry,
        )
        self._children: dict[tuple[Any, ...], Any] = {}

    def record(self, record: Record) -> None:
        """Count the call."""
        alias, deployment, usage = record.alias, record.deployment, record.usage
        self._child(self._requests, alias, deployment, record.status, record.outcome).inc()
        self._child(self._duration, alias).observe(record.duration)
        if record.first_byte is not None:
            self._child(self._first_byte, alias).observe(record.first_byte)
        kinds: Mapping[str, int] = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_input_tokens,
            "cache_write": usage.cache_creation_input_tokens,
        }
        for kind, count in kinds.items():
            if count > 0:
                self._child(self._tokens, alias, deployment, kind).inc(count)
        for attempt in record.attempts:
            if attempt.error:
                self._child(self._attempts, attempt.deployment).inc()

    def render(self) -> bytes:
        """Return the text format of every worker's figures."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            from prometheus_client import multiprocess

            registry = self._prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return self._prometheus.generate_latest(registry)

    def _child(self, metric: Any, *labels: object) -> Any:
        """Look the labelled metric up once: doing so anew costs more than counting."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*map(str, labels))
        return child


_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
