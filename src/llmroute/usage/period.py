"""Which time a report is about."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from llmroute.errors import InvalidRequestError

__all__ = ["DAY", "FORMS", "HOUR", "Span", "span_of"]

DAY: Final = 86_400_000_000
"""Microseconds of a day."""
HOUR: Final = 3_600_000_000
"""Microseconds of an hour."""
FORMS: Final = "7d, 24h, 30m, today, week, month, 2026-11-01 or 2026-11-01T08:00Z"
"""How a time may be written."""

_AGO: Final = re.compile(r"([0-9]{1,5})([dhm])")
_LONGEST: Final = 40  # characters of what was asked for
_MICROS: Final = 1_000_000


class Span(NamedTuple):
    """From when to when, in microseconds since 1970; the end does not belong to it."""

    since: int
    until: int

    @property
    def is_days(self) -> bool:
        """Whether it is made of whole days in UTC."""
        return self.since % DAY == 0 and self.until % DAY == 0


def span_of(since: str, until: str, now: float) -> Span:
    """Return the time between two that are written as `FORMS` has them.

    `7d` is the last seven days, today among them, each from midnight UTC; `24h` is from this minute
    of yesterday.  Without an end it is all that has been so far, the rest of today included.

    Args:
        since: When it begins.
        until: When it ends; empty for now.
        now: Seconds since 1970.

    Raises:
        InvalidRequestError: One of them is no time, or the end is not after the beginning.
    """
    today = int(now * _MICROS) // DAY * DAY
    span = Span(_time(since, now), _time(until, now) if until else today + DAY)
    if span.until <= span.since:
        raise InvalidRequestError("the time ends before it begins")
    return span


def _time(text: str, now: float) -> int:
    at = datetime.fromtimestamp(now, UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if match := _AGO.fullmatch(text):
        count = int(match[1])
        match match[2]:
            case "d":
                begin = midnight - timedelta(days=max(count - 1, 0))
            case "h":
                begin = at - timedelta(hours=count)
            case _:
                begin = at - timedelta(minutes=count)
        return _micros(begin)
    if text == "today":
        return _micros(midnight)
    if text == "week":
        return _micros(midnight - timedelta(days=midnight.weekday()))
    if text == "month":
        return _micros(midnight.replace(day=1))
    try:
        given = datetime.fromisoformat(text)
        return _micros(given if given.tzinfo else given.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"not a time: {text[:_LONGEST]!r}; write {FORMS}") from None


def _micros(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
