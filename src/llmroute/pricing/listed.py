"""Which price holds: the configuration's, else that of a list."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Protocol

from llmroute.pricing import _genai, table
from llmroute.pricing.rates import Listing, Rates, Tariff, exact, filled

__all__ = ["Override", "listed", "load", "loaded", "tariff"]


class Override(Protocol):
    """What the configuration says of a price; the `Price` of `llmroute.config` is one.

    In US dollars a token; what is `None` is left to the list price of `base_model`, or of the
    deployment's own model without one.
    """

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
    def base_model(self) -> str | None:
        """The model whose list price holds."""


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
) -> Tariff | None:
    """Return what `model` costs at `provider`, or `None` if nobody knows.

    The first call does what `load` does.

    Args:
        provider: As written in `provider:`. What Anthropic itself runs at a cloud, by its own
            prices (`surface: claude_platform` on AWS), is `anthropic`.
        model: The upstream's own name. On Bedrock, it tells regional and global prices apart.
        override: What the configuration says of the price.
        regional: Whether a Vertex deployment has another location than `global`.
        day: Whose prices, in UTC, where a list knows of a change.
    """
    listing = Listing(provider, regional, day)
    known = listed(listing, (override and override.base_model) or model)
    if override is None:
        return known
    given = {
        "input": override.input,
        "output": override.output,
        "cache_read": override.cache_read,
        "cache_write": override.cache_write,
        "cache_write_1h": override.cache_write_1h,
    }
    own = {
        kind: float(exact(value).scaleb(6)) for kind, value in given.items() if value is not None
    }
    if not own:
        return known
    if known is None:
        rates = filled(*(own.get(kind) for kind in Rates._fields))
        return Tariff("config", ((0, rates),), listing) if rates else None
    source = "config" if len(own) == len(given) else f"config and {known.source}"
    tiers = tuple((above, rates._replace(**own)) for above, rates in known.tiers)
    return Tariff(source, tiers, listing)


# Names may come from callers, so what is kept is bounded.
@lru_cache(maxsize=1024)
def listed(listing: Listing, model: str) -> Tariff | None:
    """Return the list price: that of genai-prices, if it is installed and has one, else ours."""
    provider, regional, day = listing
    found = _genai.look_up(provider, table.spellings(provider, model), day)
    if found is None:
        rates = table.rates_of(provider, model)
        if rates is None:
            return None
        found = _genai.Listed(f"llmroute's table of {table.DATE}", rates)
    # Neither list has the uplift for Google Cloud, which is on the models of our table.
    if provider == "vertex" and regional and table.claude_name(model):
        tiers = tuple((above, rates.times(table.REGIONAL)) for above, rates in found.tiers)
        return Tariff(found.source, tiers, listing)
    return Tariff(found.source, found.tiers, listing)
