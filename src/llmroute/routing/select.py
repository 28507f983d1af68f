"""In which order the deployments of an alias are tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias, assert_never

__all__ = ["Candidate", "Latency", "Strategy", "order"]

Strategy: TypeAlias = Literal["listed", "weighted", "least_busy", "lowest_latency", "lowest_price"]

# Seconds after which a measurement counts for a third: long enough to tell a slow deployment from
# one slow answer, short enough that it is tried again soon.
_FADING = 10.0


class Candidate(NamedTuple):
    """A deployment that may answer, and what is known of it at this moment.

    Attributes:
        name: Its name; several keys of one deployment are a candidate each.
        order: Lower ones are tried first, whatever the strategy.
        place: Where its deployment stands in the list; equal for the keys of one deployment.
        weight: Its share of the calls among its equals; 0 for one that only stands by.
        cooling: Whether it failed a moment ago and is being left alone.
        busy: Calls in flight.
        latency: Seconds until an answer begins, as `Latency` estimates them; `None` before the
            first one.
        price: Any one figure by which prices compare; `None` if unknown.
    """

    name: str
    order: int = 0
    place: int = 0
    weight: float = 1.0
    cooling: bool = False
    busy: int = 0
    latency: float | None = None
    price: float | None = None


class _Ticket(NamedTuple):
    """A candidate and its luck; `lot` sorts a draw by weight, the first in front."""

    candidate: Candidate
    lot: tuple[bool, float]


def order(candidates: Sequence[Candidate], strategy: Strategy, draws: Sequence[float]) -> list[str]:
    """Return the names of all candidates, the one to try first in front.

    Those that cool come last, and not never: a cooldown is a guess, and the alias has no one else.
    `order` comes next and then the strategy. Among equals the draw decides, by weight.

    Args:
        candidates: In the configuration's order.
        strategy: Either way, keys of one deployment are drawn by weight under `listed`.
        draws: A number in [0, 1) for each candidate.
    """
    if len(candidates) == 1:
        return [candidates[0].name]
    tickets = [_Ticket(c, _lot(c.weight, d)) for c, d in zip(candidates, draws, strict=True)]
    tickets.sort(key=_tier)
    return [
        ticket.candidate.name
        for _, tier in groupby(tickets, key=_tier)
        for ticket in _ranked(list(tier), strategy)
    ]


def _tier(ticket: _Ticket) -> tuple[bool, int]:
    return ticket.candidate.cooling, ticket.candidate.order


def _lot(weight: float, draw: float) -> tuple[bool, float]:
    # Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006: the draw to the
    # power of 1/weight, the greatest first, gives every order its weighted chance. Its logarithm
    # tells small weights apart, whose powers are all 0.
    if not weight:
        return True, -draw
    return False, -math.log(draw) / weight if draw else math.inf


def _ranked(tier: list[_Ticket], strategy: Strategy) -> list[_Ticket]:
    match strategy:
        case "listed":
            return sorted(tier, key=lambda t: (t.candidate.place, t.lot))
        case "weighted":
            return sorted(tier, key=lambda t: t.lot)
        case "least_busy":
            return sorted(tier, key=lambda t: (t.lot[0], _load(t.candidate), t.lot))
        case "lowest_price":
            return sorted(tier, key=lambda t: (t.lot[0], _price(t.candidate), t.lot))
        case "lowest_latency":
            return _by_latency(tier)
        case _:
            assert_never(strategy)


def _load(candidate: Candidate) -> float:
    return candidate.busy / candidate.weight if candidate.weight else candidate.busy


def _price(candidate: Candidate) -> float:
    return math.inf if candidate.price is None else candidate.price


def _by_latency(tier: list[_Ticket]) -> list[_Ticket]:
    # The power of two choices (Mitzenmacher, 2001): the better of two that were drawn. The best of
    # all would get every call of every proxy until its latency is measured anew.
    slowest = max((t.candidate.latency or 0.0 for t in tier), default=0.0)

    def score(ticket: _Ticket) -> tuple[bool, float, int, tuple[bool, float]]:
        busy, latency = ticket.candidate.busy, ticket.candidate.latency
        if latency is None:
            # One call is enough to measure it; more would all wait for one that may be stuck.
            latency = slowest if busy else 0.0
        return ticket.lot[0], latency * (busy + 1), busy, ticket.lot

    first = min(sorted(tier, key=lambda t: t.lot)[:2], key=score)
    return [first, *sorted((t for t in tier if t is not first), key=score)]


class Latency(NamedTuple):
    """A moving average of latencies that believes bad news at once, and good news bit by bit.

    Attributes:
        value: Seconds, as they stood after the last sample.
        at: When that was, in seconds since 1970.
    """

    value: float
    at: float

    def after(self, sample: float, now: float) -> Latency:
        """Return the average after one more answer took `sample` seconds to begin.

        Slower than the estimate, it takes the estimate's place. Quicker, it moves the estimate by
        a share that grows with the time since the last sample.
        """
        estimate = self.estimate(now)
        if sample < estimate:
            estimate += (sample - estimate) * (1.0 - self._faded(now))
        else:
            estimate = sample
        return Latency(estimate, max(now, self.at))

    def estimate(self, now: float) -> float:
        """Return the latency to expect, in seconds.

        It fades while nothing is measured, so that one that was slow is tried again.
        """
        return self.value * self._faded(now)

    def _faded(self, now: float) -> float:
        return math.exp(min(0.0, self.at - now) / _FADING)
