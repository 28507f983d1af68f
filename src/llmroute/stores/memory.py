"""What one process knows."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["Memory"]

# Beyond it the oldest are forgotten.  A session's affinity takes well under a kilobyte.
_MOST = 200_000
# What ends in the same span of so many seconds is swept away together.
_SPAN = 15.0

_V = TypeVar("_V")


class Memory:
    """Counters of one process, in its memory; no verb ever suspends.

    What is over is swept away by later writes, a little at a time.

    Args:
        clock: Seconds since 1970.
        most: How many values, counts and claims are kept of each.

    Attributes:
        shares: This process's part of each sum, where it is not 0.
    """

    __slots__ = ("_claims", "_counts", "_shares", "_values", "shares")

    def __init__(self, clock: Callable[[], float] = time.time, *, most: int = _MOST) -> None:
        self._values = _Shelf[bytes](clock, most)
        self._counts = _Shelf[int](clock, most)
        self._claims = _Shelf[None](clock, most)
        self._shares: dict[str, int] = {}
        self.shares: Mapping[str, int] = self._shares

    @property
    def status(self) -> str:
        """Always `memory`."""
        return "memory"

    async def read(
        self, values: Sequence[str], sums: Sequence[str] = ()
    ) -> tuple[list[bytes | None], list[int]]:
        """Return values and sums, at once."""
        return (
            [self._values.get(key) for key in values],
            [self.count(key) + self._shares.get(key, 0) for key in sums],
        )

    def count(self, key: str) -> int:
        """Return what was added to `key`, without what is shared of it."""
        return self._counts.get(key) or 0

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Set a value for `ttl`."""
        self._values.put(key, value, ttl)

    def keys(self) -> list[str]:
        """Return the keys of all values, the oldest first."""
        return self._values.live()

    def value(self, key: str) -> tuple[bytes, float] | None:
        """Return a value and when it ends, at once."""
        return self._values.entry(key)

    def drop(self, key: str) -> None:
        """Forget a value, and give back a claim."""
        self._values.drop(key)
        self._claims.drop(key)

    def add(self, key: str, amount: int, ttl: float) -> None:
        """Add to a sum, which is forgotten `ttl` after it was last added to."""
        self._counts.put(key, self.count(key) + amount, ttl)

    def share(self, key: str, amount: int) -> None:
        """Set the part of a sum that does not end."""
        if amount:
            self._shares[key] = amount
        else:
            self._shares.pop(key, None)

    async def claim(self, key: str, ttl: float) -> bool:
        """Return True to the first caller in `ttl`."""
        if key in self._claims:
            return False
        self._claims.put(key, None, ttl)
        return True

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""


class _Shelf(Generic[_V]):
    """Things that end, the oldest first."""

    __slots__ = ("_clock", "_ending", "_kept", "_most", "_sweep_at")

    def __init__(self, clock: Callable[[], float], most: int) -> None:
        self._clock = clock
        self._most = most
        # Not a dict: finding the first of one takes longer the more were deleted before it.
        self._kept: OrderedDict[str, tuple[_V, float]] = OrderedDict()
        # The keys of what ends in each span of time.
        self._ending: dict[int, set[str]] = {}
        self._sweep_at = 0.0

    def __contains__(self, key: str) -> bool:
        kept = self._kept.get(key)
        return kept is not None and self._clock() < kept[1]

    def get(self, key: str) -> _V | None:
        kept = self._kept.get(key)
        return kept[0] if kept is not None and self._clock() < kept[1] else None

    def entry(self, key: str) -> tuple[_V, float] | None:
        return self._kept[key] if key in self else None

    def live(self) -> list[str]:
        return [key for key in self._kept if key in self]

    def put(self, key: str, value: _V, ttl: float) -> None:
        now = self._clock()
        self._sweep(now)
        self.drop(key)
        if ttl <= 0:
            return
        if len(self._kept) >= self._most:
            self.drop(next(iter(self._kept)))
        self._kept[key] = value, now + ttl
        self._ending.setdefault(_span(now + ttl), set()).add(key)

    def drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            ending = self._ending[_span(kept[1])]
            ending.remove(key)
            if not ending:
                del self._ending[_span(kept[1])]

    def _sweep(self, now: float) -> None:
        if now < self._sweep_at:
            return
        self._sweep_at = (_span(now) + 1) * _SPAN
        for ended in [span for span in self._ending if span < _span(now)]:
            for key in self._ending.pop(ended):
                del self._kept[key]


def _span(moment: float) -> int:
    return int(moment // _SPAN)
