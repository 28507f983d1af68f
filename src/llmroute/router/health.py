"""How the deployments are: which failed, how busy and how fast they are, what they may still take.

What several proxies have to agree on, cooldowns and limits, goes through `Counters`; what one sees
for itself, latency and the calls it has under way, stays here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from llmroute.config import Config
from llmroute.errors import FaultError, MisconfiguredError, RateLimitedError, Remedy, UpstreamError
from llmroute.providers import Deployment
from llmroute.routing import cooldown
from llmroute.routing.cooldown import Cooldown
from llmroute.routing.plan import Policy
from llmroute.routing.remedies import Rule
from llmroute.routing.select import Latency
from llmroute.stores import Counters

__all__ = ["DeploymentState", "Glimpse", "Health", "State", "View"]

_log = logging.getLogger("llmroute")

_MINUTE: Final = 60.0
# How long a count of a minute is of use: it fades out over the minute that follows.
_COUNTED = 2 * _MINUTE
# How long one call may take to find out whether a deployment is well again.
_TRIAL = 30.0
# How long to wait for a place among the parallel requests of a deployment; nobody knows.
_PLACE = 1.0

# With these an upstream refuses who asks: a key, or one whose bill was not paid.
_OF_A_CREDENTIAL: Final = (401, 402, 403)
# What a deployment can have in the place of a key.
_CREDENTIALS: Final = (
    *("api_key", "auth_token", "credentials", "credentials_file", "role_arn", "access_key_id"),
    *("profile", "client_secret", "password", "federated_token_file", "managed_identity"),
)

State = Literal["ready", "cooling", "trial", "full"]


class DeploymentState(NamedTuple):
    """How one deployment is at the moment.

    Attributes:
        name: As the configuration has it.
        provider: The kind of API.
        model: The upstream's name for the model; empty if it is the one that is asked for.
        address: Where it is.
        state: `ready`; `cooling`, left alone after a failure; `trial`, the next call finds out
            whether it is well again; `full`, at a limit of its.
        cooling_for: Seconds that it is still left alone.
        failures: In a row, the last ones.
        busy: Calls under way, in this process.
        latency: Seconds to the first byte, of late; `None` if there was no call.
        requests_last_minute: Attempts, of all proxies that share their state; `None` where they
            are not counted, because there is no limit.
        tokens_last_minute: Likewise.
        last_error: What went wrong last, in a line.
        last_error_at: When, in seconds since 1970.
    """

    name: str
    provider: str
    model: str
    address: str
    state: State
    cooling_for: float | None
    failures: int
    busy: int
    latency: float | None
    requests_last_minute: int | None
    tokens_last_minute: int | None
    last_error: str | None
    last_error_at: float | None


class Glimpse(NamedTuple):
    """What this process knows of a deployment without asking anybody.

    Attributes:
        name: As the configuration has it.
        is_up: It is not left alone after a failure.
        busy: Attempts under way.
        cooldowns: How often it was left alone.
    """

    name: str
    is_up: bool
    busy: int
    cooldowns: int


class View(NamedTuple):
    """What the state said when a call was about to be placed.

    Attributes:
        cooldowns: By deployment; one that is well is not in it.
        full: Seconds until a deployment at its limit may take another call.
        values: What was found under the further keys that were asked for.
    """

    cooldowns: Mapping[str, Cooldown]
    full: Mapping[str, float]
    values: Sequence[bytes | None]


@dataclass(slots=True)
class _Own:
    """What this process has seen of a deployment."""

    settings: Deployment
    busy: int = 0
    counted: int = 0  # those of them that take a place among the parallel requests
    latency: Latency | None = None
    cooldown: Cooldown | None = None
    cooled_at: float = -math.inf
    error: str | None = None
    error_at: float | None = None
    broken: int = 0
    cooldowns: int = 0
    reported: set[int] = field(default_factory=set)


class Health:
    """The state of every deployment of a configuration."""

    __slots__ = ("_clock", "_config", "_counters", "_limited", "_own", "_policy")

    def __init__(self, config: Config, counters: Counters, clock: Callable[[], float]) -> None:
        """Prepare; `clock` tells the seconds since 1970, which proxies have in common."""
        self._config = config
        self._policy: Policy = config.policy
        self._counters = counters
        self._clock = clock
        self._own = {name: _Own(settings) for name, settings in config.deployments.items()}
        self._limited = frozenset(
            name
            for name, settings in config.deployments.items()
            if settings.rpm or settings.tpm or settings.max_parallel_requests
        )

    def inherit(self, earlier: Health) -> None:
        """Go on with what an earlier configuration's health knew of the same deployments."""
        for name, own in self._own.items():
            before = earlier._own.get(name)
            if before is None:
                continue
            if before.settings == own.settings:
                # The very object: calls that are under way will still be counted out of it.
                self._own[name] = before
            else:
                # What was wrong with it may just have been mended.
                self._counters.drop(_cooling(name))

    def busy(self, name: str) -> int:
        """Return how many calls this process has under way there."""
        return self._own[name].busy

    def latency(self, name: str) -> float | None:
        """Return the seconds to a first byte there, of late; `None` if it is not known."""
        latency = self._own[name].latency
        return None if latency is None else latency.estimate(self._clock())

    async def look(self, names: Sequence[str], further: Sequence[str] = ()) -> View:
        """Return the state of these deployments, and what stands under the `further` keys.

        It is one trip to the store.
        """
        limited = [name for name in names if name in self._limited]
        now = self._clock()
        values, sums = await self._counters.read(
            [*map(_cooling, names), *further],
            [key for name in limited for key in _counted(name, now)],
        )
        cooldowns = {}
        for name, value in zip(names, values, strict=False):
            found = Cooldown.from_bytes(value) if value is not None else None
            own = self._own[name]
            if found is not None and found != own.cooldown:
                # Another process saw it fail, and calls of ours that are under way are older.
                own.cooled_at = now
            own.cooldown = found
            if found is not None:
                cooldowns[name] = found
        full = {}
        each = zip(*[iter(sums)] * 5, strict=True)
        for name, (before, requests, tokens_before, tokens, parallel) in zip(
            limited, each, strict=True
        ):
            settings = self._own[name].settings
            rest = _MINUTE - now % _MINUTE
            faded = rest / _MINUTE
            if settings.max_parallel_requests and parallel >= settings.max_parallel_requests:
                full[name] = _PLACE
            if settings.rpm and before * faded + requests >= settings.rpm:
                full[name] = rest if requests >= settings.rpm else _PLACE
            if settings.tpm and tokens_before * faded + tokens >= settings.tpm:
                full[name] = rest if tokens >= settings.tpm else _PLACE
        return View(cooldowns, full, values[len(names) :])

    def on_trial(self, name: str, view: View) -> bool:
        """Tell whether a cooldown is over, so that one call has to find out how it is."""
        found = view.cooldowns.get(name)
        return found is not None and found.trial(self._clock())

    async def full(self, name: str) -> RateLimitedError | None:
        """Return an error if a deployment is at its limit at this moment."""
        if name not in self._limited:
            return None
        seconds = (await self.look([name])).full.get(name)
        if seconds is None:
            return None
        return RateLimitedError(f"{name} is at its limit", status=429, retry_after=seconds)

    async def may_try(self, name: str) -> bool:
        """Tell whether this call is the one to find out; say so when it has `tried`."""
        return await self._counters.claim(_trial(name), _TRIAL)

    def tried(self, name: str) -> None:
        """Take note that a trial is over; if it told nothing, the next call makes it."""
        self._counters.drop(_trial(name))

    def begin(self, name: str, tokens: int, *, counts: bool) -> None:
        """Take note of a call with as many tokens as it may have; `end` it.

        One that does not count is none of those that a minute has room for: counting tokens.
        """
        own = self._own[name]
        own.busy += 1
        own.counted += counts
        if counts and name in self._limited:
            now, settings = self._clock(), own.settings
            if settings.rpm:
                self._counters.add(_requests(name, now), 1, _COUNTED)
            if settings.tpm and tokens:
                self._counters.add(_tokens(name, now), tokens, _COUNTED)
            if settings.max_parallel_requests:
                self._counters.share(_parallel(name), own.counted)

    def end(self, name: str, surplus: int = 0, *, counts: bool) -> None:
        """Take note that it is over, with so many tokens more, or less, than was thought."""
        own = self._own[name]
        own.busy -= 1
        own.counted -= counts
        if counts and name in self._limited:
            if own.settings.tpm and surplus:
                self._counters.add(_tokens(name, self._clock()), surplus, _COUNTED)
            if own.settings.max_parallel_requests:
                self._counters.share(_parallel(name), own.counted)

    def answered(self, name: str, first_byte: float) -> None:
        """Take note that an answer began after so many seconds."""
        own, now = self._own[name], self._clock()
        own.latency = (own.latency or Latency(first_byte, now)).after(first_byte, now)
        self.reached(name, first_byte)

    def reached(self, name: str, took: float) -> None:
        """Take note that it is well: it answered, or refused a wrong request, after so long."""
        own = self._own[name]
        own.reported.clear()
        # One that was sent before the deployment failed tells nothing of how it is since.
        if own.cooldown is not None and self._clock() - took >= own.cooled_at:
            own.cooldown = None
            self._counters.drop(_cooling(name))
            self._counters.drop(_trial(name))

    def failed(self, name: str, error: UpstreamError, rule: Rule) -> None:
        """Take note that an attempt failed, and leave the deployment alone if that is the rule."""
        own, policy = self._own[name], self._policy
        own.error, own.error_at = str(error), self._clock()
        if error.status == 404 and "*" in (own.settings.model or "*"):
            # It was the caller who chose a model that is not there.
            return
        if isinstance(error, MisconfiguredError):
            self._report(name, own, error)
        if rule.cooldown == 0 or rule.remedy in (Remedy.NOTHING, Remedy.WITHOUT):
            return
        asked = rule.cooldown
        if rule.remedy is Remedy.TIME and asked is None:
            asked = error.retry_after
        self._cool(name, asked, policy.allowed_failures if isinstance(error, FaultError) else 0)

    def finished(self, name: str) -> None:
        """Take note that an answer came to its end."""
        self._own[name].broken = 0

    def broken(self, name: str, error: UpstreamError) -> None:
        """Take note that an answer broke off after it had begun, which `answered` cannot know."""
        own = self._own[name]
        own.error, own.error_at = str(error), self._clock()
        own.broken += 1
        if own.broken > self._policy.allowed_failures:
            self._cool(name, None, 0)

    def _cool(self, name: str, asked: float | None, allowed: int) -> None:
        own, now, policy = self._own[name], self._clock(), self._policy
        own.cooled_at = now
        was_cooling = own.cooldown is not None and own.cooldown.cooling(now)
        own.cooldown = cooldown.failed(
            own.cooldown,
            asked=asked,
            base=policy.cooldown,
            longest=policy.longest_cooldown,
            allowed=allowed,
            now=now,
        )
        own.cooldowns += own.cooldown.cooling(now) and not was_cooling
        # What is over is remembered for as long again: the next failure then counts as another.
        rest = max(own.cooldown.until - now, 0.0) + policy.longest_cooldown
        self._counters.put(_cooling(name), own.cooldown.to_bytes(), rest)
        self._counters.drop(_trial(name))

    def _report(self, name: str, own: _Own, error: MisconfiguredError) -> None:
        """Say once, until it answers again, which line of the configuration is to be mended."""
        if error.status in own.reported:
            return
        own.reported.add(error.status)
        origin = self._config.origins.get(name)
        if origin is None:
            place = f"deployment {name!r}"
        elif error.status in _OF_A_CREDENTIAL:
            place = origin.place_of(_CREDENTIALS)
        else:
            place = origin.place("model" if error.status == 404 else "base_url")
        _log.warning("%s: the upstream refuses it: %s", place, error)

    def glance(self) -> list[Glimpse]:
        """Return how every deployment is as far as this process knows; safe from any thread."""
        now = self._clock()
        return [
            Glimpse(
                name, own.cooldown is None or not own.cooldown.cooling(now), own.busy, own.cooldowns
            )
            for name, own in self._own.items()
        ]

    async def states(self, addresses: Mapping[str, str]) -> list[DeploymentState]:
        """Return the state of every deployment, in the configuration's order."""
        view = await self.look(list(self._own))
        now = self._clock()
        counted = await self._last_minute(now)
        listed = []
        for name, own in self._own.items():
            found = view.cooldowns.get(name)
            requests, tokens = counted.get(name, (None, None))
            listed.append(
                DeploymentState(
                    name=name,
                    provider=own.settings.provider,
                    model=own.settings.model or "",
                    address=addresses[name],
                    state=_state(name, found, view.full, now),
                    cooling_for=found.until - now if found and found.cooling(now) else None,
                    failures=found.failures if found else 0,
                    busy=own.busy,
                    latency=None if own.latency is None else own.latency.estimate(now),
                    requests_last_minute=requests,
                    tokens_last_minute=tokens,
                    last_error=own.error,
                    last_error_at=own.error_at,
                )
            )
        return listed

    async def _last_minute(self, now: float) -> dict[str, tuple[int | None, int | None]]:
        limited = sorted(self._limited)
        keys = [key for name in limited for key in _counted(name, now)]
        _, sums = await self._counters.read([], keys)
        faded = 1 - now % _MINUTE / _MINUTE
        figures = {}
        for name, (before, requests, tokens_before, tokens, _) in zip(
            limited, zip(*[iter(sums)] * 5, strict=True), strict=True
        ):
            settings = self._own[name].settings
            figures[name] = (
                math.ceil(before * faded + requests) if settings.rpm else None,
                math.ceil(tokens_before * faded + tokens) if settings.tpm else None,
            )
        return figures


def _state(
    name: str, found: Cooldown | None, full: Mapping[str, float] | Iterable[str], now: float
) -> State:
    if found is not None and found.cooling(now):
        return "cooling"
    if name in full:
        return "full"
    return "trial" if found is not None and found.trial(now) else "ready"


def _cooling(name: str) -> str:
    return f"cool:{name}"


def _trial(name: str) -> str:
    return f"trial:{name}"


def _requests(name: str, now: float, minutes_ago: int = 0) -> str:
    return f"requests:{name}:{int(now // _MINUTE) - minutes_ago}"


def _tokens(name: str, now: float, minutes_ago: int = 0) -> str:
    return f"tokens:{name}:{int(now // _MINUTE) - minutes_ago}"


def _parallel(name: str) -> str:
    return f"parallel:{name}"


def _counted(name: str, now: float) -> tuple[str, str, str, str, str]:
    """Return the keys under which a deployment's use is counted, this minute and the last."""
    return (
        _requests(name, now, 1),
        _requests(name, now),
        _tokens(name, now, 1),
        _tokens(name, now),
        _parallel(name),
    )
