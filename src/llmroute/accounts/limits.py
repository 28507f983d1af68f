"""How much may be asked at a time: requests and tokens per minute, and requests under way."""

from __future__ import annotations

import itertools
import math
import secrets
import time
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from llmroute.accounts.gate import Asked, Hold
from llmroute.accounts.model import Key
from llmroute.accounts.windows import MINUTE, FullError, Level, Rule, UnderWay, Windows
from llmroute.config import Config
from llmroute.errors import ConfigError, LimitError, Problem
from llmroute.observe import Record
from llmroute.wire.headers import Headers

if TYPE_CHECKING:
    from llmroute.accounts.shared import SharedWindows

__all__ = ["RateLimits", "counting"]

# A client believes no more than that: Claude Code gives up at once if it is told to wait longer.
_LONGEST_WAIT: Final = 60  # seconds
# The upstream's limits are the account's, and none of the key's business.
_UPSTREAMS: Final = tuple(
    f"anthropic-ratelimit-{kind}-".encode()
    for kind in ("requests", "tokens", "input-tokens", "output-tokens")
)


_Counting: TypeAlias = "Windows | SharedWindows"
_Kind: TypeAlias = Literal["requests", "tokens", "parallel"]
_Subject: TypeAlias = Literal["key", "team", "all"]


class _Limits(Hashable, Protocol):
    """The limits of a key, of a team or of everybody; settings and values alike."""

    @property
    def requests_per_minute(self) -> int | None: ...
    @property
    def tokens_per_minute(self) -> int | None: ...
    @property
    def parallel(self) -> int | None: ...


def counting(config: Config, clock: Callable[[], float] = time.time) -> _Counting:
    """Return what counts: Redis where the configuration names one, else this process.

    Raises:
        ConfigError: The address is none of Redis's, or the package for it is not installed.
    """
    # Here and not at the top: the package takes a while to be imported, and who has no Redis need
    # not have the other one.
    if config.store is None:
        from limits.aio.storage import MemoryStorage

        return Windows(MemoryStorage(), UnderWay(), clock)
    try:
        from llmroute.accounts.shared import SharedWindows
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise
        text = 'needs a package that is not installed: pip install "llmroute[redis]"'
        raise ConfigError([Problem(config.source, 0, "store", text)]) from None
    try:
        return SharedWindows(config.store.get_secret_value(), config.store_prefix, clock)
    except ValueError as error:
        raise ConfigError([Problem(config.source, 0, "store", str(error))]) from None


class RateLimits:
    """The gate of rate limits: those of the key, of its team, and of everybody together.

    A count of tokens is no request: Claude Code asks for two dozen at once.  The tokens of a call
    are estimated before it, and set right after it.

    Args:
        limits: Of everybody together.
        counted: Counts.
    """

    def __init__(self, limits: _Limits, counted: _Counting) -> None:
        """Prepare."""
        self._everybodys = _rules(limits, "all", "", "")
        self._counted = counted
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count()

    def configure(self, limits: _Limits) -> None:
        """Hold everybody to other limits from now on; what was counted stays."""
        self._everybodys = _rules(limits, "all", "", "")

    async def admit(self, asked: Asked) -> Hold | None:
        """Let a call through if no limit is reached.

        Raises:
            LimitError: One is.
        """
        call = asked.call
        rules = self._of(asked.key)
        # What llmroute asks by itself is part of a call that was let through, and is under way.
        if not rules or call.endpoint != "messages" or call.is_ours:
            return None
        tokens = call.rough_tokens if any(rule.kind == "tokens" for rule in rules) else 0
        ticket = f"{self._process}-{next(self._numbers)}"
        try:
            levels = await self._counted.take(rules, tokens, ticket)
        except FullError as full:
            raise _refusal(full) from None
        return _Held(self._counted, levels, ticket)

    def _of(self, key: Key | None) -> tuple[Rule, ...]:
        """Return what holds for a key; the narrowest first, so that its reader hears of it."""
        if key is None or not key.is_limited:
            return self._everybodys
        rules = _rules(key.limits, "key", key.id, key.name)
        if (team := key.team) is not None:
            rules += _rules(team.limits, "team", team.id, team.name)
        return rules + self._everybodys

    async def aclose(self) -> None:
        """Let go of what counts."""
        await self._counted.aclose()


@lru_cache(maxsize=4096)
def _rules(limits: _Limits, subject: _Subject, id_: str, name: str) -> tuple[Rule, ...]:
    """Return what of the limits of a key, a team or everybody is one."""
    amounts: dict[_Kind, int | None] = {
        "requests": limits.requests_per_minute,
        "tokens": limits.tokens_per_minute,
        "parallel": limits.parallel,
    }
    return tuple(
        Rule(kind, subject, name, most, f"{kind}:{subject}:{id_}")
        for kind, most in amounts.items()
        if most is not None
    )


class _Held:
    """What a call was counted in."""

    __slots__ = ("_counted", "_levels", "_ticket")

    def __init__(self, counted: _Counting, levels: Sequence[Level], ticket: str) -> None:
        self._counted = counted
        self._levels = levels
        self._ticket = ticket

    def headed(self, headers: Headers) -> Headers:
        """Tell of the limits in place of the upstream's own."""
        kept = [header for header in headers if not header[0].startswith(_UPSTREAMS)]
        return [*kept, *_told(self._levels)]

    def settle(self, record: Record | None) -> None:
        """Count what was used."""
        used = None if record is None else sum(record.usage.counts)
        self._counted.settle(self._levels, used, self._ticket)


def _told(levels: Sequence[Level]) -> Headers:
    """Return the headers in which Anthropic's API tells of limits: of each kind, the nearest."""
    headers = []
    for kind in ("requests", "tokens"):
        those = [level for level in levels if level.rule.kind == kind]
        if those:
            level = min(those, key=lambda it: it.left)
            # What is counted in a minute counts, ever less, for the whole of the next one.
            reset = _time(math.ceil(level.until + MINUTE))
            figures = (("limit", level.rule.most), ("remaining", level.left), ("reset", reset))
            headers += [
                (f"anthropic-ratelimit-{kind}-{name}".encode(), str(value).encode())
                for name, value in figures
            ]
    return headers


@lru_cache(maxsize=4)
def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refusal(full: FullError) -> LimitError:
    rule = full.level.rule
    # There is room a moment after that.
    wait = min(math.floor(full.wait) + 1, _LONGEST_WAIT)
    whose = {
        "key": f"The key {rule.name!r} may",
        "team": f"The keys of the team {rule.name!r} may together",
        "all": "All who use this llmroute proxy may together",
    }[rule.subject]
    most = _counted(rule.most, "token" if rule.kind == "tokens" else "request")
    what = {
        "requests": f"make {most} a minute, and the last minute saw as many",
        "tokens": f"use {most} a minute, and not enough of the last minute's is left",
        "parallel": f"have {most} under way at once, and as many are",
    }[rule.kind]
    headers = [(b"retry-after", str(wait).encode()), *_told([full.level])]
    return LimitError(f"{whose} {what}. Try again in {_counted(wait, 'second')}.", headers=headers)


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
