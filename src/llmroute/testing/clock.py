"""A clock that moves when it is told to."""

from __future__ import annotations

__all__ = ["Clock"]


class Clock:
    """A monotonic clock for tests: time passes when the test says so, or when somebody sleeps.

    Calling the clock is the same as `now`, so that it can be handed over in place of
    `time.monotonic`.

        >>> clock = Clock()
        >>> clock.advance(2.5)
        >>> clock.now(), clock()
        (2.5, 2.5)

    Attributes:
        slept: The seconds of every `sleep`, in order.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return `now`."""
        return self._now

    def now(self) -> float:
        """Return the seconds since the clock's zero."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass; raise `ValueError` if it would run backwards."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not run backwards")
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Advance by `seconds` at once.  Needs no event loop and gives way to nobody."""
        self.slept.append(seconds)
        self.advance(max(seconds, 0.0))
