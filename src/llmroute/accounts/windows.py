"""What was asked for in the last minute, and what is under way.

The counting is done by the package `limits`, by its sliding window counter, in whatever storage of
that package it is given: there are two numbers, of this minute and of the one before, and of the
latter that part counts which is still within sixty seconds.  Only what is under way is not in that
package.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    # The package takes a while to be imported, and it is who makes a storage that needs it.
    from limits.aio.storage import SlidingWindowCounterSupport

__all__ = ["MINUTE", "NO_LIMIT", "FullError", "Level", "Rule", "UnderWay", "Windows", "Work"]

MINUTE: Final = 60.0  # seconds
NO_LIMIT: Final = 2**53  # the largest number that Redis's Lua counts exactly

Work: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class Rule(NamedTuple):
    """One limit.

    Attributes:
        kind: What is counted.
        subject: For whom: `key`, `team`, or `all` for everybody together.
        name: What people call that key or team.
        most: How much of it there may be; in a minute, or at a time where it is `parallel`.
        place: Where it is counted; the same whatever the limit is at the moment.
    """

    kind: Literal["requests", "tokens", "parallel"]
    subject: Literal["key", "team", "all"]
    name: str
    most: int
    place: str


class Level(NamedTuple):
    """How a limit stands at a call.

    Attributes:
        rule: The limit.
        left: How much more there may be now.
        amount: What was counted for the call.
        until: When the minute ends that it was counted in, in seconds since 1970.
    """

    rule: Rule
    left: int
    amount: int = 1
    until: float = 0.0


class FullError(Exception):
    """A limit is reached.

    Attributes:
        level: How it stands.
        wait: Seconds; a moment later there is room for the call, if nobody else takes it.
    """

    def __init__(self, level: Level, wait: float) -> None:
        super().__init__(level.rule.place)
        self.level = level
        self.wait = wait


class _Running(Protocol):
    async def begin(self, place: str, most: int, ticket: str) -> int | None: ...
    async def end(self, place: str, ticket: str) -> None: ...


class UnderWay:
    """Counts what is under way in this process."""

    def __init__(self) -> None:
        """Count from nothing."""
        self._tickets: dict[str, set[str]] = {}

    async def begin(self, place: str, most: int, ticket: str) -> int | None:
        """Return how many are under way with this one; `None` if `most` were without it."""
        tickets = self._tickets.setdefault(place, set())
        if len(tickets) >= most:
            return None
        tickets.add(ticket)
        return len(tickets)

    async def end(self, place: str, ticket: str) -> None:
        """Count one no more; that may be one that was never begun."""
        tickets = self._tickets.get(place, set())
        tickets.discard(ticket)
        if not tickets:
            self._tickets.pop(place, None)

    def held(self) -> list[tuple[str, str]]:
        """Return the place and the ticket of all that is under way."""
        return [(place, ticket) for place, held in self._tickets.items() for ticket in held]


def _at_once(work: Work) -> None:
    # In memory nothing waits, so a coroutine is over with its first step.
    with suppress(StopIteration):
        work().send(None)


class Windows:
    """Counts in one storage.

    Args:
        storage: Counts requests and tokens.
        running: Counts what is under way.
        clock: Seconds since 1970.
        later: Does what nobody waits for.
    """

    def __init__(
        self,
        storage: SlidingWindowCounterSupport,
        running: _Running,
        clock: Callable[[], float],
        later: Callable[[Work], None] = _at_once,
    ) -> None:
        """Count from what the storage knows."""
        self._storage = storage
        self._running = running
        self._clock = clock
        self._later = later

    async def take(
        self, rules: Sequence[Rule], tokens: int, ticket: str, *, is_sure: bool = False
    ) -> list[Level]:
        """Count a call in all of these, or in none.

        Args:
            rules: What holds for it.
            tokens: How many it may use.
            ticket: A name that no other call has.
            is_sure: Whether it is made in any case.

        Raises:
            FullError: One of them is reached.
        """
        levels: list[Level] = []
        counted: list[Level] = []
        try:
            # All are looked at first, so that who keeps asking in vain is not counted in between.
            for rule in rules:
                if rule.kind == "parallel":
                    counted.append(Level(rule, 0))
                    levels.append(await self._begin(rule, ticket, is_sure))
                else:
                    levels.append(await self._look(rule, tokens, is_sure))
            for level in levels:
                rule = level.rule
                if rule.kind != "parallel":
                    if not await self._add(rule, level.amount, NO_LIMIT if is_sure else rule.most):
                        # Another call was quicker since we looked.
                        raise FullError(level._replace(left=0), 0.0)
                    counted.append(level)
        except BaseException:
            self.settle(counted, None, ticket)
            raise
        return levels

    async def _begin(self, rule: Rule, ticket: str, is_sure: bool) -> Level:
        used = await self._running.begin(rule.place, NO_LIMIT if is_sure else rule.most, ticket)
        if used is None:
            raise FullError(Level(rule, 0), 0.0)
        return Level(rule, max(rule.most - used, 0))

    async def _look(self, rule: Rule, tokens: int, is_sure: bool) -> Level:
        """Return how a limit will stand once a call is counted.

        Raises:
            FullError: There is not enough left for it.
        """
        # One that is longer than all the tokens of a minute waits until nothing else is counted:
        # it could never be made otherwise.
        want = 1 if rule.kind == "requests" else min(max(tokens, 1), rule.most)
        before, rest, used, ends = await self._storage.get_sliding_window(rule.place, int(MINUTE))
        left = rule.most - int(before * rest / MINUTE) - used
        # What is counted in this minute counts, ever less, for the whole of the next one.  Where
        # nothing is, Redis begins a minute with this call.
        until = self._clock() + (ends - MINUTE if ends else MINUTE)
        if left < want and not is_sure:
            wait = _wait(before, rest, used, ends, rule.most - want)
            raise FullError(Level(rule, max(left, 0), 0, until), wait)
        return Level(rule, max(left - want, 0), want, until)

    async def _add(self, rule: Rule, amount: int, most: int = NO_LIMIT) -> bool:
        return await self._storage.acquire_sliding_window_entry(
            rule.place, most, int(MINUTE), amount
        )

    def settle(self, levels: Sequence[Level], tokens: int | None, ticket: str) -> None:
        """End a call, which used `tokens`; `None` if it was not made after all.

        What it used beyond the estimate counts from now on.  What it used less is given back if
        the minute that it was counted in is not over.  Called on the event loop; never waits.
        """
        for rule, _, amount, until in levels:
            if rule.kind == "parallel":
                self._later(partial(self._running.end, rule.place, ticket))
                continue
            # A request that was made is one.
            used = 0 if tokens is None else tokens if rule.kind == "tokens" else amount
            # The package has no way to give back in Redis, but it adds whatever it is told to.
            # It may be less than nothing, though never the sum: we added as much before.
            if used > amount or (used < amount and self._clock() < until):
                self._later(partial(self._add, rule, used - amount))

    async def aclose(self) -> None:
        """There is nothing to let go of."""


def _wait(before: int, rest: float, used: int, ends: float, room: int) -> float:
    """Return the seconds until what is counted has sunk to `room`, but for a moment.

    The package tells only when there is room for one more, and that of the minute that is.

    Args:
        before: What was counted in the minute before, and
        rest: for how many seconds it still counts, ever less.
        used: What was counted in this minute, and
        ends: when it counts no more at all.
        room: What may be counted together.
    """
    # Fractions are left out of the count.
    if used <= room:
        return rest - (room - used + 1) * MINUTE / before
    return ends - (room + 1) * MINUTE / used
