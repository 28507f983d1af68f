"""The ledger: who may call, what that costs, and what was used.

It puts the parts together: each gate says whether a call may be made, the recorder writes down what
became of it, and a thread of its own does all that waits for the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, Self

from llmroute.accounts.access import Access
from llmroute.accounts.configured import configured_keys
from llmroute.accounts.directory import Directory
from llmroute.accounts.gate import Asked, Gate, Hold
from llmroute.accounts.keyring import Keyring
from llmroute.config import Config
from llmroute.database import MEMORY, Database, open_database
from llmroute.errors import ConfigError, Problem, StoreError
from llmroute.messages.call import Call
from llmroute.observe import Record
from llmroute.wire.headers import Headers

__all__ = ["NO_DATABASE", "Ledger"]

_log = logging.getLogger("llmroute")

# What was used is written down this often, and what other processes changed is read: a crash loses
# no more, and a key that is blocked elsewhere is refused here as soon.
_INTERVAL: Final = 1.0  # seconds
NO_DATABASE: Final = "none"
"""In place of an address: nothing outlives the process."""


class _Work(Protocol):
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
        self.directory = Directory(database, clock)
        self.keyring = Keyring(configured_keys(config.accounts), self.directory, clock)
        self._gates: Sequence[Gate] = (Access(),)
        self._workers: Sequence[_Work] = (self.keyring,)
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
        try:
            database = open_database(MEMORY if url == NO_DATABASE else url)
            database.upgrade_now()
        except (ValueError, StoreError) as error:
            raise ConfigError([Problem(config.source, 0, "database", str(error))]) from None
        ledger = cls(config, database, clock=clock)
        ledger.start()
        return ledger

    def reconfigure(self, config: Config) -> None:
        """Hold to another configuration from now on; what was used stays known."""
        self.keyring.configure(configured_keys(config.accounts))

    async def admit(self, call: Call, alias: str, quote: Callable[[], int | None]) -> Hold | None:
        """Let a call through all gates, or through none.

        Raises:
            RequestError: It may not be made.
        """
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
        return _Holds(holds) if len(holds) > 1 else next(iter(holds), None)

    def record(self, record: Record) -> None:
        """Take note of a call that is over."""

    def start(self) -> None:
        """Begin to work in a thread; it ends with the program, or with `close()`."""
        self._thread = threading.Thread(target=self._run, name="llmroute ledger", daemon=True)
        self._thread.start()

    def work(self) -> None:
        """Do what the thread does once a second, for who has none running."""
        for worker in self._workers:
            try:
                worker.work()
            except StoreError as error:
                if not self._is_away:
                    _log.warning("%s; what is to be written waits, and is tried again", error)
                self._is_away = True
                return
        if self._is_away:
            _log.warning("%s answers again", self.database.address)
        self._is_away = False

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self.work()

    def close(self) -> None:
        """Write down what is left, and let go of the database; this waits for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.work()
        self.database.dispose()


class _Holds:
    """What several gates have set aside for a call."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        self._holds = holds

    def headed(self, headers: Headers) -> Headers:
        for hold in self._holds:
            headers = hold.headed(headers)
        return headers

    def settle(self, record: Record | None) -> None:
        for hold in self._holds:
            hold.settle(record)
