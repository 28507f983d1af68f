"""The list prices of Claude, for where no other list is installed or knows better."""

from __future__ import annotations

import re
from datetime import date

from llmroute.messages.catalog import CLAUDE, facts
from llmroute.pricing._genai import Listed
from llmroute.pricing.rates import Rates

__all__ = ["DATE", "REGIONAL", "SEARCH", "claude_name", "listed", "spellings"]

DATE = date(2026, 11, 23)
"""When the table was last compared with the vendors' pages."""

REGIONAL = "1.1"
"""What a region or a group of regions costs, against the global endpoint: on Bedrock and Google
Cloud, for every model of the table."""
SEARCH = 10_000.0
"""What a search of the web costs with Claude, in micro-dollars: ten dollars a thousand."""


def _rates(price: float, output: float, cache_read: float) -> Rates:
    # A write to the cache costs a quarter more than plain input, and one for an hour twice as much.
    return Rates(price, output, cache_read, price * 1.25, price * 2)


_OPUS = _rates(5, 25, 0.5)
_FABLE_5 = _rates(10, 50, 1)
_FABLE_5_1 = _rates(10, 50, 0.25)
_FABLE_5_2 = _rates(8, 40, 0.2)

# Anthropic's page of prices, https://platform.claude.com/docs/en/about-claude/pricing, on `DATE`;
# US dollars for a million tokens.  The other platforms' global endpoints cost the same.
_LIST = {
    "claude-fable-5-2": _FABLE_5_2,
    "claude-fable-5-1": _FABLE_5_1,
    "claude-fable-5": _FABLE_5,
    "claude-mythos-5-2": _FABLE_5_2,
    "claude-mythos-5-1": _FABLE_5_1,
    "claude-mythos-5": _FABLE_5,
    "claude-opus-5-5": _rates(4, 20, 0.2),
    "claude-opus-5": _OPUS,
    "claude-opus-4-8": _OPUS,
    "claude-opus-4-7": _OPUS,
    "claude-opus-4-6": _OPUS,
    "claude-opus-4-5": _OPUS,
    "claude-sonnet-5-5": _rates(2, 10, 0.1),
    "claude-sonnet-5": _rates(2, 10, 0.2),
    "claude-sonnet-4-6": _rates(3, 15, 0.3),
    "claude-sonnet-4-5": _rates(3, 15, 0.3),
    "claude-haiku-5-5": _rates(0.1, 0.5, 0.01),
    "claude-haiku-4-5": _rates(1, 5, 0.1),
}

# What a prompt above a length, in tokens, costs instead.
_LONG = {"claude-haiku-5-5": (100_000, _rates(0.5, 2.5, 0.05))}

_NAMES = {known: name for name, known in CLAUDE.items()}

# AWS sells to governments by a list of its own.
_GOVERNMENT = re.compile(r"\bus-gov\.")
# Where what stands before the last slash is an address.
_CLOUDS = frozenset({"bedrock", "vertex", "foundry", "azure_openai"})
_GLOBAL = re.compile(r"\bglobal\.")


def claude_name(model: str) -> str | None:
    """Return Anthropic's name, without a date, for any spelling of a Claude model.

    >>> claude_name("us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    'claude-sonnet-4-5'
    """
    known = facts(model)
    return _NAMES[known] if known else None


def spellings(provider: str, model: str) -> tuple[str, ...]:
    """Return the names to look for in another list, the most exact first.

    Without the path or ARN around it, and then without a date, a version, or a group of regions
    that the list may not have.

    >>> spellings("bedrock", "ca.anthropic.claude-opus-5-5-20260901-v1:0")
    ('ca.anthropic.claude-opus-5-5-20260901-v1:0', 'anthropic.claude-opus-5-5')
    """
    exact = model.rsplit("/", 1)[-1]
    name = claude_name(model)
    if name is None and provider not in _CLOUDS and exact != model:
        # Who sells others' models names whose they are, and so does the list.
        return (model, exact)
    if name is None or _GOVERNMENT.search(model):
        return (exact,)
    if provider == "bedrock":
        name = f"{'global.' if _GLOBAL.search(model) else ''}anthropic.{name}"
    return (exact, name) if name != exact else (exact,)


def listed(provider: str, model: str) -> Listed | None:
    """Return what the table says; on Bedrock, an id that is not global is regional."""
    name = claude_name(model)
    if name not in _LIST or _GOVERNMENT.search(model):
        return None
    tiers = [(0, _LIST[name])]
    if name in _LONG:
        tiers.append(_LONG[name])
    if provider == "bedrock" and not _GLOBAL.search(model):
        tiers = [(above, rates.times(REGIONAL)) for above, rates in tiers]
    source = f"llmroute's table of {DATE}"
    return Listed(source, tuple(tiers), fees={"web_search": SEARCH}, as_of=DATE)
