"""Deletes what is older than it may be kept, a little at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, delete, select

from llmroute.database import Database
from llmroute.database.schema import calls
from llmroute.usage.rows import DAY

__all__ = ["Retention"]

_MICROS: Final = 1_000_000
# Few enough that nobody who writes has to wait for long.
_SLICE: Final = 500  # rows of one transaction
_SLICES: Final = 4  # a second, at most
_PAUSE: Final = 600.0  # seconds, once there is nothing left to delete


class Retention:
    """Deletes the records of calls; the sums of their days stay.

    Attributes:
        days: How long a call is kept; `None` for ever.
    """

    def __init__(self, database: Database, days: int | None, clock: Callable[[], float]) -> None:
        """Prepare.

        Args:
            database: With its schema up to date when `work()` is called.
            days: How long a call is kept; `None` for ever.
            clock: Seconds since 1970.
        """
        self._database = database
        self.days = days
        self._clock = clock
        self._next = 0.0

    def work(self) -> None:
        """Delete some of what is too old, if it is time to look for it.

        Raises:
            StoreError: The database cannot be had.
        """
        now = self._clock()
        if self.days is None or now < self._next:
            return
        before = int(now * _MICROS) - self.days * DAY
        for _ in range(_SLICES):
            if self._database.write_now(lambda connection: _delete(connection, before)) < _SLICE:
                self._next = now + _PAUSE
                return


def _delete(connection: Connection, before: int) -> int:
    oldest = select(calls.c.id).where(calls.c.at < before).order_by(calls.c.at).limit(_SLICE)
    return connection.execute(delete(calls).where(calls.c.id.in_(oldest))).rowcount
