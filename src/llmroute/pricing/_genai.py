"""The price list of the package genai-prices, if that is installed.

The figures are those in the package.  It can fetch newer ones from the network, which is neither
started nor stopped here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from llmroute.pricing.rates import Rates, filled

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelPrice, TieredPrices

__all__ = ["Listed", "look_up", "package"]

_PROVIDERS = {"azure_openai": "azure", "bedrock": "aws", "foundry": "azure", "vertex": "google"}

# A price that changes with the hour of the day is taken from the middle of it.
_NOON = time(12, tzinfo=UTC)


class Listed(NamedTuple):
    """What the package knows of a model.

    Attributes:
        source: The package and its version.
        tiers: As in a `Tariff`.
    """

    source: str
    tiers: tuple[tuple[int, Rates], ...]


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
                tiers = _tiers(known.get_prices(datetime.combine(day, _NOON)))
                return Listed(f"genai-prices {version}", tiers) if tiers else None
    return None


def _tiers(price: ModelPrice) -> tuple[tuple[int, Rates], ...]:
    kinds = (
        price.input_mtok,
        price.output_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.cache_write_1h_mtok,
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
