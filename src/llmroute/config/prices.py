"""The native dialect's `price:` of a deployment, in US dollars for a million tokens."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import Field

from llmroute.config.document import Document, Path
from llmroute.config.model import OwnRates, Price, PriceTier
from llmroute.config.settings import Settings
from llmroute.config.validation import section, validated

__all__ = ["ModePrice", "PriceSettings", "TierPrice", "read_price"]


class ModePrice(Settings):
    """Prices of tokens; what is left out is the list's, or that of the block around it."""

    input: float | None = Field(None, ge=0)
    """US dollars a million tokens of the prompt that were not read from a cache."""
    output: float | None = Field(None, ge=0)
    """US dollars a million tokens of the answer."""
    cache_read: float | None = Field(None, ge=0)
    """US dollars a million tokens read from the prompt cache."""
    cache_write: float | None = Field(None, ge=0)
    """US dollars a million tokens written to the prompt cache for five minutes."""
    cache_write_1h: float | None = Field(None, ge=0)
    """US dollars a million tokens written to the prompt cache for an hour."""
    thinking: float | None = Field(None, ge=0)
    """US dollars a million tokens of thinking; left out, they cost what the rest of an answer
    does."""


class TierPrice(ModePrice):
    """What holds for the whole of a call with a longer prompt."""

    above: int = Field(ge=1)
    """Tokens of the prompt, cached ones included, above which this holds."""


class PriceSettings(ModePrice):
    """What a deployment costs, where no list knows it, or knows it wrong."""

    base_model: str | None = None
    """The model whose list price holds for what is left out here."""
    factor: float | None = Field(None, ge=0)
    """What list prices are multiplied by, in place of `usage.price_factor`; the prices of this
    block are not."""
    web_search: float | None = Field(None, ge=0)
    """US dollars for each search of the web."""
    request: float | None = Field(None, ge=0)
    """US dollars for each request, besides its tokens."""
    tiers: tuple[TierPrice, ...] = ()
    """What calls with longer prompts cost."""
    batch: ModePrice | None = None
    """What holds where the answer's usage has the service tier `batch`."""
    fast: ModePrice | None = None
    """What holds where it has the speed, or the service tier, `fast`."""
    flex: ModePrice | None = None
    """What holds where it has the service tier `flex`."""
    priority: ModePrice | None = None
    """What holds where it has the service tier `priority`."""


_MODES = ("batch", "fast", "flex", "priority")
_BLOCKS = {**dict.fromkeys(_MODES, ModePrice), "tiers": TierPrice}

R = TypeVar("R", bound=OwnRates)


def read_price(document: Document, value: Any, at: Path) -> Price | None:
    """Return what a deployment costs by its `price:`; problems are the document's."""
    given = section(document, value, at)
    plain = {name: each for name, each in given.items() if name not in _BLOCKS}
    settings = validated(document, PriceSettings, plain, at, known=_BLOCKS)
    if settings is None or not given:
        return None
    tiers = []
    for place, block in _listed(document, given.get("tiers"), (*at, "tiers")):
        tier = validated(document, TierPrice, block, place)
        if tier is not None:
            tiers.append(_by_token(tier, PriceTier, above=tier.above))
    modes = {}
    for name in _MODES:
        place = (*at, name)
        mode = validated(document, ModePrice, section(document, given.get(name), place), place)
        if mode is not None and mode.model_fields_set:
            modes[name] = _by_token(mode, OwnRates)
    return _by_token(
        settings,
        Price,
        tiers=tuple(sorted(tiers, key=lambda tier: tier.above)),
        modes=modes,
        base_model=settings.base_model,
        factor=settings.factor,
        web_search=settings.web_search,
        request=settings.request,
    )


def _listed(document: Document, value: Any, at: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    if value is None:
        return []
    if not isinstance(value, list):
        document.wrong(at, "must be a list")
        return []
    return [((*at, i), section(document, each, (*at, i))) for i, each in enumerate(value)]


def _by_token(prices: ModePrice, model: type[R], **more: Any) -> R:
    """Return prices in dollars a token, without binary rounding."""
    rates = {
        name: float(Decimal(repr(float(price))).scaleb(-6))
        for name in OwnRates.model_fields
        if (price := getattr(prices, name)) is not None
    }
    return model(**rates, **more)
