"""The ledger: who may call, what that costs, and what was used.

It puts the parts together: each gate says whether a call may be made, the recorder writes down what
became of it, and a thread of its own does all that waits for the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, Self

import anyio.to_thread

from llmroute.accounts.access import Access
from llmroute.accounts.budgets import BudgetHold, Budgets
from llmroute.accounts.caller import check_usable
from llmroute.accounts.configured import configured_keys
from llmroute.accounts.directory import Directory
from llmroute.accounts.gate import Asked, Gate, Hold
from llmroute.accounts.guards import Guards
from llmroute.accounts.keyring import Keyring
from llmroute.accounts.limits import RateLimits, counting
from llmroute.accounts.overage import bare
from llmroute.accounts.pauses import Pauses
from llmroute.config import Config
from llmroute.database import MEMORY, Database, open_database
from llmroute.errors import ConfigError, Problem, StoreError, UnavailableError
from llmroute.messages.call import Call, Sender
from llmroute.observe import Instrumented, Reading, Record
from llmroute.usage.recorder import Recorder
from llmroute.usage.retention import Retention
from llmroute.usage.sentinel import Sentinel
from llmroute.wire.headers import Headers

__all__ = ["NO_DATABASE", "Ledger", "Work"]

_log = logging.getLogger("llmroute")

# What was used is written down this often, and what other processes changed is read: a crash loses
# no more, and a key that is blocked elsewhere is refused here as soon.
_INTERVAL: Final = 1.0  # seconds
_PATIENCE: Final = 10.0  # seconds that the first call waits for the database
NO_DATABASE: Final = "none"
"""In place of an address: nothing outlives the process."""


class Work(Protocol):
    """A part of the ledger that has something to do with the database now and then."""

    def work(self) -> None:
        """Do it; called in the ledger's own thread, once a second.

        Raises:
            StoreError: The database cannot be had.
        """


class Ledger:
    """Keys, limits, budgets and usage of one proxy or program.

    Attributes:
        database: Where they are kept.
        directory: The keys, teams and budgets that are kept there.
        keyring: The keys by digest, those of the configuration too.
        recorder: Writes down what was used.
        budgets: What may be spent.
        pauses: What is paused.
    """

    def __init__(
        self, config: Config, database: Database, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare; the database's schema has to be up to date.  `open()` sees to that.

        Args:
            config: Whose keys and budgets hold.
            database: Where the others are.
            clock: Seconds since 1970.
        """
        self.database = database
        self._clock = clock
        self.directory = Directory(database, clock)
        self.keyring = Keyring(configured_keys(config.accounts), self.directory, clock)
        self.recorder = Recorder(database)
        self._is_recording = config.accounts.usage.records
        self._retention = Retention(database, config.accounts.usage.retention_days, clock)
        self._guards = Guards(config.accounts.guards, clock)
        self.pauses = Pauses(database, clock, self._guards.forgive)
        self._limits = RateLimits(config.accounts.limits, counting(config, clock))
        self._sentinel = Sentinel(config)
        self.budgets = Budgets(database, config.accounts, clock)
        self._gates: Sequence[Gate] = (
            *(Access(), self.pauses, self._guards, self._limits),
            *(self.budgets, self._sentinel),
        )
        self._workers: Sequence[Work] = (
            *(self.keyring, self.recorder, self.budgets),
            *(self.pauses, self._retention, self._sentinel),
        )
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_away = False

    @classmethod
    def open(cls, config: Config, url: str, *, clock: Callable[[], float] = time.time) -> Self:
        """Open the database, bring its schema up to date, and begin to work; this waits for it.

        Args:
            config: Whose keys and budgets hold.
            url: Where the database is; `none` for memory.
            clock: Seconds since 1970.

        Raises:
            ConfigError: It cannot be had, or is no database.
        """
        ledger = cls(config, _database(config, url), clock=clock)
        try:
            ledger.database.upgrade_now()
        except StoreError as error:
            raise _unusable(config, error) from None
        ledger._ready.set()
        ledger.start()
        return ledger

    @classmethod
    def opening(cls, config: Config, url: str, *, clock: Callable[[], float] = time.time) -> Self:
        """Do what `open()` does without waiting for it; the first call does.

        Raises:
            ConfigError: It is no address of a database.
        """
        ledger = cls(config, _database(config, url), clock=clock)
        ledger.start()
        return ledger

    def add(self, worker: Work) -> None:
        """Have something else done once a second in the ledger's thread."""
        self._workers = (*self._workers, worker)

    def readings(self) -> Iterator[Reading]:
        """Return what its instruments show; from any thread, and nothing is asked for it."""
        yield Reading("llmroute_database_up", not self._is_away)
        yield Reading("llmroute_usage_waiting", self.recorder.waiting)
        yield Reading("llmroute_usage_dropped", self.recorder.dropped)
        for part in (*self._gates, *self._workers):
            if isinstance(part, Instrumented):
                yield from part.readings()

    def reconfigure(self, config: Config) -> None:
        """Hold to another configuration from now on; what was used stays known."""
        self.keyring.configure(configured_keys(config.accounts))
        self._is_recording = config.accounts.usage.records
        self._sentinel.configure(config)
        self._retention.days = config.accounts.usage.retention_days
        self._limits.configure(config.accounts.limits)
        self._guards.configure(config.accounts.guards)
        self.budgets.configure(config.accounts)

    async def admit(self, call: Call, alias: str, quote: Callable[[], int | None]) -> _Holds | None:
        """Let a call through all gates, or through none.

        Raises:
            RequestError: It may not be made.
        """
        if not self._ready.is_set():
            await self._be_ready()
        asked, holds = Asked(call, alias, quote), []
        try:
            for gate in self._gates:
                hold = await gate.admit(asked)
                if hold is not None:
                    holds.append(hold)
        except BaseException:
            for hold in holds:
                hold.settle(None)
            raise
        return _Holds(holds) if holds else None

    async def sender(self, name: str) -> Sender:
        """Return who calls with a key, for programs that name it and need not present it.

        Raises:
            UnknownSubjectError: There is no such key.
            UnauthorizedError: It has ended.
            ForbiddenError: It is blocked.
            UnavailableError: The database that may know it is away.
        """
        configured = self.keyring.configured.values()
        key = next((key for key in configured if key.name == name), None)
        if key is None:
            await self._be_ready()
            try:
                key = await self.directory.key(name)
            except StoreError as error:
                raise UnavailableError(self._away) from error
        check_usable(key, self._clock())
        return key.sender

    async def _be_ready(self) -> None:
        if not self._ready.is_set():
            await anyio.to_thread.run_sync(self._ready.wait, _PATIENCE)
            if not self._ready.is_set():
                raise UnavailableError(self._away)

    @property
    def _away(self) -> str:
        return f"the database at {self.database.address} does not answer"

    def record(self, record: Record) -> None:
        """Take note of a call that is over, if that is written down."""
        if self._is_recording:
            self.recorder.record(record)

    def start(self) -> None:
        """Begin to work in a thread; it ends with the program, or with `close()`."""
        self._thread = threading.Thread(target=self._run, name="llmroute ledger", daemon=True)
        self._thread.start()

    def work(self) -> None:
        """Do what the thread does once a second, for who has none running.

        A database that is away is said once; what is to be written waits, and is tried again.
        """
        is_away = False
        for worker in self._workers:
            try:
                worker.work()
            except StoreError as error:
                is_away = True
                self._say_away(error)
            except Exception:  # noqa: BLE001 - the reason is below
                # A thread that ended here would be missed by nobody, and what was used be lost.
                _log.exception("the ledger met a fault of its own; it goes on")
        if self._is_away and not is_away:
            _log.warning("%s answers again", self.database.address)
        self._is_away = is_away

    def _say_away(self, error: StoreError) -> None:
        if not self._is_away:
            _log.warning("%s; what is to be written waits, and is tried again", error)
        self._is_away = True

    def _run(self) -> None:
        while True:
            if not self._ready.is_set():
                self._upgrade()
            if self._ready.is_set():
                self.work()
            if self._stop.wait(_INTERVAL):
                return

    def _upgrade(self) -> None:
        try:
            self.database.upgrade_now()
        except StoreError as error:
            self._say_away(error)
        else:
            self._ready.set()

    async def aclose(self) -> None:
        """Give back what other processes wait for, and do what `close()` does."""
        await self._limits.aclose()
        await anyio.to_thread.run_sync(self.close)

    def close(self) -> None:
        """Write down what is left, and let go of the database; this waits for it.

        Closing it again does nothing: the router's own is closed by the router and by the proxy.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.budgets.retire()
        self.work()
        self.recorder.close()
        self.database.dispose()


def _database(config: Config, url: str) -> Database:
    try:
        return open_database(MEMORY if url == NO_DATABASE else url)
    except ValueError as error:
        raise _unusable(config, error) from None


def _unusable(config: Config, error: Exception) -> ConfigError:
    return ConfigError([Problem(config.source, 0, "database", str(error))])


class _Holds:
    """What several gates have set aside for a call."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        self._holds = holds

    def headed(self, headers: Headers) -> Headers:
        # What the last gate leaves out is the upstream's, and not what another has added.
        for hold in reversed(self._holds):
            headers = hold.headed(headers)
        return headers

    def bare(self, headers: Headers) -> Headers:
        is_paid = any(isinstance(hold, BudgetHold) for hold in self._holds)
        return bare(headers) if is_paid else headers

    def settle(self, record: Record | None) -> None:
        for hold in self._holds:
            hold.settle(record)
