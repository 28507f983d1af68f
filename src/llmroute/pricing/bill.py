"""From the usage of an answer to its cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmroute.messages.usage import Usage
from llmroute.pricing.listed import listed
from llmroute.pricing.rates import Tariff, exact

__all__ = ["cost"]

# From Anthropic's page of prices, https://platform.claude.com/docs/en/about-claude/pricing, of
# November 2026.  What a request asks for is billed only if the answer's usage says it was had.
_FAST = 2  # times the standard price, by `speed: fast`
_IN_US = Decimal("1.1")  # times, by `inference_geo: us`, at Anthropic alone
_SEARCH = 10_000  # micro-dollars, each

# No answer can have taken more; a number of any length could not be stored.
_MOST = 2**53

_OTHERS = ("advisor_message", "fallback_message")


def cost(tariff: Tariff, usage: Usage) -> int:
    """Return what an answer cost, in micro-dollars, half of one rounded up.

    An answer that took several samplings (an advisor, a fallback of the upstream's, a compaction)
    is charged by sampling, as the upstream does; one of another model by that model's list price,
    or by this tariff if that is not known.
    """
    total = sum((_tokens(part, each) for part, each in _parts(tariff, usage)), Decimal(0))
    if usage.data.get("speed") == "fast":
        total *= _FAST
    if usage.data.get("inference_geo") == "us" and tariff.listing.provider == "anthropic":
        total *= _IN_US
    total += _SEARCH * _count(usage.data.get("server_tool_use"), "web_search_requests")
    return int(total + Decimal("0.5"))


def _parts(tariff: Tariff, usage: Usage) -> list[tuple[Tariff, Usage]]:
    """Return the samplings and their tariffs; the usage's own figures leave some of them out."""
    samplings = usage.data.get("iterations")
    entries = samplings if isinstance(samplings, list) else []
    entries = [entry for entry in entries if isinstance(entry, Mapping)]
    if all(entry.get("type") == "message" for entry in entries):
        return [(tariff, usage)]
    # An entry need not tell the lifetimes of what it wrote to the cache.
    lifetimes = {"cache_creation": usage.data.get("cache_creation")}
    return [(_tariff_of(entry, tariff), Usage.of({**lifetimes, **entry})) for entry in entries]


def _tariff_of(entry: Mapping[str, Any], tariff: Tariff) -> Tariff:
    model = entry.get("model")
    if entry.get("type") not in _OTHERS or not isinstance(model, str):
        return tariff
    return listed(tariff.listing, model) or tariff


def _tokens(tariff: Tariff, usage: Usage) -> Decimal:
    written = usage.cache_creation_input_tokens
    hour = min(written, _count(usage.data.get("cache_creation"), "ephemeral_1h_input_tokens"))
    prompt = usage.input_tokens + usage.cache_read_input_tokens + written
    rates = tariff.at(prompt)
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        written - hour,
        hour,
    )
    # Decimal, so that half a micro-dollar is one, and not a little less.
    charges = (exact(rate) * count for rate, count in zip(rates, counts, strict=True) if count)
    return sum(charges, Decimal(0))


def _count(data: object, name: str) -> int:
    value = data.get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, int) and 0 <= value <= _MOST else 0
