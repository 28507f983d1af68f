"""How long a deployment that failed is left alone."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from llmroute.wire.envelope import MALFORMED

__all__ = ["Cooldown", "failed"]

# Far beyond any `longest`; what is doubled more often is no float.
_MOST_DOUBLINGS = 60


class Cooldown(NamedTuple):
    """What is known of a deployment that failed, until it answers: a success forgets all of it.

    Attributes:
        failures: Failures in a row.
        times: Cooldowns in a row.
        until: When the last of them ends, in seconds since 1970; 0 if there was none.
    """

    failures: int = 0
    times: int = 0
    until: float = 0.0

    def cooling(self, now: float) -> bool:
        """Tell whether the deployment is to be left alone, if there is another."""
        return now < self.until

    def trial(self, now: float) -> bool:
        """Tell whether it is half open: the cooldown is over, and one call may try."""
        return self.times > 0 and not self.cooling(now)

    def to_bytes(self) -> bytes:
        """Return a short form for a store."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Cooldown | None:
        """Read what `to_bytes` wrote; `None` if it is something else."""
        try:
            return msgspec.json.decode(data, type=cls)
        except MALFORMED:
            return None


def failed(
    previous: Cooldown | None,
    *,
    asked: float | None,
    base: float,
    longest: float,
    allowed: int,
    now: float,
) -> Cooldown:
    """Return the state after one more failure.

    It cools if the upstream asked for time, if more failures came in a row than are `allowed`, or
    if the trial after a cooldown failed. Each cooldown in a row is twice as long as the one before.

    Args:
        previous: The state before; `None` if there was no failure since the last success.
        asked: Seconds that the upstream, or a rule, wants it left alone: the first time exactly so
            many, after that at least, even beyond `longest`.
        base: Seconds of the first cooldown; with 0 there is none, whatever is asked.
        longest: Seconds beyond which it is not doubled.
        allowed: Failures in a row that are forgiven; with 0 the first one cools.
        now: Seconds since 1970.
    """
    failures, times, until = previous or Cooldown()
    failures += 1
    if not base:
        return Cooldown(failures, times, until)
    if now < until:
        # It was under way when the others failed, or nobody else was left: no news, and no reason
        # for a cooldown twice as long.
        return Cooldown(failures, times, max(until, now + (asked or 0.0)))
    if asked is None and failures <= allowed and not times:
        return Cooldown(failures, times, until)
    length = min(base * 2.0 ** min(times, _MOST_DOUBLINGS), longest)
    if asked is not None:
        length = max(asked, length) if times else asked
    return Cooldown(failures, times + 1, now + length)
