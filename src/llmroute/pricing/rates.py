"""Rates by kind of token, and by length of prompt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

__all__ = ["Listing", "Rates", "Tariff", "exact", "filled"]


class Rates(NamedTuple):
    """What a token costs, in micro-dollars, by kind.

    Attributes:
        input: Tokens of the prompt that were neither read from a cache nor written to one.
        output: Tokens of the answer, thinking included.
        cache_read: Tokens read from the prompt cache.
        cache_write: Tokens written to it for five minutes.
        cache_write_1h: Tokens written to it for an hour.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float

    def times(self, factor: str) -> Rates:
        """Return these rates multiplied by a decimal number, without binary rounding.

        >>> Rates(0.1, 0.5, 0.01, 0.125, 0.2).times("1.1").input
        0.11
        """
        return Rates(*(float(exact(rate) * Decimal(factor)) for rate in self))


class Listing(NamedTuple):
    """Where and when a price holds.

    Attributes:
        provider: As written in `provider:`.
        regional: In one region or group of regions of Google Cloud, and not its global endpoint.
        day: In UTC.
    """

    provider: str
    regional: bool
    day: date


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the model of one deployment costs.

    Attributes:
        source: Where the figures come from: `config`, a price list and its version, or both.
        tiers: Rates, each with the length of prompt, in tokens, above which they hold; the first
            hold from 0, and the lengths rise.
        listing: The place in the lists, for other models that take part in an answer.
    """

    source: str
    tiers: tuple[tuple[int, Rates], ...]
    listing: Listing

    def at(self, prompt_tokens: int) -> Rates:
        """Return the rates for a prompt of this length, cached tokens included.

        The whole call is charged by them, and not only what is above the limit.
        """
        rates = self.tiers[0][1]
        for above, dearer in self.tiers[1:]:
            if prompt_tokens > above:
                rates = dearer
        return rates


def filled(
    input_: float | None,
    output: float | None,
    cache_read: float | None,
    cache_write: float | None,
    cache_write_1h: float | None,
) -> Rates | None:
    """Return rates, the missing ones of the cache by a rule; `None` without input or output.

    The rule does not charge too little: reading from a cache costs no more than plain input, and
    writing to one what Anthropic takes, 1.25 times as much, or twice as much for an hour.
    """
    if input_ is None or output is None:
        return None
    plain = Rates(input_, output, input_, input_, input_)
    return Rates(
        input_,
        output,
        input_ if cache_read is None else cache_read,
        plain.times("1.25").cache_write if cache_write is None else cache_write,
        plain.times("2").cache_write_1h if cache_write_1h is None else cache_write_1h,
    )


def exact(value: float) -> Decimal:
    """Return the decimal number that `value` is written as."""
    return Decimal(repr(value))
