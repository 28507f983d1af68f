"""What outlives a process: keys, budgets, what was used; in SQLite or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from llmroute.database.engine import MEMORY, Address, Engines, address_of, engines
from llmroute.database.upgrade import migrate
from llmroute.errors import StoreError

__all__ = ["MEMORY", "Database", "open_database"]

T = TypeVar("T")

# A transaction that lost a race, or whose connection had died, is made anew so often.
_ATTEMPTS = 3


class Database:
    """A database; every statement runs in a thread, so that nobody waits on the event loop.

    Attributes:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        """Prepare; nothing is connected yet."""
        self.address = address
        self._engines: Engines | None = None
        self._opening = threading.Lock()
        self._threads = anyio.CapacityLimiter(4)
        self._reports = anyio.CapacityLimiter(1)

    async def upgrade(self) -> bool:
        """Bring the schema up to date; return whether there was anything to do.

        Raises:
            StoreError: It cannot be had, or is of a later version of llmroute's.
        """
        return await self.write(migrate)

    def upgrade_now(self) -> bool:
        """Do so in a thread that may wait."""
        return self.write_now(migrate)

    def _opened(self) -> Engines:
        """Return what gives connections; the driver is imported here, in a thread."""
        with self._opening:
            if self._engines is None:
                if self.address.path is not None:
                    _make(self.address.path)
                self._engines = engines(self.address)
            return self._engines

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads, in one transaction.

        Raises:
            StoreError: The database cannot be had, or does not do what it is told.
        """
        return await self._run(lambda: self.read_now(work))

    async def survey(self, work: Callable[[Connection], T]) -> T:
        """Do what `read()` does, for what may take long: one at a time, so that nobody else waits.

        Raises:
            StoreError: As `read()` does.
        """
        return await anyio.to_thread.run_sync(lambda: self.read_now(work), limiter=self._reports)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one transaction, all of it or nothing; it may be called more than once.

        Raises:
            StoreError: As `read()` does; nothing was written.
        """
        return await self._run(lambda: self.write_now(work))

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """Do what `read()` does, in a thread that may wait."""
        return self._in_transaction(work, writes=False)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """Do what `write()` does, in a thread that may wait."""
        return self._in_transaction(work, writes=True)

    async def _run(self, work: Callable[[], T]) -> T:
        # A transaction that has begun comes to its end, even if nobody waits for it any more.
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def _in_transaction(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        opened = self._opened()
        engine = opened.write if writes else opened.read
        left = _ATTEMPTS
        while True:
            left -= 1
            try:
                with engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                if not left or not _is_passing(error):
                    raise StoreError(f"{self.address}: {_cause(error)}") from error

    async def aclose(self) -> None:
        """Let go of every connection."""
        await self._run(self.dispose)

    def dispose(self) -> None:
        """Do so without an event loop."""
        for engine in set(self._engines or ()):
            engine.dispose()


def _make(path: Path) -> None:
    """Make the file and its folder, for nobody else to read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(f"cannot make {path}: {error.strerror}") from None


# What PostgreSQL calls a transaction that lost a race, or a server that is restarted.
_PASSING = frozenset({"40001", "40P01", "57P01", "57P02"})


def _is_passing(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING


def _cause(error: SQLAlchemyError) -> str:
    """Return the driver's own first line: no statement, no values, no password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)


def open_database(url: str) -> Database:
    """Return the database at `url`; nothing is connected yet.

    Args:
        url: `sqlite:///PATH`, `postgresql://…`, or `MEMORY`.

    Raises:
        ValueError: No such address; the message repeats nothing of it.
    """
    return Database(address_of(url))
