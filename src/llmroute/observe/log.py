"""The log: one line for each call."""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from collections.abc import Callable
from typing import Any

from llmroute.observe.record import Record

__all__ = ["LineLog"]

# Characters of a field that are shown: a client chose some of them, an upstream others.
_LONGEST = 500


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
        "call": record.id,
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
        "cache_break": _cache_break(record),
        "error": record.error,
    }


def _failed(record: Record) -> str:
    """Say which attempts failed and why, but for one that `error` tells of by itself."""
    if len(record.attempts) < 2:
        return ""
    return "; ".join(f"{each.deployment}: {each.error}" for each in record.attempts if each.error)


def _cache_break(record: Record) -> str:
    """Say why cached tokens of the prompt were not read, if somebody is to blame for it."""
    found = record.prefix
    if found is None or not found.get("break"):
        return ""
    change, by, at = found["change"], found["by"], found.get("at", "")
    return f"{change} by {by}: {at} ({found['lost_tokens']} tokens)"


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
        f"time={_time(record.at)}{_field('call', record.id)}"
        f" status={record.status} endpoint={_shown(record.endpoint)}"
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
        f"{_field('why', '; '.join(record.why))}"
        f"{_field('cache_break', _cache_break(record))}{_field('error', record.error)}"
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
