"""Lengths of time as people write them: `30s`, `15m`, `24h`, `30d`, `2w`, `1mo`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, Literal, NamedTuple

__all__ = ["Window", "duration", "window"]

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "mo": timedelta(days=30),
    "y": timedelta(days=365),
}
_WRITTEN = re.compile(r"([0-9]{1,6})\s*(s|m|h|d|w|mo|y)")
_LONGEST: Final = timedelta(days=36_500)
_WINDOWS: Final[dict[Literal["day", "week", "month"], frozenset[timedelta]]] = {
    "day": frozenset({timedelta(days=1)}),
    "week": frozenset({timedelta(days=7)}),
    "month": frozenset({timedelta(days=28 + more) for more in range(4)}),
}
# Beyond this, a budget for good is nearer than one for a month.
_FOR_GOOD: Final = timedelta(days=180)


class Window(NamedTuple):
    """The window of a budget that is nearest to a length of time.

    Attributes:
        period: What a budget calls it.
        is_exact: Whether it is that long.
    """

    period: Literal["day", "week", "month", "total"]
    is_exact: bool


def duration(text: str) -> timedelta:
    """Read a length of time.

    >>> duration("36h")
    datetime.timedelta(days=1, seconds=43200)

    Raises:
        ValueError: It is none, or none to speak of; the message repeats nothing of it.
    """
    match = _WRITTEN.fullmatch(text.strip().lower())
    length = int(match[1]) * _UNITS[match[2]] if match else timedelta()
    if not timedelta() < length <= _LONGEST:
        raise ValueError("must be a number with s, m, h, d, w, mo or y behind it: 24h, or 30d")
    return length


def window(length: timedelta) -> Window:
    """Return the window of a budget that is nearest to a length of time.

    >>> window(duration("30d")), window(duration("10d"))
    (Window(period='month', is_exact=True), Window(period='week', is_exact=False))
    """
    if length > _FOR_GOOD:
        return Window("total", is_exact=False)
    for period, lengths in _WINDOWS.items():
        if length in lengths:
            return Window(period, is_exact=True)
    # By factors, not by days: ten days are nearer to a week than to a month.
    nearest = min(_WINDOWS, key=lambda name: _factor(length, min(_WINDOWS[name])))
    return Window(nearest, is_exact=False)


def _factor(one: timedelta, other: timedelta) -> float:
    return max(one / other, other / one)
