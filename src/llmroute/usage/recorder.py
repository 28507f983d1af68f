"""Writes every call down, behind its back: the event loop only puts it into a queue."""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Dialect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from llmroute.database import Database
from llmroute.database.schema import calls, days
from llmroute.errors import StoreError
from llmroute.observe import Record
from llmroute.usage.rows import SUMS, Row, row_of, size_of, sums_of

__all__ = ["Recorder"]

_log = logging.getLogger("llmroute")

# What waits while the database is away: at ten calls a second, some hours.
_MOST: Final = 100_000  # calls
_MOST_BYTES: Final = 256 * 1024 * 1024
_BATCH: Final = 500  # rows of one transaction
# After so many rows the event loop is let in: it would have to wait for five milliseconds.
_BREATH: Final = 32


class Recorder:
    """Writes calls to `llmroute_calls`, and what they add up to, to `llmroute_days`.

    `record()` is for the event loop, `work()` for one thread that may wait.

    Attributes:
        dropped: How many calls are not written down, since too many wait, or the database does not
            take them.
    """

    def __init__(
        self, database: Database, *, most: int = _MOST, most_bytes: int = _MOST_BYTES
    ) -> None:
        """Prepare.

        Args:
            database: With its schema up to date when `work()` is called.
            most: How many calls may wait.
            most_bytes: How much memory they may take, about.
        """
        self._database = database
        self._most = most
        self._most_bytes = most_bytes
        self._records: deque[Record] = deque()
        self._rows: deque[Row] = deque()
        self._bytes = 0
        # A transaction whose end nobody heard of may have been done all the same.
        self._in_doubt = False
        self._overflown = 0
        self._unwritable = 0
        self._told = 0
        self._is_full = False

    @property
    def waiting(self) -> int:
        """How many calls are still to be written down."""
        return len(self._records) + len(self._rows)

    @property
    def dropped(self) -> int:
        """How many calls never will be."""
        return self._overflown + self._unwritable

    def record(self, record: Record) -> None:
        """Take note of a call that is over."""
        if len(self._records) < self._most:
            self._records.append(record)
        else:
            self._overflown += 1

    def work(self) -> None:
        """Write down what waits.

        Raises:
            StoreError: The database cannot be had; what waits goes on waiting.
        """
        self._take()
        while self._rows:
            batch = list(itertools.islice(self._rows, _BATCH))
            self._write(batch)
            for _ in batch:
                self._bytes -= size_of(self._rows.popleft())
            # More may have come, and it need not wait for the next time.
            self._take()
        self._is_full = False

    def close(self) -> None:
        """Say what was not written down: nobody will."""
        if self.waiting:
            _log.warning(
                "%s does not take them: %d calls are not written down",
                self._database.address,
                self.waiting,
            )

    def _take(self) -> None:
        """Make rows of the records, as long as there is room."""
        for number in range(len(self._records)):
            record = self._records.popleft()
            if not record.key and not record.id:
                continue  # who presents no key of ours could fill the disk
            row = row_of(record)
            size = size_of(row)
            if len(self._rows) < self._most and self._bytes + size <= self._most_bytes:
                self._rows.append(row)
                self._bytes += size
            else:
                self._overflown += 1
            if number % _BREATH == 0:
                time.sleep(0)
        if self._overflown > self._told:
            self._tell()

    def _tell(self) -> None:
        """Say once that there is no room, until there is again."""
        if not self._is_full:
            _log.warning(
                "%d calls wait for %s, and no more can: those that come now are not written down",
                self.waiting,
                self._database.address,
            )
        self._is_full = True
        self._told = self._overflown

    def _write(self, batch: Sequence[Row]) -> None:
        def work(connection: Connection) -> None:
            rows = _unwritten(connection, batch) if self._in_doubt else batch
            self._in_doubt = True
            if rows:
                _insert(connection, rows)
                _add_up(connection, rows)

        try:
            self._database.write_now(work)
        except StoreError as error:
            if not isinstance(error.__cause__, DataError | IntegrityError):
                raise
            self._write_apart(batch, error)
        self._in_doubt = False

    def _write_apart(self, batch: Sequence[Row], error: StoreError) -> None:
        """Find the row that the database does not take, so that the others need not wait for it."""
        if len(batch) == 1:
            self._unwritable += 1
            _log.warning("%s; the call %s is not written down", error, batch[0]["id"])
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            self._in_doubt = True
            self._write(part)


def _unwritten(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
    """Return those of the rows that are not there yet."""
    ids = [row["id"] for row in rows]
    there = set(connection.scalars(select(calls.c.id).where(calls.c.id.in_(ids))))
    return [row for row in rows if row["id"] not in there]


def _insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Add rows to the calls.

    Their values are as the drivers take them, so each need not go through its column's type, which
    takes longer than all the rest.
    """
    statement, names = _statement(connection.dialect)
    connection.exec_driver_sql(statement, list(map(itemgetter(*names), rows)) if names else rows)


@lru_cache(maxsize=8)
def _statement(dialect: Dialect) -> tuple[str, Sequence[str]]:
    """Return the insertion of a call, and the order of its values if they have no names there."""
    compiled: Any = calls.insert().compile(dialect=dialect)
    return str(compiled), compiled.positiontup or ()


_BY = [column.name for column in days.primary_key.columns]


def _add_up(connection: Connection, rows: Sequence[Row]) -> None:
    # In one order everywhere: two proxies that wait for each other's rows would wait for ever.
    sums = sorted(sums_of(rows).items())
    if sums:
        added = [dict(zip((*_BY, *SUMS), (*by, *figures), strict=True)) for by, figures in sums]
        connection.execute(_upsert(connection.dialect.name), added)


@lru_cache
def _upsert(dialect: str) -> Any:
    """Return the statement that adds figures to those of a day, or begins the day with them."""
    # Two classes of the same shape, with no name for what they share.
    insert: Any = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(days)
    return insert.on_conflict_do_update(
        index_elements=_BY,
        set_={name: days.c[name] + insert.excluded[name] for name in SUMS},
    )
