"""Which price holds: the configuration's, else that of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

from llmroute.pricing import _genai, table
from llmroute.pricing.rates import Listing, Rates, Tariff, Tiers, exact, filled, reached

__all__ = ["Override", "OwnRates", "OwnTier", "listed", "load", "loaded", "tariff"]


class OwnRates(Protocol):
    """What the configuration says of a token's price, in US dollars; `None` is left to others."""

    @property
    def input(self) -> float | None:
        """Tokens of the prompt that were neither read from a cache nor written to one."""

    @property
    def output(self) -> float | None:
        """Tokens of the answer."""

    @property
    def cache_read(self) -> float | None:
        """Tokens read from the prompt cache."""

    @property
    def cache_write(self) -> float | None:
        """Tokens written to it for five minutes."""

    @property
    def cache_write_1h(self) -> float | None:
        """Tokens written to it for an hour."""

    @property
    def thinking(self) -> float | None:
        """Tokens of the answer that are thinking."""


class OwnTier(OwnRates, Protocol):
    """What holds for a longer prompt."""

    @property
    def above(self) -> int:
        """Tokens of the prompt, above which it holds."""


class Override(OwnRates, Protocol):
    """What the configuration says of a price; the `Price` of `llmroute.config` is one.

    What is `None` is left to the list price of `base_model`, or of the deployment's own model
    without one.
    """

    @property
    def tiers(self) -> Sequence[OwnTier]:
        """What holds for longer prompts, for shorter ones first."""

    @property
    def modes(self) -> Mapping[Any, OwnRates]:
        """What holds in a mode: `batch`, `fast`, `flex`, `priority`."""

    @property
    def web_search(self) -> float | None:
        """A search of the web, in US dollars."""

    @property
    def request(self) -> float | None:
        """A request, whatever its length, in US dollars."""

    @property
    def base_model(self) -> str | None:
        """The model whose list price holds."""

    @property
    def factor(self) -> float | None:
        """What the list price is multiplied by, in place of the factor for all deployments."""


def load() -> None:
    """Import the price list, if there is one.

    That reads files for a third of a second, so it is for a thread; later calls of `tariff` read
    none.
    """
    _genai.package()


def loaded() -> bool:
    """Tell whether `load` has been called."""
    return _genai.package.cache_info().currsize > 0


def tariff(
    provider: str,
    model: str,
    override: Override | None = None,
    *,
    regional: bool = False,
    day: date = table.DATE,
    factor: float = 1,
) -> Tariff | None:
    """Return what `model` costs at `provider`, or `None` if nobody knows.

    The first call does what `load` does.

    Args:
        provider: As written in `provider:`.  What Anthropic itself runs at a cloud, by its own
            prices (`surface: claude_platform` on AWS), is `anthropic`.
        model: The upstream's own name.  On Bedrock, it tells regional and global prices apart.
        override: What the configuration says of the price.
        regional: Whether a Vertex deployment has another location than `global`.
        day: Whose prices, in UTC, where a list knows of a change.
        factor: What list prices are multiplied by, but for those of `override`.
    """
    if override is not None and override.factor is not None:
        factor = override.factor
    listing = Listing(provider, regional, day, f"{exact(factor).normalize():f}")
    known = listed(listing, (override and override.base_model) or model)
    if override is None:
        return known
    own, fees = _own(override), _fees(override)
    tiers = _tiers(override, own, known)
    if tiers is None:
        return None
    if not own and not override.tiers and not override.modes and not fees:
        return known
    modes = dict(known.modes) if known else {}
    modes |= {mode: _mode(tiers, rates, modes.get(mode)) for mode, rates in override.modes.items()}
    if known is None:
        return Tariff("config", tiers, listing, model, modes, fees)
    if own:
        by_list = known.tiers
        modes = {
            mode: each if mode in override.modes else _in_step(tiers, by_list, each, own)
            for mode, each in modes.items()
        }
    whole = all(kind in own for kind in _KINDS)
    return Tariff(
        "config" if whole else f"config and {known.source}",
        tiers,
        listing,
        known.model,
        modes,
        {**known.fees, **fees},
        None if whole else known.as_of,
    )


# Thinking costs what the rest of an answer does, unless somebody says otherwise.
_KINDS = Rates._fields[:5]


def _own(rates: OwnRates) -> dict[str, float]:
    """Return what is given, in micro-dollars."""
    given = {
        "input": rates.input,
        "output": rates.output,
        "cache_read": rates.cache_read,
        "cache_write": rates.cache_write,
        "cache_write_1h": rates.cache_write_1h,
        "thinking": rates.thinking,
    }
    return {kind: _micro(value) for kind, value in given.items() if value is not None}


def _fees(override: Override) -> dict[str, float]:
    given = {"web_search": override.web_search, "request": override.request}
    return {name: _micro(value) for name, value in given.items() if value is not None}


def _micro(dollars: float) -> float:
    return float(exact(dollars).scaleb(6))


def _tiers(override: Override, own: dict[str, float], known: Tariff | None) -> Tiers | None:
    """Return the list's rates with the configuration's in their place; `None` without enough."""
    steps = [(tier.above, _own(tier)) for tier in sorted(override.tiers, key=lambda t: t.above)]
    starts = {above for above, _ in (known.tiers if known else ((0, None),))}
    starts |= {above for above, _ in steps}
    tiers = []
    for start in sorted(starts):
        given = dict(own)
        for above, rates in steps:
            if above <= start:
                given |= rates
        if known is None:
            made = filled(*(given.get(kind) for kind in Rates._fields))
            if made is None:
                return None
        else:
            made = _from(known.tiers, start)._replace(**given)
        tiers.append((start, made))
    return tuple(tiers)


def _from(tiers: Tiers, start: int) -> Rates:
    """Return the rates for prompts longer than `start`."""
    return reached(tiers, start + 1)


def _mode(tiers: Tiers, rates: OwnRates, listed: Tiers | None) -> Tiers:
    own = _own(rates)
    return tuple((above, each._replace(**own)) for above, each in listed or tiers)


def _in_step(tiers: Tiers, by_list: Tiers, mode: Tiers, own: dict[str, float]) -> Tiers:
    """Return a mode's rates: those of one's own are as much dearer or cheaper as the list's."""
    starts = sorted({above for each in (tiers, mode) for above, _ in each})
    made = []
    for start in starts:
        standard, usual, special = (_from(each, start) for each in (tiers, by_list, mode))
        rates = special
        for kind in own:
            listed_price, special_price = getattr(usual, kind), getattr(special, kind)
            price = exact(getattr(standard, kind))
            if listed_price and special_price is not None:
                price = price * exact(special_price) / exact(listed_price)
            rates = rates._replace(**{kind: float(price)})
        made.append((start, rates))
    return tuple(made)


# Names may come from callers, so what is kept is bounded.
@lru_cache(maxsize=1024)
def listed(listing: Listing, model: str) -> Tariff | None:
    """Return the list price: that of genai-prices, if it is installed and has one, else ours."""
    provider, regional, day, factor = listing
    found = _genai.look_up(provider, table.spellings(provider, model), day)
    if found is None:
        found = table.listed(provider, model)
        if found is None:
            return None
    made = Tariff(found.source, found.tiers, listing, model, found.modes, found.fees, found.as_of)
    # Neither list has the uplift for Google Cloud, which is on the models of our table.
    if provider == "vertex" and regional and table.claude_name(model):
        made = _times(made, table.REGIONAL)
    if factor == "1":
        return made
    fees = {name: float(exact(fee) * Decimal(factor)) for name, fee in made.fees.items()}
    return replace(_times(made, factor), source=f"{made.source}, times {factor}", fees=fees)


def _times(tariff: Tariff, factor: str) -> Tariff:
    def times(tiers: Tiers) -> Tiers:
        return tuple((above, rates.times(factor)) for above, rates in tiers)

    modes = {mode: times(tiers) for mode, tiers in tariff.modes.items()}
    return replace(tariff, tiers=times(tariff.tiers), modes=modes)
