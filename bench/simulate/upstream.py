"""What stands at the other end: deployments with a prompt cache, a rate limit, a price and a fate.

`World` is the router's transport.  A request says in its one message which `Request` it is, and so
need not be as long as it says it is.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence

import msgspec

from bench.simulate.reply import TimedReply, refusal, streamed, whole
from bench.simulate.sessions import Request
from bench.simulate.weather import Failure, Kind, Weather
from llmroute.errors import UnreachableError
from llmroute.messages.usage import Usage
from llmroute.pricing import Tariff, cost
from llmroute.transport import Body, Reply, Timeouts
from llmroute.wire.headers import Headers

__all__ = ["Bill", "World"]

# Prompt tokens a second, where they are read anew and where a cache holds them.
_READ, _READ_CACHED = 10_000.0, 400_000.0
_ROUND_TRIP = 0.05  # seconds
_SLOW = 8.0


class _Body(msgspec.Struct):
    messages: list[dict[str, str]]


_decode = msgspec.json.Decoder(_Body).decode


class Bill:
    """What a run used, and what that costs.

    Attributes:
        cost: In micro-dollars.
        fresh: Prompt tokens that no cache had to do with.
        read: Those read from a cache.
        written: Those written to one.
    """

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self.cost = 0
        self.fresh = self.read = self.written = 0

    def begin(self, usage: Usage) -> int:
        """Charge for a prompt; return how much."""
        self.fresh += usage.input_tokens
        self.read += usage.cache_read_input_tokens
        self.written += usage.cache_creation_input_tokens
        charged = cost(self._tariff, usage)
        self.cost += charged
        return charged

    def end(self, usage: Usage, charged: int) -> None:
        """Charge for a whole answer what was not `charged` when it began."""
        self.cost += cost(self._tariff, usage) - charged


class _Upstream:
    """One deployment's account at a vendor."""

    def __init__(
        self,
        name: str,
        *,
        seed: int,
        failures: Sequence[Failure],
        day: float,
        limit: float,
        bill: Bill,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.attempts = 0
        self.attempts_while_dead = 0
        self._draw = random.Random(f"{seed}:{name}")  # noqa: S311 -- repeatable, not secret
        self._failures = failures
        self._day = day
        self._clock = clock
        self._rate, self._left, self._filled = limit / 60.0, limit, 0.0
        self._limit = limit
        self._bill = bill
        # Until when, by prefix, and how much of it.
        self._cached: dict[str, tuple[float, int]] = {}

    async def answer(self, request: Request, timeouts: Timeouts) -> TimedReply:
        self.attempts += 1
        kind = self._fate(self._clock() / self._day)
        await asyncio.sleep(_ROUND_TRIP)
        match kind:
            case "refusing":
                raise UnreachableError("no connection: refused")
            case "unreachable":
                await asyncio.sleep(timeouts.connect or 0.0)
                raise UnreachableError("no connection: in time")
            case "throttling":
                return self._throttled(5 + 15 * self._draw.random())
            case "overloaded":
                return refusal(529, "overloaded_error", "Overloaded")
            case "spent":
                details = {"error_code": "enforced_spend_limit_reached"}
                return refusal(429, "rate_limit_error", "Spend limit reached", details=details)
        now = self._clock()
        usage = self._usage(request, now)
        fresh = usage.input_tokens + usage.cache_creation_input_tokens
        self._left = min(self._limit, self._left + (now - self._filled) * self._rate)
        self._filled = now
        if self._left < 0:
            return self._throttled(-self._left / self._rate)
        self._left -= fresh
        read = fresh / _READ + usage.cache_read_input_tokens / _READ_CACHED
        think = request.think * (_SLOW if kind == "slow" else 1.0)
        stalls = kind == "stalling"
        head = read if request.stream else read + think + request.write
        if stalls and not request.stream:
            head = math.inf
        if timeouts.first_byte is not None and head > timeouts.first_byte:
            await asyncio.sleep(timeouts.first_byte)
            raise UnreachableError("no answer in time")
        await asyncio.sleep(head)
        self._keep(request, now + head)
        charged = self._bill.begin(usage)
        used = Usage.of({**usage.data, "output_tokens": request.output})

        def done() -> None:
            self._bill.end(used, charged)

        if not request.stream:
            return whole(used, done)
        return streamed(used, math.inf if stalls else think, request.write, done, timeouts.silence)

    def _fate(self, at: float) -> Kind | None:
        for failure in self._failures:
            if failure.start <= at < failure.end:
                self.attempts_while_dead += failure.dead
                if failure.share == 1.0 or self._draw.random() < failure.share:
                    return failure.kind
        return None

    def _throttled(self, seconds: float) -> TimedReply:
        return refusal(429, "rate_limit_error", "Too many tokens", retry_after=math.ceil(seconds))

    def _usage(self, request: Request, now: float) -> Usage:
        """Tell what of a prompt is read from the cache, and what is written to it."""
        (common, common_tokens), (own, own_tokens) = request.common, request.own
        if not request.lifetime:
            return Usage.of({"input_tokens": own_tokens + common_tokens})
        read = 0
        until, cached = self._cached.get(own, (0.0, 0))
        if until > now:
            read = common_tokens + min(cached, own_tokens)
        elif self._cached.get(common, (0.0, 0))[0] > now:
            read = common_tokens
        written = common_tokens + own_tokens - read
        hour = written if request.lifetime > 300 else 0
        return Usage.of(
            {
                "input_tokens": 3,
                "cache_read_input_tokens": read,
                "cache_creation_input_tokens": written,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": written - hour,
                    "ephemeral_1h_input_tokens": hour,
                },
            }
        )

    def _keep(self, request: Request, now: float) -> None:
        if request.lifetime:
            for prefix, tokens in (request.common, request.own):
                until = max(now + request.lifetime, self._cached.get(prefix, (0.0, 0))[0])
                self._cached[prefix] = until, tokens


class World:
    """Every upstream there is: the router's transport.

    Attributes:
        bill: What all of them charge.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        seed: int,
        weather: Weather,
        day: float,
        limit: float,
        bill: Bill,
        clock: Callable[[], float],
    ) -> None:
        """Make upstreams `names`, each with room for `limit` uncached prompt tokens a minute."""
        self.bill = bill
        self._asked: dict[str, Request] = {}
        self._upstreams = {
            name: _Upstream(
                name,
                seed=seed,
                failures=[failure for failure in weather if failure.deployment == name],
                day=day,
                limit=limit,
                bill=bill,
                clock=clock,
            )
            for name in names
        }

    @property
    def attempts(self) -> int:
        """Requests that reached for an upstream."""
        return sum(upstream.attempts for upstream in self._upstreams.values())

    @property
    def attempts_while_dead(self) -> int:
        """Those that went to one which answers nobody at the time."""
        return sum(upstream.attempts_while_dead for upstream in self._upstreams.values())

    def expect(self, request: Request) -> None:
        """Get to know a request that a client is about to make."""
        self._asked[request.key] = request

    def forget(self, request: Request) -> None:
        """The client is done with it."""
        del self._asked[request.key]

    async def send(
        self, method: str, url: str, headers: Headers, body: Body, timeouts: Timeouts
    ) -> Reply:
        """Answer as the upstream of that host does, `https://NAME.invalid/...`."""
        del method, headers
        assert isinstance(body, Sequence)
        request = self._asked[_decode(b"".join(body)).messages[-1]["content"]]
        upstream = self._upstreams[url.split("/", 3)[2].partition(".")[0]]
        return await upstream.answer(request, timeouts)

    async def aclose(self) -> None:
        """There is nothing to close."""
