"""The price list of the package genai-prices, if that is installed.

The figures are those in the package.  It can fetch newer ones from the network, which is neither
started nor stopped here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from llmroute.pricing.rates import NOTHING, Tiers, exact, filled

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

__all__ = ["Listed", "look_up", "package"]

_PROVIDERS = {"azure_openai": "azure", "bedrock": "aws", "foundry": "azure", "vertex": "google"}

# A price that changes with the hour of the day is taken from the middle of it.
_NOON = time(12, tzinfo=UTC)


# What a request's own wish is called in the package, by what we call it.
_MODES = {
    ("processing", "batch"): "batch",
    ("service_tier", "fast"): "fast",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("speed", "fast"): "fast",
}
# Its prices for a thousand, by what we call the piece.
_FEES = {
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "request": "requests_kcount",
}
# Google charges these by the prompt that was searched for, and later ones by the search:
# https://ai.google.dev/gemini-api/docs/pricing.
_BY_PROMPT = ("gemini-1", "gemini-2")


class Listed(NamedTuple):
    """What a list knows of a model; as in a `Tariff`."""

    source: str
    tiers: Tiers
    modes: Mapping[str, Tiers] = MappingProxyType({})
    fees: Mapping[str, float] = NOTHING
    as_of: date | None = None


# Looked for once: even what is not there takes a look at the disk.
@lru_cache(maxsize=1)
def package() -> tuple[str, Callable[[], DataSnapshot]] | None:
    """Import the package and its figures; return its version, and what holds the figures."""
    try:
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    get_snapshot()
    return genai_prices.__version__, get_snapshot


def look_up(provider: str, models: tuple[str, ...], day: date) -> Listed | None:
    """Return the price of the first of `models` that the package knows at `provider`."""
    found = package()
    if found is None:
        return None
    version, snapshot = found
    providers = snapshot().providers
    wanted = _PROVIDERS.get(provider, provider)
    # The package's own search keeps what it found, without bound; names come from callers.
    for place in (entry for entry in providers if entry.id == wanted):
        for model in models:
            if known := place.find_model(model, all_providers=providers):
                return _listed(f"genai-prices {version}", known, day)
    return None


def _listed(source: str, known: ModelInfo, day: date) -> Listed | None:
    at = datetime.combine(day, _NOON)
    standard = known.get_prices(at)
    tiers = _tiers(standard)
    if not tiers:
        return None
    # A variant may hold from a later day on: it is then as the standard, and no price of a mode.
    found = {
        mode: _tiers(known.get_prices(at, {wish: value}))
        for (wish, value), mode in _MODES.items()
        if any(variant.when == {wish: value} for variant in known.price_variants or ())
    }
    modes = {mode: each for mode, each in found.items() if each and each != tiers}
    fees = {name: getattr(standard, theirs, None) for name, theirs in _FEES.items()}
    if known.id.startswith(_BY_PROMPT):
        fees["grounded_prompt"] = fees.pop("web_search")
    given = {
        # Dollars a thousand are a thousand times as many micro-dollars each.
        name: float(exact(price).scaleb(3))
        for name, each in fees.items()
        if (price := _above(each, 0)) is not None
    }
    return Listed(source, tiers, modes, given, day)


def _tiers(price: ModelPrice) -> Tiers:
    kinds = (
        price.input_mtok,
        price.output_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.cache_write_1h_mtok,
        price.output_reasoning_mtok,
    )
    above = {tier.start for kind in kinds for tier in getattr(kind, "tiers", ())}
    tiers = []
    for start in sorted({0, *above}):
        rates = filled(*(_above(kind, start) for kind in kinds))
        if rates is None:
            return ()
        tiers.append((start, rates))
    return tuple(tiers)


def _above(price: Decimal | TieredPrices | None, start: int) -> float | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else float(price)
    reached = [tier.price for tier in price.tiers if tier.start <= start]
    return float(reached[-1] if reached else price.base)
