"""The plan of one call: which step comes next, given how the last one ended.

Every deployment is tried once before one is tried again: going elsewhere costs no time, and a
retry does.  The exception has its price: a deployment that holds the conversation's prompt cache
is waited for, as long as that is worth less than writing the prompt anew elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, NamedTuple, TypeAlias

from llmroute.errors import Remedy, UnreachableError, UntranslatableError, UpstreamError
from llmroute.routing.remedies import Overflow, Rule, overflow, rule_for

__all__ = ["GiveUp", "Leg", "Plan", "Policy", "Step", "Try", "Wait"]

# How often one attempt is made again without what the upstream says it does not take: it may name
# one thing at a time.
_MOST_REFUSALS = 3
# How often a deployment with the prompt cache is waited for.
_MOST_STAYS = 2


def _no_rules() -> Mapping[str, Rule]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard to try.  Times are in seconds."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    retries: int | None = None
    """Further attempts at the same deployment, when the others have been tried.  Left out: 2 in
    process, as the Anthropic SDK has it; over HTTP, where the client retries by itself and would
    multiply ours, 1 if there are several deployments and else 0."""
    backoff: float = 0.5
    """The longest wait before the first of them, doubled for each one after; the wait itself is
    drawn between nothing and that, so that callers who failed together do not return together."""
    longest_backoff: float = 8.0
    """Where the doubling ends."""
    patience: float = 10.0
    """The time from a call's arrival within which an attempt may still be waited for."""
    cooldown: float = 5.0
    """How long a deployment that failed is left alone, if there is another; doubled each time that
    it fails again as soon as it is over."""
    longest_cooldown: float = 300.0
    """Where that doubling ends."""
    allowed_failures: int = 1
    """How many faults (5xx) in a row are forgiven before that.  A 429, a 529 and a connection that
    does not come about count at once."""
    waiting: float = 0.02
    """What a second of a person's waiting is worth, in US dollars: what a move to a deployment
    that does not hold the prompt cache is weighed against."""
    affinity: bool = True
    """Whether a conversation stays with the deployment that holds its prompt cache."""
    errors: Mapping[str, Rule] = field(default_factory=_no_rules)
    """Rows that stand above `llmroute.routing.remedies.RULES`, by error code, type or status."""


class Leg(NamedTuple):
    """One way to have a call answered.

    Attributes:
        deployment: Its name.
        model: What to ask it for.
        alias: The alias it stands in, which is another one than was asked for on a fallback.
    """

    deployment: str
    model: str
    alias: str = ""


class Try(NamedTuple):
    """Make an attempt, and leave out of the request what the deployment has just refused."""

    leg: Leg
    without: frozenset[str] = frozenset()


class Wait(NamedTuple):
    """Do nothing for so many seconds, then ask again."""

    seconds: float


class GiveUp(NamedTuple):
    """No attempt is left; answer with this, the most useful of the errors."""

    error: UpstreamError


Step: TypeAlias = Try | Wait | GiveUp


class _Again(NamedTuple):
    """An attempt that may be made, and not before then."""

    at: float
    leg: Leg
    without: frozenset[str]


class Plan:
    """The state of one call's attempts.

    Ask `next()` for a step, do it, and say how it ended: `failed()` after a `Try` that failed.

    Attributes:
        notes: What was weighed, a line each, for the record.
    """

    __slots__ = (
        "_current",
        "_errors",
        "_final",
        "_last_moment",
        "_later",
        "_left",
        "_moving",
        "_policy",
        "_put_off",
        "_refusals",
        "_reserves",
        "_retries",
        "_stays",
        "_tried",
        "_urgent",
        "notes",
    )

    def __init__(
        self,
        legs: Sequence[Leg],
        policy: Policy,
        retries: int,
        now: float = 0.0,
        *,
        reserves: Mapping[Overflow, Sequence[Leg]] | None = None,
        moving: int = 0,
        total: float = math.inf,
    ) -> None:
        """Begin with the first of `legs`.

        Args:
            legs: In the order in which they are to be tried.
            policy: How hard to try.
            retries: Of one deployment.
            now: When the call came in, in seconds of any clock.
            reserves: Where else to go if the model cannot or will not answer such a request.
            moving: What it costs more, in micro-dollars, to ask another than the first of `legs`.
            total: Seconds that the call has: a wait that is over later is no use.
        """
        self._left = list(legs)
        self._policy = policy
        self._retries = retries
        self._last_moment = now + min(policy.patience, total)
        self._reserves = dict(reserves or {})
        self._moving = moving
        self._urgent: _Again | None = None
        self._later: list[_Again] = []
        self._current: Try | None = None
        self._tried: dict[Leg, int] = {}
        self._put_off: set[Leg] = set()
        self._refusals = 0
        self._stays = 0
        self._final = False
        self._errors: list[tuple[UpstreamError, Rule]] = []
        self.notes: list[str] = []

    def next(self, now: float = 0.0) -> Step:
        """Return what to do now."""
        if (again := self._urgent) is None and not self._left:
            self._later = [each for each in self._later if each.at <= self._last_moment]
            again = min(self._later, key=lambda each: each.at, default=None)
        if again is None:
            if not self._left:
                return GiveUp(self._most_useful())
            return self._begin(Try(self._left.pop(0)))
        if again.at > now:
            return Wait(again.at - now)
        if again is self._urgent:
            self._urgent = None
        else:
            self._later.remove(again)
        return self._begin(Try(again.leg, again.without))

    def _begin(self, step: Try) -> Try:
        self._current = step
        self._tried[step.leg] = self._tried.get(step.leg, 0) + 1
        return step

    def passed_over(self, error: UpstreamError) -> None:
        """Take note of what a deployment that is not tried would have been answered with."""
        self._errors.append((error, rule_for(error, self._policy.errors)))

    def stop(self) -> GiveUp:
        """Return what to answer with when there is no time left for the attempts that are."""
        if not self._errors:
            # What was refused was to be left out, and there was no time to ask without it.
            return GiveUp(UnreachableError("no answer within the call's total timeout"))
        return GiveUp(self._most_useful())

    @property
    def ahead(self) -> Leg | None:
        """The leg that would be next, of those not yet tried."""
        return self._left[0] if self._left else None

    def spare(self) -> Leg | None:
        """Take out the leg that would be next, to be tried beside the current one."""
        if not self._left:
            return None
        leg = self._left.pop(0)
        self._tried[leg] = 1
        return leg

    @property
    def elsewhere(self) -> bool:
        """Whether there is another attempt to be made if the current one fails, or is refused."""
        return bool(self._left or self._later or self._reserves.get("refused"))

    def put_off(self) -> bool:
        """Leave the leg last told to try for the end; tell whether there is another before it."""
        current = self._current
        if current is None or not self._left or current.leg in self._put_off:
            return False
        self._put_off.add(current.leg)
        self._left.append(current.leg)
        del self._tried[current.leg]
        return True

    def refused(self) -> bool:
        """Take note that the model refused to answer; tell whether another may be asked."""
        return self._take_reserve("refused")

    def failed(
        self, error: UpstreamError, now: float = 0.0, draw: float = 1.0, leg: Leg | None = None
    ) -> Rule:
        """Take note that an attempt failed, and return what stands in the table about it.

        Args:
            error: With which.
            now: By the clock that `next` goes by.
            draw: A number in [0, 1], for the jitter of a wait that nobody prescribed.
            leg: The one that failed, if it is not the one last told to try.
        """
        current = self._current
        if current is None:
            raise AssertionError("an attempt fails after it was begun")
        if leg is not None and leg != current.leg:
            current = Try(leg)
        rule = rule_for(error, self._policy.errors)
        if self._final:
            # It was asked beside another one, which has said meanwhile that nothing can help.
            return rule
        if (news := error.refused - current.without) and self._refusals < _MOST_REFUSALS:
            self._refusals += 1
            self._urgent = _Again(now, current.leg, current.without | news)
            return Rule(Remedy.WITHOUT, 0.0)
        self._errors.append((error, rule))
        match rule.remedy:
            case Remedy.NOTHING | Remedy.WITHOUT:
                why = overflow(error)
                if why is None or not self._take_reserve(why):
                    self._final, self._left, self._later, self._urgent = True, [], [], None
            case Remedy.TIME:
                self._postpone(current, error, now, draw)
            case Remedy.ELSEWHERE:
                pass
        return rule

    def _take_reserve(self, why: Overflow) -> bool:
        # Whatever alias leads there, it would say the same.
        tried = {leg[:2] for leg in self._tried}
        legs = [leg for leg in self._reserves.pop(why, ()) if leg[:2] not in tried]
        if legs:
            self._left, self._later, self._urgent = legs, [], None
            self.notes.append(why.replace("_", " "))
        return bool(legs)

    def _postpone(self, current: Try, error: UpstreamError, now: float, draw: float) -> None:
        policy, made = self._policy, self._tried[current.leg]
        wait = error.retry_after
        if wait is None:
            wait = draw * min(policy.backoff * 2 ** (made - 1), policy.longest_backoff)
        again = _Again(now + wait, current.leg, current.without)
        if again.at > self._last_moment:
            return
        # Nobody knows when one that is not there will be back.
        if self._left and not isinstance(error, UnreachableError) and self._is_held(wait):
            self._stays += 1
            self._urgent = again
        elif made <= self._retries:
            self._later.append(again)

    def _is_held(self, wait: float) -> bool:
        """Weigh waiting for the holder of the prompt cache against writing the prompt elsewhere."""
        if not self._moving or self._stays >= _MOST_STAYS or len(self._tried) > 1:
            return False
        waiting = round(wait * self._policy.waiting * 1_000_000)
        held = waiting < self._moving
        self.notes.append(
            f"{'waits' if held else 'moves'}: {wait:.1f} s are worth {waiting / 1e6:.4f} $, moving "
            f"costs {self._moving / 1e6:.4f} $"
        )
        return held

    def _most_useful(self) -> UpstreamError:
        """Return the error that a client can do most about; of several like it, the last."""
        if not self._errors:
            raise AssertionError("a plan has at least one deployment")
        return min(reversed(self._errors), key=_uselessness)[0]


# What a client can act on comes first; what it can only wait for, next; an administrator's last.
_RANKS = {Remedy.NOTHING: 0, Remedy.WITHOUT: 0, Remedy.TIME: 1, Remedy.ELSEWHERE: 2}


def _uselessness(failure: tuple[UpstreamError, Rule]) -> tuple[float, bool, float]:
    error, rule = failure
    if isinstance(error, UntranslatableError):
        # A client can mend it, but not before the others have had their time.
        return 1.5, True, 0.0
    # Of those that pass with time: one that an upstream worded, and the one that passes soonest.
    return _RANKS[rule.remedy], not error.body, error.retry_after or 0.0
