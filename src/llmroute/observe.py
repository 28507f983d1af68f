"""What is written down of a call when it is over, and who is told: the log, the metrics."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from llmroute.messages.usage import Usage

__all__ = ["Attempt", "LineLog", "Metrics", "Observer", "Outcome", "Record"]

# Characters of a field that are shown: a client chose some of them, an upstream others.
_LONGEST = 500

Outcome = Literal["answered", "refused", "failed", "broken", "cancelled"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one deployment.

    Attributes:
        deployment: Its name.
        error: What went wrong, in a line; empty for the one that answered.
        status: What the upstream answered with.
        seconds: Until it failed, or the answer began.
    """

    deployment: str
    error: str = ""
    status: int = 200
    seconds: float = 0.0


@dataclass(slots=True)
class Record:
    """What is written down of one call.  Never a body, never a secret.

    Attributes:
        at: When the call came in, seconds since 1970.
        key: Name of the key; `local` where the proxy has none, empty in process.
        asked: The model name that was asked for.
        alias: The alias it resolved to, as the configuration spells it; empty if there is none.
        deployment: The deployment that answered, or was tried last.
        losses: What of the call the upstream did not get to see, a line each.
        why: What was weighed on the way to the deployment, a line each: where the prompt cache is,
            and what moving or waiting would have cost.
        status: What the caller got, as an HTTP status; 499 if it went away before.
        outcome: `answered`; `refused`, the request was at fault; `failed`, no deployment answered;
            `broken`, an answer stopped half-way; `cancelled`, the caller went away.
        first_byte: Seconds until the answer began; `None` if none did.
        duration: Seconds until the last byte.
        error: What went wrong, in a line.
    """

    at: float
    endpoint: str = "messages"
    stream: bool = False
    key: str = ""
    session: str = ""
    agent: str = ""
    asked: str = ""
    alias: str = ""
    deployment: str = ""
    model: str = ""
    status: int = 200
    outcome: Outcome = "answered"
    first_byte: float | None = None
    duration: float = 0.0
    usage: Usage = field(default_factory=Usage)
    attempts: list[Attempt] = field(default_factory=list)
    losses: tuple[str, ...] = ()
    why: Sequence[str] = ()
    error: str = ""


class Observer(Protocol):
    """Is told of every call, once, when it is over."""

    def record(self, record: Record) -> None:
        """Take note; called on the event loop, so it must not block."""


class LineLog:
    """Writes one line per call: `name=value` pairs for people, or JSON for machines."""

    def __init__(self, write: Callable[[str], object], *, as_json: bool = False) -> None:
        self._write = write
        self._format = _json_line if as_json else _console_line

    def record(self, record: Record) -> None:
        """Write the line."""
        self._write(self._format(record) + "\n")


def _fields(record: Record) -> dict[str, Any]:
    usage = record.usage
    return {
        "time": _time(record.at),
        "status": record.status,
        "endpoint": record.endpoint,
        "key": record.key,
        "session": record.session,
        "agent": record.agent,
        "asked": record.asked,
        "alias": record.alias,
        "deployment": record.deployment,
        "ttfb": None if record.first_byte is None else round(record.first_byte, 4),
        "duration": round(record.duration, 4),
        "in": usage.input_tokens,
        "out": usage.output_tokens,
        "cache_read": usage.cache_read_input_tokens,
        "cache_write": usage.cache_creation_input_tokens,
        "attempts": len(record.attempts),
        "failed": _failed(record),
        "outcome": record.outcome,
        "losses": "; ".join(record.losses),
        "why": "; ".join(record.why),
        "error": record.error,
    }


def _failed(record: Record) -> str:
    """Say which attempts failed and why, but for one that `error` tells of by itself."""
    if len(record.attempts) < 2:
        return ""
    return "; ".join(f"{each.deployment}: {each.error}" for each in record.attempts if each.error)


def _json_line(record: Record) -> str:
    return json.dumps(
        {
            name: value[:_LONGEST] if isinstance(value, str) else value
            for name, value in _fields(record).items()
        }
    )


def _console_line(record: Record) -> str:
    # Written out, for it is done for every call; a field that has no value is left out.
    usage, first_byte = record.usage, record.first_byte
    asked = "" if record.asked == record.alias else record.asked
    return (
        f"time={_time(record.at)} status={record.status} endpoint={_shown(record.endpoint)}"
        f"{_field('key', record.key)}{_field('session', record.session)}"
        f"{_field('agent', record.agent)}{_field('asked', asked)}{_field('alias', record.alias)}"
        f"{_field('deployment', record.deployment)}"
        f"{'' if first_byte is None else f' ttfb={round(first_byte, 4)}'}"
        f" duration={round(record.duration, 4)}"
        f" in={usage.input_tokens} out={usage.output_tokens}"
        f" cache_read={usage.cache_read_input_tokens}"
        f" cache_write={usage.cache_creation_input_tokens}"
        f" attempts={len(record.attempts)}{_field('failed', _failed(record))}"
        f" outcome={record.outcome}"
        f"{_field('losses', '; '.join(record.losses))}"
        f"{_field('why', '; '.join(record.why))}{_field('error', record.error)}"
    )


def _field(name: str, value: str) -> str:
    return f" {name}={_shown(value)}" if value else ""


def _time(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03d}Z"


@functools.lru_cache(maxsize=1)
def _second(at: int) -> str:
    """Write a date and time, once for all calls of a second."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


# Printable ASCII but for the space, the quote and the equals sign.
_PLAIN = re.compile(r"[!#-<>-~]+")


def _shown(text: str) -> str:
    """Quote what could be mistaken for another field or another line: a client chose it."""
    text = text[:_LONGEST]
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


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
