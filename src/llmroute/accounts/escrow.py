"""What this process may spend of budgets: set aside before a call, settled after it.

A call is paid for from the process's lease, in memory; only if that does not suffice does somebody
wait for the database.  What was used is written down by `work()`, which also gives back what is
not needed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from llmroute.accounts.leases import Standing, Wish, exchange, reclaim
from llmroute.accounts.model import Period, Rule, window_of
from llmroute.accounts.secrets import identifier
from llmroute.database import Database
from llmroute.errors import StoreError

__all__ = ["Account", "Escrow", "Seen"]

_MICROS: Final = 1_000_000
_LEASE: Final = 60.0  # seconds that a lease is valid
_RENEW: Final = 30.0  # seconds before its end
# A lease is this part of a budget, so no process that dies keeps more of it from the others.
_PART: Final = 100
# After so many seconds without a call, what is left of a lease is given back.
_IDLE: Final = 5.0
_FORGET: Final = 60.0
# From here on, what is left of a lease is given back each second: others may be short of it.
_SCARCE: Final = 0.9
_RECLAIM: Final = 30.0
# Of one transaction: others wait for it.
_MOST_AT_ONCE: Final = 50
_MOST_TRIED: Final = 8
# For how long what the database said of a spent budget is believed.
_FRESH: Final = 1.0


class Seen(NamedTuple):
    """How a budget stands, as far as this process knows.

    Attributes:
        spent: By all, in micro-dollars.
        reserved: By calls of this process that are under way.
    """

    spent: int
    reserved: int


class Account:
    """One budget in one of its windows.

    Attributes:
        id: The budget's.
        start: When the window began, in seconds since 1970.
        end: When it ends; `inf` if never.
        limit: The amount that the lease was asked for under.
        spent: By all, as the database said last.
        leased: By all, as it said then.
        lease: What this process may spend.
        used: What it has spent of that, and not written down yet.
        reserved: What calls under way may cost.
        rule: Whose it is, and how much.
        is_closed: Nobody looks after it any more; there is another in its place.
    """

    __slots__ = (
        *("active", "end", "id", "is_closed", "lease", "lease_id", "leased", "limit", "lock"),
        *("reserved", "rule", "spent", "start", "synced", "tried", "turn", "until", "used"),
    )

    def __init__(self, id_: str, start: int, end: float, now: float) -> None:
        self.id = id_
        self.start = start
        self.end = end
        self.limit = -1
        self.spent = 0
        self.leased = 0
        self.lease = 0
        self.used = 0
        self.reserved = 0
        self.lease_id = ""
        self.tried: list[tuple[str, int]] = []
        self.until = -math.inf
        self.synced = -math.inf
        self.active = now
        self.rule: Rule | None = None
        self.is_closed = False
        self.lock = threading.Lock()  # for a moment, around the figures
        self.turn = threading.Lock()  # around an exchange, which waits for the database

    @property
    def rest(self) -> int:
        """What of the lease nobody needs."""
        return self.lease - self.used - self.reserved

    def covers(self, limit: int, need: int, now: float) -> bool:
        """Tell whether the lease suffices for a call."""
        return self.rest >= need and self.limit == limit and now < self.until

    def is_spent(self, limit: int, now: float) -> bool:
        """Tell whether the budget is known to be spent, without anybody being asked."""
        spent = self.spent + self.used
        return self.limit == limit and spent >= limit and now < self.synced + _FRESH

    def take(self, limit: int, need: int, now: float) -> bool:
        """Set aside what a call may cost, if the lease suffices."""
        with self.lock:
            # Written out, for every call comes by here.
            suffices = self.lease - self.used - self.reserved >= need
            if not suffices or self.limit != limit or now >= self.until or self.is_closed:
                return False
            self.reserved += need
            self.active = now
        return True

    def overdraw(self, need: int, now: float) -> bool:
        """Set it aside although nobody knows whether there is as much."""
        with self.lock:
            if self.is_closed:
                return False
            self.reserved += need
            self.active = now
        return True

    def settle(self, need: int, cost: int) -> None:
        """Take what a call has cost in place of what was set aside for it."""
        with self.lock:
            self.reserved -= need
            self.used += cost

    @property
    def seen(self) -> Seen:
        """How the budget stands, as far as this process knows."""
        return Seen(self.spent + self.used, self.reserved)


class Escrow:
    """The accounts of one process.

    Args:
        database: With its schema up to date.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Prepare; nothing is read yet."""
        self._database = database
        self._clock = clock
        self._holder = identifier("process")
        self._open: dict[str, Account] = {}
        self._ending: list[Account] = []
        self._lock = threading.Lock()
        self._reclaimed = -math.inf
        self._idle = _IDLE
        self.is_away = False
        """Whether the database could not be had the last time."""

    def account(self, id_: str, period: Period, now: float) -> Account:
        """Return the account of a budget for the window around `now`."""
        account = self._open.get(id_)
        if account is not None and now < account.end:
            return account
        start, end = window_of(period, datetime.fromtimestamp(now, UTC))
        with self._lock:
            current = self._open.get(id_)
            if current is not None and current.start == start:
                return current
            if current is not None:
                self._ending.append(current)
            account = Account(id_, start, math.inf if end is None else end.timestamp(), now)
            self._open[id_] = account
        return account

    def find(self, id_: str, now: float) -> Account | None:
        """Return an account that is in use in this process, if it is of the window around `now`."""
        account = self._open.get(id_)
        return account if account is not None and account.start <= now < account.end else None

    def refill(self, account: Account, limit: int, need: int) -> bool:
        """Make the lease suffice for a call; tell whether it does.  This waits for the database.

        Raises:
            StoreError: The database cannot be had.
        """
        with account.turn:
            if account.covers(limit, need, self._clock()):
                return True
            account.active = self._clock()
            self._exchange([(account, self._wish(account, limit, need=need, give=False))])
            # Another call may have taken it since; there is more then, if there is any.
            return account.covers(limit, need, self._clock()) or (
                account.spent + account.leased < limit
            )

    def _wish(self, account: Account, limit: int, *, need: int, give: bool) -> Wish:
        """Say what is asked for; the account's turn is ours."""
        part = limit // _PART
        with account.lock:
            rest, used, promised = max(0, account.rest), account.used, account.reserved
            # As much as the next seconds may take; all there is where a call waits for more.
            store = rest + part if need else max(part, 2 * used)
            kept = 0 if give else min(rest, store)
            # From now on nobody here spends the others, whatever becomes of the exchange.
            account.lease -= rest - kept
        new = identifier("lease")
        wish = Wish(
            account.id,
            account.start,
            limit,
            self._holder,
            account.lease_id,
            new,
            used,
            kept + promised,
            promised,
            need,
            0 if give else store - kept,
            tuple(account.tried),
        )
        account.tried = [*account.tried[: _MOST_TRIED - 1], (new, used)]
        return wish

    def _exchange(self, changes: Sequence[tuple[Account, Wish]]) -> None:
        now = self._clock()
        at, until = int(now * _MICROS), int((now + _LEASE) * _MICROS)
        try:
            standings = self._database.write_now(
                lambda it: [exchange(it, wish, at, until) for _, wish in changes]
            )
        except StoreError:
            self.is_away = True
            raise
        self.is_away = False
        for (account, wish), standing in zip(changes, standings, strict=True):
            _finished(account, wish, standing, now)

    def work(self) -> None:
        """Write down what was used, renew what is needed, and give back what is not.

        Raises:
            StoreError: The database cannot be had; what was used waits.
        """
        now = self._clock()
        try:
            self._database.read_now(lambda _: None)
        except StoreError:
            self.is_away = True
            raise
        self.is_away = False
        if now >= self._reclaimed + _RECLAIM:
            self._database.write_now(lambda it: reclaim(it, int(now * _MICROS)))
            self._reclaimed = now
        with self._lock:
            accounts = [*self._open.values(), *self._ending]
        for start in range(0, len(accounts), _MOST_AT_ONCE):
            self._write(accounts[start : start + _MOST_AT_ONCE], now)
        self._forget(now)

    def _write(self, accounts: Iterable[Account], now: float) -> None:
        held: list[Account] = []
        try:
            # In the same order everywhere, so that no two processes wait for each other.
            ordered = sorted(accounts, key=lambda each: (each.id, each.start))
            # Whoever has an account's turn already writes down what was used of it.
            held.extend(each for each in ordered if each.turn.acquire(blocking=False))
            due = [(each, wish) for each in held if (wish := self._due(each, now)) is not None]
            if due:
                self._exchange(due)
        finally:
            for account in held:
                account.turn.release()

    def _due(self, account: Account, now: float) -> Wish | None:
        """Return what is to be written of an account; `None` if nothing is."""
        with account.lock:
            is_idle = now >= account.active + self._idle or now >= account.end
            is_scarce = account.spent + account.leased >= _SCARCE * account.limit
            give = (is_idle or is_scarce) and account.rest > 0
            used, reserved, rest = account.used, account.reserved, account.rest
        is_old = now >= account.until - _RENEW and (reserved > 0 or rest > 0)
        is_empty = is_idle and account.lease_id != "" and not (used or reserved or rest > 0)
        if not (give or used or is_old or is_empty):
            return None
        return self._wish(account, account.limit, need=0, give=is_idle or is_scarce)

    def _forget(self, now: float) -> None:
        """Let go of accounts that nobody uses."""
        with self._lock:
            self._ending = [each for each in self._ending if not _closed(each, now)]
            for each in [each for each in self._open.values() if _closed(each, now)]:
                del self._open[each.id]

    def retire(self) -> None:
        """Give everything back with the next `work()`: there will be no calls after it."""
        self._idle = 0.0

    def accounts(self) -> list[Account]:
        """Return those of the windows that are not over."""
        now = self._clock()
        with self._lock:
            return [each for each in self._open.values() if now < each.end]


def _finished(account: Account, wish: Wish, standing: Standing, now: float) -> None:
    with account.lock:
        account.used -= wish.used
        account.lease = standing.lease
        # Who has nothing left and used nothing has no row of its own any more.
        account.lease_id = wish.new if standing.lease or wish.used else ""
        account.spent, account.leased = standing.spent, standing.leased
        account.limit = wish.limit
        account.synced = now
        account.tried = []
        account.until = now + _LEASE


def _closed(account: Account, now: float) -> bool:
    """Close an account that nobody has used for a while; tell whether it is closed."""
    with account.lock:
        if now >= account.active + _FORGET:
            account.is_closed = not (account.used or account.reserved or account.lease_id)
        return account.is_closed
