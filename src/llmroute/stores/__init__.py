"""What several proxies know together, or one alone: cooldowns, affinity, rates, calls under way."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from llmroute.errors import ConfigError, Problem
from llmroute.stores.memory import Memory

__all__ = ["Counters", "Memory", "open_counters"]


class Counters(Protocol):
    """Values that end, and numbers that several add to.

    Keys are short strings; the same one may name a value, a sum and a claim.  Times are in
    seconds.  No verb fails because the state is out of reach, nor waits long for it: what this
    process knows itself stands in.
    """

    @property
    def status(self) -> str:
        """Where the state is, and whether it can be had: `memory`, `redis` or `redis (away)`."""

    async def read(
        self, values: Sequence[str], sums: Sequence[str] = ()
    ) -> tuple[list[bytes | None], list[int]]:
        """Return values (None: unknown or over) and sums, in the order asked for; one round trip.

        A sum is what was added to its key and what every process shares of it.
        """

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Set a value for `ttl`: here at once, elsewhere soon.  Never waits.

        Zero or less drops it.
        """

    def drop(self, key: str) -> None:
        """Forget a value, and give back a claim.  Never waits."""

    def add(self, key: str, amount: int, ttl: float) -> None:
        """Add to a sum, which is forgotten `ttl` after it was last added to.  Never waits."""

    def share(self, key: str, amount: int) -> None:
        """Set this process's part of a sum; it counts for as long as the process lives.

        Never waits.
        """

    async def claim(self, key: str, ttl: float) -> bool:
        """Return True to one caller, and False to every other until `ttl` is over."""

    async def aclose(self) -> None:
        """Send what was not sent yet, if that is quick, and let go of every connection."""


def open_counters(
    url: str | None,
    *,
    prefix: str = "llmroute:",
    clock: Callable[[], float] = time.time,
    process: str | None = None,
    source: str = "<dict>",
) -> Counters:
    """Return the counters at `url`, or those of this process alone if there is none.

    Nothing is connected yet.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with password and database.
        prefix: What the name of every key in Redis begins with.
        clock: Seconds since 1970.
        process: A name no other process has; drawn if it is not given.
        source: The file a `ConfigError` names.

    Raises:
        ConfigError: The URL is none of Redis's, or its package is not installed.
    """
    if url is None:
        return Memory(clock)
    try:
        from llmroute.stores.redis import RedisCounters
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise
        # Of an old version, a module.
        text = 'needs a package that is not installed: pip install "llmroute[redis]"'
        raise ConfigError([Problem(source, 0, "store", text)]) from None
    try:
        return RedisCounters(
            url, prefix=prefix, clock=clock, process=process or secrets.token_hex(8)
        )
    except ValueError as error:
        raise ConfigError([Problem(source, 0, "store", str(error))]) from None
