"""What LiteLLM's files say of prices, in US dollars a token."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmroute.config.document import Document, Path
from llmroute.config.litellm_model import LitellmParams, LitellmSettings, ModelInfo
from llmroute.config.model import OwnRates, Price, PriceTier
from llmroute.config.validation import section

__all__ = ["Prices", "Terms", "split", "terms_of"]

_KINDS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "thinking",
}
_MODES = {"batches": "batch", "flex": "flex", "priority": "priority", "fast": "fast"}
_NAME = re.compile(
    rf"(?P<kind>{'|'.join(sorted(_KINDS, key=len, reverse=True))})"
    r"(?:_above_(?P<above>[0-9]+)k_tokens)?"
    rf"(?:_(?P<mode>{'|'.join(_MODES)}))?"
)
_FEES = {"input_cost_per_request": "request", "input_cost_per_query": "request"}
_SEARCH = "search_context_cost_per_query"
# What LiteLLM counts by where a request does not say.
_SIZES = ("search_context_size_medium", "search_context_size_low", "search_context_size_high")
_TIERED = "tiered_pricing"
_ELSEWHERE = frozenset({*LitellmParams.model_fields, *ModelInfo.model_fields})


class Prices:
    """The prices of one entry, as they are found in it."""

    def __init__(self, document: Document) -> None:
        """Prepare; problems are the document's."""
        self._document = document
        self._own: dict[str, float] = {}
        self._tiers: dict[int, dict[str, float]] = {}
        self._modes: dict[str, dict[str, float]] = {}
        self._fees: dict[str, float] = {}

    def add(self, name: str, value: Any, at: Path) -> None:
        """Take what a setting says; one that stands in two places counts where it came last."""
        if value is None:
            return
        if name == _TIERED:
            self._add_tiers(value, at)
            return
        if name == _SEARCH:
            sizes = section(self._document, value, at)
            size = next((size for size in _SIZES if size in sizes), None)
            if size is not None:
                self._put(self._fees, "web_search", sizes[size], (*at, size))
            return
        if name in _FEES:
            self._put(self._fees, _FEES[name], value, at)
            return
        match = _NAME.fullmatch(name)
        assert match is not None  # noqa: S101 - `split` has asked
        kind, above, mode = _KINDS[match["kind"]], match["above"], match["mode"]
        if above and mode:
            text = "ignored: a mode's price is the same for prompts of any length"
            self._document.warn(at, text)
        elif above:
            self._put(self._tiers.setdefault(int(above) * 1000, {}), kind, value, at)
        elif mode:
            self._put(self._modes.setdefault(_MODES[mode], {}), kind, value, at)
        else:
            self._put(self._own, kind, value, at)

    def price(self, base_model: str | None, terms: Terms, provider: str) -> Price | None:
        """Return what the entry says of prices; `None` if it says nothing.

        Args:
            base_model: The model whose list price holds for the rest.
            terms: What is taken off all prices, or added to them.
            provider: As LiteLLM calls it.
        """
        factor, fixed = terms.of(provider)
        fees = {name: _times(fee, factor) for name, fee in self._fees.items()}
        if fixed:
            fees["request"] = fees.get("request", 0.0) + fixed
        found = (self._own, self._tiers, self._modes, fees, base_model)
        if not any(found) and factor == 1:
            return None
        tiers = sorted(self._tiers.items())
        return Price(
            **_all_times(self._own, factor),
            tiers=tuple(PriceTier(above=a, **_all_times(r, factor)) for a, r in tiers),
            modes={mode: OwnRates(**_all_times(r, factor)) for mode, r in self._modes.items()},
            **fees,
            base_model=base_model,
            factor=None if factor == 1 else float(factor),
        )

    def _add_tiers(self, value: Any, at: Path) -> None:
        """Take `tiered_pricing`: a list of prices, each with a `range` of lengths of prompts."""
        if not isinstance(value, list):
            self._document.wrong(at, "must be a list")
            return
        for index, item in enumerate(value):
            place = (*at, index)
            given = section(self._document, item, place)
            among = given.get("range")
            start = among[0] if isinstance(among, list) and among else None
            if isinstance(start, bool) or not isinstance(start, int | float) or start < 0:
                self._document.wrong((*place, "range"), "must be two lengths, [0, 128000] say")
                continue
            for name, price in given.items():
                if name in _KINDS:
                    rates = self._tiers.setdefault(int(start), {}) if start else self._own
                    self._put(rates, _KINDS[name], price, (*place, name))
                elif name != "range":
                    self._document.warn((*place, name), "ignored: no price by this is known here")

    def _put(self, rates: dict[str, float], kind: str, value: Any, at: Path) -> None:
        if isinstance(value, str):
            # YAML takes 3e-6 for text: it wants 3.0e-6.
            with contextlib.suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._document.wrong(at, "must be a number")
        elif not math.isfinite(value):
            self._document.wrong(at, "must be a finite number")
        elif value < 0:
            self._document.wrong(at, "must be 0 or more")
        else:
            rates[kind] = float(value)


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of an entry is not about prices, and what is, but for what has a field."""
    rest: dict[str, Any] = {}
    prices: dict[str, Any] = {}
    for name, value in settings.items():
        ours = name in (_TIERED, _SEARCH) or name in _FEES or _NAME.fullmatch(name)
        (prices if ours and name not in _ELSEWHERE else rest)[name] = value
    return rest, prices


class Terms(NamedTuple):
    """What is taken off the prices of providers, or added to them.

    Attributes:
        discounts: Shares, by provider as LiteLLM calls it.
        margins: Shares and US dollars a request, by provider; `global` for all others.
    """

    discounts: Mapping[str, float]
    margins: Mapping[str, tuple[float, float]]

    def of(self, provider: str) -> tuple[Decimal, float]:
        """Return what a provider's prices are multiplied by, and what a request costs besides."""
        share, fixed = self.margins.get(provider) or self.margins.get("global") or (0.0, 0.0)
        discount = self.discounts.get(provider, 0.0)
        return (1 - Decimal(repr(discount))) * (1 + Decimal(repr(share))), fixed


def terms_of(document: Document, settings: LitellmSettings) -> Terms:
    """Read `cost_discount_config` and `cost_margin_config`; problems are the document's."""
    at: Path = ("litellm_settings", "cost_discount_config")
    discounts = {}
    for name, value in (settings.cost_discount_config or {}).items():
        share = _number(document, value, (*at, name))
        if share is not None and not 0 <= share <= 1:
            document.wrong((*at, name), "must be a share from 0 to 1: 0.05 for 5 % off")
        elif share is not None:
            discounts[name] = share
    at = ("litellm_settings", "cost_margin_config")
    margins = {}
    for name, value in (settings.cost_margin_config or {}).items():
        parts = value if isinstance(value, dict) else {"percentage": value}
        figures = []
        for part in ("percentage", "fixed_amount"):
            place = (*at, name, part) if isinstance(value, dict) else (*at, name)
            figure = _number(document, parts[part], place) if part in parts else 0.0
            if figure is not None and figure < 0:
                document.wrong(place, "must be 0 or more")
            figures.append(figure or 0.0)
        margins[name] = (figures[0], figures[1])
    return Terms(discounts, margins)


def _number(document: Document, value: Any, at: Path) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        document.wrong(at, "must be a number")
        return None
    return float(value)


def _times(price: float, factor: Decimal) -> float:
    return float(Decimal(repr(price)) * factor)


def _all_times(rates: Mapping[str, float], factor: Decimal) -> dict[str, float]:
    return {kind: _times(price, factor) for kind, price in rates.items()}
