"""What was asked for in the last minute, and what is under way, as several proxies count it.

Requests and tokens are counted by the package `limits`.  What is under way is not in that package:
it is a sorted set of leases, which end by themselves if the proxy that holds them dies.  All goes
by the clock of Redis.

    {prefix}limits:{requests:…}   a number, and `/-1` behind it for the minute before
    {prefix}limits:{tokens:…}     the same
    {prefix}limits:parallel:…     a sorted set: tickets by when their lease ends
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, TypeVar

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmroute.accounts.windows import NO_LIMIT, FullError, Level, Rule, UnderWay, Windows, Work
from llmroute.stores._address import connection_to, display

__all__ = ["SharedWindows"]

T = TypeVar("T")

_log = logging.getLogger("llmroute")

# No call waits for Redis longer than that; then it is left alone for a while.
_PATIENCE: Final = 1.0  # seconds; the first calls open connections, on a busy machine too
_LEFT_ALONE: Final = 1.0
_TURNS: Final = 8  # connections; more take longer to open than they save
# A lease is renewed so often, and ends so long after it was last renewed.
_RENEWAL, _LEASE = 10.0, 30.0  # seconds
_ALONE: Final = "rate limits are counted by each process alone"

# Everything that happens to a set of leases does so at once, so none can be had twice.  A lease
# that is there is renewed.
_LEND = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return -1 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 1000)
return redis.call('ZCARD', KEYS[1])
"""


class _Leases:
    """Counts what is under way in all processes that name the same Redis."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._lend = client.register_script(_LEND)

    async def begin(self, place: str, most: int, ticket: str) -> int | None:
        used = int(await self._lend([f"{self._prefix}:{place}"], [most, _LEASE, ticket]))
        return None if used < 0 else used

    async def end(self, place: str, ticket: str) -> None:
        await self._client.zrem(f"{self._prefix}:{place}", ticket)

    async def renew(self, held: Sequence[tuple[str, str]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for place, ticket in held:
            await self._lend([f"{self._prefix}:{place}"], [NO_LIMIT, _LEASE, ticket], pipeline)
        await pipeline.execute()


class SharedWindows:
    """Counts for all processes that name the same Redis; for one event loop at a time.

    A Redis that is away stops nobody: each process then counts what it serves itself, which it has
    counted all along, and that is said once.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with password and database.
        prefix: What the name of every key begins with.
        clock: Seconds since 1970.
    """

    def __init__(self, url: str, prefix: str, clock: Callable[[], float] = time.time) -> None:
        """Prepare; nothing is connected yet.

        Raises:
            ValueError: Not such a URL; the message repeats nothing of it.
        """
        self._address = display(url)
        self._prefix = f"{prefix}limits"
        self._clock = clock
        self._under_way = UnderWay()
        self._own = Windows(MemoryStorage(), self._under_way, clock)
        self._owns: dict[str, list[Level]] = {}  # how our own limits stood at each call under way
        self._url = url
        self._left_alone_until = 0.0
        self._is_away = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connect()

    def _connect(self) -> None:
        self._client = connection_to(self._url)
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=self._prefix,
            connection_pool=self._client.connection_pool,  # type: ignore[arg-type]
        )
        self._leases = _Leases(self._client, self._prefix)
        self._shared = Windows(storage, self._leases, self._clock, self._later)
        self._turns = asyncio.Semaphore(_TURNS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.Task[None] | None = None

    def _begin(self) -> asyncio.AbstractEventLoop:
        """Return the event loop that is running; what is bound to one that is over is made anew."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                self._connect()
            self._loop = loop
        return loop

    def __repr__(self) -> str:
        return f"SharedWindows({self._address})"

    async def take(self, rules: Sequence[Rule], tokens: int, ticket: str) -> list[Level]:
        """Count a call in all of these, or in none.

        Raises:
            FullError: One of them is reached.
        """
        loop = self._begin()
        levels = await self._asked(lambda: self._shared.take(rules, tokens, ticket))
        own = await self._own.take(rules, tokens, ticket, is_sure=levels is not None)
        self._owns[ticket] = own
        if self._renewal is None and any(rule.kind == "parallel" for rule in rules):
            # Not in the context of the call that happens to be the first.
            self._renewal = loop.create_task(self._renew(), context=Context())
        return own if levels is None else levels

    def settle(self, levels: Sequence[Level], tokens: int | None, ticket: str) -> None:
        """End a call, which used `tokens`; `None` if it was not made after all."""
        own = self._owns.pop(ticket)
        self._own.settle(own, tokens, ticket)
        if own is levels:
            # Redis was away, and does not know of it.
            levels = [level._replace(amount=0) for level in levels if level.rule.kind != "requests"]
        self._shared.settle(levels, tokens, ticket)

    def _later(self, work: Work) -> None:
        """Do what nobody waits for; if it cannot be done, leases end by themselves."""

        async def done() -> None:
            await self._asked(work)

        task = self._begin().create_task(done(), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        """Renew the leases of what is under way, until nothing is."""
        while True:
            await asyncio.sleep(_RENEWAL)
            held = self._under_way.held()
            if not held:
                self._renewal = None
                return
            await self._asked(lambda held=held: self._leases.renew(held))  # type: ignore[misc]

    async def _asked(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return what Redis says; `None` if it does not in time.

        Raises:
            FullError: It says that a limit is reached.
        """
        now = time.monotonic()
        if now < self._left_alone_until:
            return None
        if self._is_away:
            # One call finds out whether it is back, and not all of them.
            self._left_alone_until = now + _LEFT_ALONE
        try:
            async with asyncio.timeout(_PATIENCE), self._turns:
                answered = await work()
        except FullError:
            self._came_back()
            raise
        except (RedisError, OSError) as error:  # a timeout is one of the latter
            self._left_alone_until = time.monotonic() + _LEFT_ALONE
            if not self._is_away:
                # Not its words: they may repeat what it was told.
                why = type(error).__name__
                _log.warning("Redis at %s does not answer (%s); %s", self._address, why, _ALONE)
            self._is_away = True
            return None
        self._came_back()
        return answered

    def _came_back(self) -> None:
        self._left_alone_until = 0.0
        if self._is_away:
            _log.warning("Redis at %s answers again; rate limits are shared", self._address)
        self._is_away = False

    async def aclose(self) -> None:
        """Give back what is held, and let go of every connection."""
        self._begin()
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
            self._renewal = None
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.connection_pool.disconnect()
