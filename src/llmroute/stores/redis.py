"""What several proxies know together, in Redis.

Everything is written to the memory of this process first, and read from there last: a reply of
Redis only corrects that memory.  So a verb does the same whether Redis answered, was too slow or
is away, but for what other processes wrote meanwhile.

    {prefix}v:{key}   a value, after the time it ends: a double of seconds since 1970
    {prefix}n:{key}   the number that was added
    {prefix}s:{key}   a hash: for each process, its share and when that ends
    {prefix}c:{key}   the process whose claim it is
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from redis.asyncio import Redis

from llmroute.stores._address import connection_to, display
from llmroute.stores._conversation import Command, Conversation, Place, Write
from llmroute.stores.memory import Memory

__all__ = ["RedisCounters"]

# A share is written again so often, counts for so long, and is cleared away by whoever sees it so
# long after that: a process that was killed stops counting, even if its clock was ahead.
_REFRESH, _SHARE_LIFE, _SHARE_LEFT = 10.0, 30.0, 60.0
# Values that are written again to a Redis that may have lost them: fewer than writes can wait.
_MOST_RESTORED = 5_000

_ENDS = struct.Struct(">d")


class RedisCounters:
    """Counters that several processes share through Redis; for one event loop at a time.

    No verb waits for Redis longer than a quarter of a second.  If it does not answer in that time,
    none asks it again until it does; a task of its own finds that out.  What was written meanwhile
    is then written to Redis too, unless it is over: values as they are now, shares, and what was
    added and cannot have been counted.  Claims are not.  Values that were written before, and that
    a Redis which was started anew has lost, are written again.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with password and database.
        prefix: What the name of every key begins with.
        clock: Seconds since 1970; the clocks of all processes should agree.
        process: A name that no other process has.
        client: Used in place of a connection to `url`; closed with this.

    Raises:
        ValueError: Not such a URL; the message repeats nothing of it.
        RuntimeError: From any verb, where no event loop of asyncio's is running.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "llmroute:",
        clock: Callable[[], float] = time.time,
        process: str,
        client: Redis | None = None,
    ) -> None:
        self._prefix = prefix
        self._clock = clock
        self._process = process.encode()
        self._memory = Memory(clock)
        self._others = Memory(clock)  # what is not ours of each sum, as Redis had it last
        self._refresh_at = 0.0
        self._address = display(url)
        self._redis = Conversation(
            lambda: connection_to(url) if client is None else client,
            self._address,
            self._commands,
            self._due,
        )

    def __repr__(self) -> str:
        return f"RedisCounters({self._address})"

    @property
    def status(self) -> str:
        """`redis`, or `redis (away)` since it was found not to answer."""
        return "redis" if self._redis.answers else "redis (away)"

    async def read(
        self, values: Sequence[str], sums: Sequence[str] = ()
    ) -> tuple[list[bytes | None], list[int]]:
        """Return what all processes know, or this one, if Redis does not say in time."""
        if values or sums:
            names = [self._name("v", key) for key in values]
            names += [self._name("n", key) for key in sums]
            commands: list[Command] = [("MGET", *names)]
            commands += [("HGETALL", self._name("s", key)) for key in sums]

            def learn(replies: list[Any]) -> None:
                stored, *shares = replies
                self._learn_values(values, stored[: len(values)])
                self._learn_sums(sums, stored[len(values) :], shares)

            await self._redis.ask(commands, learn)
        known, own = await self._memory.read(values, sums)
        others, _ = await self._others.read(sums)
        return known, [mine + int(rest or 0) for mine, rest in zip(own, others, strict=True)]

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Set a value here at once, and in Redis with the next pipeline."""
        if ttl <= 0:
            self.drop(key)
            return
        self._redis.tell(Place("put", key), Write(value, ends_at=self._clock() + ttl))
        self._memory.put(key, value, ttl)

    def drop(self, key: str) -> None:
        """Forget a value and give back a claim here at once, in Redis with the next pipeline."""
        self._redis.tell(Place("put", key), Write())
        self._redis.tell(Place("free", key), Write())
        self._memory.drop(key)

    def add(self, key: str, amount: int, ttl: float) -> None:
        """Add to a sum here at once, and in Redis with the next pipeline."""
        write = Write(amount=self._uncounted(key) + amount, ends_at=self._clock() + ttl)
        self._redis.tell(Place("add", key), write)
        self._memory.add(key, amount, ttl)

    def share(self, key: str, amount: int) -> None:
        """Set this process's part; others forget it half a minute after the process was killed."""
        self._redis.tell(Place("share", key), Write())
        self._memory.share(key, amount)

    async def claim(self, key: str, ttl: float) -> bool:
        """Claim among all processes, or in this one, if Redis does not answer in time."""
        got: list[Any] = []
        gone = False

        def learn(replies: list[Any]) -> None:
            got.extend(replies)
            if gone and got[0]:
                self._redis.tell(Place("free", key), Write())

        claim = ("SET", self._name("c", key), self._process, "NX", "PX", _milliseconds(ttl))
        try:
            answered = await self._redis.ask([claim], learn)
        except BaseException:
            # Nobody is there to use it, whether Redis has granted it or is about to.
            gone = True
            if got:
                learn([])
            raise
        if not answered:
            return await self._memory.claim(key, ttl)
        if not got[0]:
            return False
        # So that it holds in this process, should Redis go away.
        await self._memory.claim(key, ttl)
        return True

    async def aclose(self) -> None:
        """Take back what this process shares, send what was not sent, and close the connection.

        Takes no longer than a second or so.  What is written later stays in this process.
        """
        for key in list(self._memory.shares):
            self.share(key, 0)
        await self._redis.aclose()

    def _name(self, kind: str, key: str) -> str:
        return f"{self._prefix}{kind}:{key}"

    def _uncounted(self, key: str) -> int:
        write = self._redis.unsent(Place("add", key))
        return 0 if write is None else write.amount

    def _learn_values(self, keys: Sequence[str], stored: Sequence[bytes | None]) -> None:
        now = self._clock()
        for key, value in zip(keys, stored, strict=True):
            # What was written here since is newer than the reply.
            if self._redis.unsent(Place("put", key)) is not None:
                continue
            if value is None or len(value) < _ENDS.size:
                # A Redis that was started anew does not know yet what it is about to be told.
                if self._redis.unsent(Place("restore", key)) is None:
                    self._memory.drop(key)
            else:
                (ends_at,) = _ENDS.unpack_from(value)
                self._memory.put(key, value[_ENDS.size :], ends_at - now)

    def _learn_sums(
        self,
        keys: Sequence[str],
        counts: Sequence[bytes | None],
        shares: Sequence[dict[bytes, bytes]],
    ) -> None:
        now = self._clock()
        for key, count, processes in zip(keys, counts, shares, strict=True):
            ours = self._memory.count(key) - self._uncounted(key)
            # Less than ours if Redis has lost it; the others do not owe us that.
            rest = max(_number(count) - ours, 0)
            for process, share in processes.items():
                amount, ends_at = _share(share)
                if ends_at + _SHARE_LEFT < now:
                    self._redis.tell(Place("clear", key, process), Write())
                elif process != self._process and now < ends_at:
                    rest += amount
            self._others.put(key, b"%d" % rest, _SHARE_LIFE)

    def _due(self, again: bool) -> list[Place]:
        """Return the shares that are to be written once more, so that they go on to count.

        One that is met again may have lost the values, too.
        """
        now = self._clock()
        if now < self._refresh_at and not again:
            return []
        self._refresh_at = now + _REFRESH
        shares = [Place("share", key) for key in self._memory.shares]
        if not again:
            return shares
        newest = self._memory.keys()[-_MOST_RESTORED:]
        told = (key for key in newest if self._redis.unsent(Place("put", key)) is None)
        return [*shares, *(Place("restore", key) for key in told)]

    def _commands(self, place: Place, write: Write) -> list[Command]:
        """Return what makes a write known to all; nothing if it is over."""
        ttl = _milliseconds(write.ends_at - self._clock())
        match place.kind:
            case "put":
                return self._put_commands(self._name("v", place.key), write, ttl)
            case "restore":
                return self._restore_commands(place.key)
            case "free":
                return [("DEL", self._name("c", place.key))]
            case "add":
                name = self._name("n", place.key)
                return [("INCRBY", name, write.amount), ("PEXPIRE", name, ttl)] if ttl > 0 else []
            case "share":
                return self._share_commands(place.key)
            case "clear":
                return [("HDEL", self._name("s", place.key), place.process)]
            case _:
                assert_never(place.kind)

    def _put_commands(self, name: str, write: Write, ttl: int) -> list[Command]:
        if write.value is None:
            return [("DEL", name)]
        return (
            [("SET", name, _ENDS.pack(write.ends_at) + write.value, "PX", ttl)] if ttl > 0 else []
        )

    def _restore_commands(self, key: str) -> list[Command]:
        """Return what sets a value as it is here now, unless others have set it."""
        kept = self._memory.value(key)
        if kept is None:
            return []
        value, ends_at = kept
        ttl = _milliseconds(ends_at - self._clock())
        name = self._name("v", key)
        return [("SET", name, _ENDS.pack(ends_at) + value, "NX", "PX", ttl)] if ttl > 0 else []

    def _share_commands(self, key: str) -> list[Command]:
        """Return what writes this process's share as it is now."""
        name = self._name("s", key)
        amount = self._memory.shares.get(key, 0)
        if not amount:
            return [("HDEL", name, self._process)]
        share = b"%d %.3f" % (amount, self._clock() + _SHARE_LIFE)
        keep = _milliseconds(_SHARE_LIFE + _SHARE_LEFT)
        return [("HSET", name, self._process, share), ("PEXPIRE", name, keep)]


def _number(stored: bytes | None) -> int:
    """Return what was added; 0 for what is no number."""
    try:
        return int(stored or 0)
    except ValueError:
        return 0


def _share(stored: bytes) -> tuple[int, float]:
    """Return a share, and when it ends; what is none ended long ago."""
    amount, _, ends_at = stored.partition(b" ")
    try:
        return int(amount), float(ends_at)
    except ValueError:
        return 0, 0.0


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)
