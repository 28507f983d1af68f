"""Rates by kind of token, and by length of prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

__all__ = ["NOTHING", "SCALE", "Listing", "Rates", "Tariff", "Tiers", "exact", "filled", "reached"]

SCALE: Final = 9
"""Decimals of a micro-dollar that a rate keeps: no list has as many."""
NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


class Rates(NamedTuple):
    """What a token costs, in micro-dollars, by kind.

    Attributes:
        input: Tokens of the prompt that were neither read from a cache nor written to one.
        output: Tokens of the answer, thinking included unless it has a rate of its own.
        cache_read: Tokens read from the prompt cache.
        cache_write: Tokens written to it for five minutes.
        cache_write_1h: Tokens written to it for an hour.
        thinking: Tokens of the answer that are thinking; `None` where they cost what others do.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float
    thinking: float | None = None

    def times(self, factor: str) -> Rates:
        """Return these rates multiplied by a decimal number, without binary rounding.

        >>> Rates(0.1, 0.5, 0.01, 0.125, 0.2).times("1.1").input
        0.11
        """
        return Rates(
            *(None if rate is None else float(exact(rate) * Decimal(factor)) for rate in self)  # type: ignore[arg-type]
        )


Tiers: TypeAlias = tuple[tuple[int, Rates], ...]
"""Rates, each with the length of prompt, in tokens, above which they hold; the first hold from 0,
and the lengths rise."""


def reached(tiers: Tiers, prompt_tokens: int) -> Rates:
    """Return the rates for a prompt of this length."""
    rates = tiers[0][1]
    for above, dearer in tiers[1:]:
        if prompt_tokens > above:
            rates = dearer
    return rates


class Listing(NamedTuple):
    """Where and when a price holds.

    Attributes:
        provider: As written in `provider:`.
        regional: In one region or group of regions of Google Cloud, and not its global endpoint.
        day: In UTC.
        factor: What the list price is multiplied by, as a decimal number.
    """

    provider: str
    regional: bool
    day: date
    factor: str = "1"


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the model of one deployment costs.

    Attributes:
        source: Where the figures come from: `config`, a price list and its version, or both.
        tiers: Rates by length of prompt.
        listing: The place in the lists, for other models that take part in an answer.
        model: The upstream's own name of it.
        modes: The same for a mode that costs something else: `fast`, `batch`, `flex`, `priority`.
        fees: What is charged by the piece, in micro-dollars: `web_search`, `grounded_prompt` (a
            prompt that was searched for, however often), `file_search`, `request`.
        as_of: The day whose prices these are; `None` if the configuration says them all.
    """

    source: str
    tiers: Tiers
    listing: Listing
    model: str = ""
    modes: Mapping[str, Tiers] = field(default_factory=dict)
    fees: Mapping[str, float] = field(default_factory=dict)
    as_of: date | None = None
    _whole: tuple[tuple[int, tuple[int, ...]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole = tuple((above, _scaled(rates)) for above, rates in self.tiers)
        object.__setattr__(self, "_whole", whole)

    def at(self, prompt_tokens: int) -> Rates:
        """Return the rates for a prompt of this length, cached tokens included.

        The whole call is charged by them, and not only what is above the limit.
        """
        return reached(self.tiers, prompt_tokens)

    def whole_at(self, prompt_tokens: int) -> tuple[int, ...]:
        """Return the same rates as integers, in units of 10 to the `-SCALE` micro-dollars.

        The last, of thinking, is only there where that has a rate of its own.
        """
        rates = self._whole[0][1]
        for above, dearer in self._whole[1:]:
            if prompt_tokens > above:
                rates = dearer
        return rates


def _scaled(rates: Rates) -> tuple[int, ...]:
    return tuple(round(exact(rate).scaleb(SCALE)) for rate in rates if rate is not None)


def filled(
    input_: float | None,
    output: float | None,
    cache_read: float | None,
    cache_write: float | None,
    cache_write_1h: float | None,
    thinking: float | None = None,
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
        thinking,
    )


def exact(value: float) -> Decimal:
    """Return the decimal number that `value` is written as."""
    return Decimal(repr(value))
