"""The gate of the budgets: what a call may cost is set aside before it, and settled after it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import anyio
import anyio.to_thread

from llmroute import pricing
from llmroute.accounts.configured import configured_budgets
from llmroute.accounts.escrow import Account, Escrow
from llmroute.accounts.gate import Asked, Hold
from llmroute.accounts.leases import taken_of
from llmroute.accounts.model import Key, Rule, Team, rule_of, window_of
from llmroute.accounts.overage import (
    State,
    bare,
    binding,
    dollars,
    headed,
    over_headers,
    over_words,
    per,
    whose,
)
from llmroute.accounts.people import People, rules_of
from llmroute.config.accounts import Accounts
from llmroute.database import Database
from llmroute.errors import BudgetError, ForbiddenError, LimitError, StoreError, UnavailableError
from llmroute.messages.call import Sender
from llmroute.observe import Reading, Record
from llmroute.routing.aliases import fits
from llmroute.wire.headers import Headers

__all__ = ["BudgetHold", "Budgets"]

_Part: TypeAlias = tuple[Rule, Account]

# How long a call waits for the database, which is on the way only now and then.
_PATIENCE: Final = 2.0  # seconds
# How long it waits for others to give back what they do not need, and how often it looks.
_WAIT: Final = 2.0
_LOOK: Final = 0.25
_THREADS: Final = 16
_MICROS: Final = 1_000_000


class Budgets:
    """Refuses calls for which there is no money.

    A call is let through as long as anything is left of each of its budgets, beyond what calls
    under way may cost.  So parallel calls overrun a budget by what one of them may cost at most,
    in however many processes they are.
    """

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        clock: Callable[[], float],
        *,
        wait: float = _WAIT,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            database: Where is written what was spent.
            accounts: The configuration's budgets.
            clock: Seconds since 1970.
            wait: For how many seconds a call waits for what is set aside for others.
        """
        self._database = database
        self.escrow = Escrow(database, clock)
        self.people = People(database, clock)
        self._clock = clock
        self._wait = wait
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._knows_prices = False
        self.configure(accounts)

    def configure(self, accounts: Accounts) -> None:
        """Hold to another configuration from now on."""
        found = configured_budgets("all", "", accounts.budgets)
        self.for_all = tuple(rule_of("all", "", each) for each in found)
        self._refuses = accounts.usage.when_store_fails == "refuse"

    def rules(self, sender: Sender) -> tuple[Rule, ...]:
        """Return the budgets of whoever makes a call."""
        key = sender.account
        rules = key.rules if isinstance(key, Key) else ()
        if self.for_all:
            rules = self.for_all + rules
        if self.people.has_any:
            rules += tuple(self.people.rules(sender))
        return rules

    async def admit(self, asked: Asked) -> Hold | None:
        """Set aside what the call may cost, in each of its budgets.

        Raises:
            BudgetError: One of them is spent.
            LimitError: All that is left of one is set aside for calls under way.
            UnavailableError: The database is away, and calls are to be refused then.
        """
        call = asked.call
        all_rules = self.rules(call.sender)
        if not all_rules:
            return None
        if call.endpoint != "messages":
            return _FREE
        rules = [
            rule
            for rule in all_rules
            if not rule.alias or _holds_for(rule.alias, asked.alias, call.model)
        ]
        if not rules:
            return _FREE
        if not self._knows_prices:
            await anyio.to_thread.run_sync(pricing.load)
            self._knows_prices = True
        # What nobody knows the price of counts as nothing; but it too needs that anything is left.
        need = max(asked.quote() or 0, 1)
        parts: list[_Part] = []
        now = self._clock()
        try:
            for rule in rules:
                account = self.escrow.account(rule.account, rule.period, now)
                # Nearly always this process may spend as much.
                if not account.take(rule.amount, need, now):
                    account = await self._take(rule, need)
                parts.append((rule, account))
        except BaseException:
            BudgetHold(parts, need).settle(None)
            raise
        return BudgetHold(parts, need)

    async def _take(self, rule: Rule, need: int) -> Account:
        escrow, clock = self.escrow, self._clock
        waited = 0.0
        while True:
            now = clock()
            account = escrow.account(rule.account, rule.period, now)
            if account.take(rule.amount, need, now):
                return account
            if account.is_spent(rule.amount, now):
                raise self._over(rule, account, now)
            account.rule = rule
            suffices = await self._refilled(account, rule, need)
            if suffices is None and account.overdraw(need, now):
                return account
            if suffices is not False or account.is_closed:
                continue
            if account.is_spent(rule.amount, clock()):
                raise self._over(rule, account, clock())
            if waited >= self._wait:
                raise _set_aside(rule)
            waited += _LOOK
            await anyio.sleep(_LOOK)

    async def _refilled(self, account: Account, rule: Rule, need: int) -> bool | None:
        """Ask for more, and tell whether it suffices.

        `None` if the database is away, and calls are let through then.
        """
        if not self.escrow.is_away:
            refill = functools.partial(self.escrow.refill, account, rule.amount, need)
            try:
                with anyio.fail_after(_PATIENCE):
                    return await anyio.to_thread.run_sync(
                        refill, abandon_on_cancel=True, limiter=self._threads
                    )
            except (StoreError, TimeoutError):
                # The next ones need not wait for it; `work()` finds out when it is back.
                self.escrow.is_away = True
        if self._refuses:
            raise UnavailableError(_AWAY, headers=[(b"retry-after", b"5")])
        # What this process knows, it holds to.
        spent, reserved = account.seen
        if spent >= rule.amount:
            raise self._over(rule, account, self._clock())
        if spent + reserved >= rule.amount:
            raise _set_aside(rule)
        return None

    def _over(self, rule: Rule, account: Account, now: float) -> BudgetError:
        state = _state(rule, account)
        return BudgetError(
            over_words(state),
            headers=over_headers(state, now),
            period=rule.period,
            amount=rule.amount,
            spent=state.spent,
            resets=state.resets,
        )

    def work(self) -> None:
        """Write down what was spent, and read whose budgets have changed.

        Raises:
            StoreError: The database cannot be had.
        """
        self.escrow.work()
        self.people.work()

    async def states(self, rules: Sequence[Rule]) -> list[State]:
        """Return how budgets stand, as the database says, and what this process has to add.

        Raises:
            StoreError: It cannot be had.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        windows = [window_of(rule.period, now) for rule in rules]
        places = [(rule.account, start) for rule, (start, _) in zip(rules, windows, strict=True)]
        found = await self._database.read(lambda it: taken_of(it, places))
        states = []
        for rule, (start, end) in zip(rules, windows, strict=True):
            account = self.escrow.find(rule.account, now.timestamp())
            used = account.used if account else 0
            spent, leased = found.get((rule.account, start), (0, 0))
            until = math.inf if end is None else end.timestamp()
            states.append(State(rule, spent + used, until, max(0, leased - used)))
        return states

    async def all_states(self, teams: Sequence[Team], keys: Sequence[Key]) -> list[State]:
        """Return how all budgets stand: everybody's, people's, and those of teams and keys.

        Raises:
            StoreError: The database cannot be had.
        """
        rules = [*self.for_all, *rules_of(await self.people.caps())]
        for kind, subjects in (("team", teams), ("key", keys)):
            rules += [rule_of(kind, it.name, budget) for it in subjects for budget in it.budgets]
        return await self.states(rules)

    def check(self, sender: Sender) -> None:
        """Make sure that nobody with a budget does what is not counted.

        Raises:
            ForbiddenError: It has one.
        """
        if rules := self.rules(sender):
            raise ForbiddenError(f"{whose(rules[0])} holds here, and {_UNCOUNTED}")

    def readings(self) -> Iterator[Reading]:
        """Return how the budgets stand that this process has to do with."""
        for account in self.escrow.accounts():
            if (rule := account.rule) is not None:
                labels = rule.kind, rule.name, rule.period, rule.alias
                spent = account.seen.spent / _MICROS
                yield Reading("llmroute_budget_spent_dollars", spent, labels)
                yield Reading("llmroute_budget_limit_dollars", rule.amount / _MICROS, labels)

    def retire(self) -> None:
        """Give everything back with the next `work()`."""
        self.escrow.retire()


class BudgetHold:
    """What is set aside for a call."""

    __slots__ = ("_need", "_parts")

    def __init__(self, parts: Sequence[_Part], need: int) -> None:
        self._parts = parts
        self._need = need

    def headed(self, headers: Headers) -> Headers:
        """Tell how the budget stands, in place of the upstream's limits."""
        if not self._parts:
            return bare(headers)
        if len(self._parts) > 1:
            rule, account = _binding(self._parts)
        else:
            rule, account = self._parts[0]
        return headed(headers, account.spent + account.used, rule.amount, account.end)

    def settle(self, record: Record | None) -> None:
        """Count what the call cost; nothing, where nobody knows."""
        cost = (record.cost or 0) if record is not None else 0
        for _, account in self._parts:
            account.settle(self._need, cost)


_FREE: Final = BudgetHold((), 0)
_UNCOUNTED = (
    "what this costs, a batch for instance, would not be counted. Send Messages requests one by "
    "one, or ask whoever runs this llmroute proxy."
)
_AWAY = (
    "The database with this llmroute proxy's budgets does not answer, and calls are refused until "
    "it does."
)


@functools.lru_cache(maxsize=10_000)
def _holds_for(pattern: str, alias: str, model: str) -> bool:
    """Tell whether a budget is for an alias, or for the name that was asked for under it."""
    return fits(pattern, alias) or fits(pattern, model)


def _binding(parts: Sequence[_Part]) -> _Part:
    """Return the one that matters most to the client."""
    states = [_state(rule, account) for rule, account in parts]
    return parts[states.index(binding(states))]


def _state(rule: Rule, account: Account) -> State:
    return State(rule, account.spent + account.used, account.end)


def _set_aside(rule: Rule) -> LimitError:
    return LimitError(
        f"{whose(rule)} has something left of its {dollars(rule.amount)}{per(rule)}, but all of it "
        "is set aside for calls under way. Try again when they are over.",
        headers=[(b"retry-after", b"2")],
    )
