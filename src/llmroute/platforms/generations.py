"""What each Claude model takes of the parameters that have changed from one to the next.

From Anthropic's documentation of August to November 2026 (thinking, effort, sampling, prefill,
forced tool use), and where that is silent from the model table of another gateway, LiteLLM 1.109.1.
That Sonnet 5 takes `role: system` messages is contested, so they are folded for it: that always
works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

__all__ = ["EFFORTS", "GENERATIONS", "UNKNOWN", "Generation", "differ", "generation_of"]

EFFORTS = ("low", "medium", "high", "xhigh", "max")
_TO_HIGH = EFFORTS[:3]
_TO_MAX_BUT_XHIGH = ("low", "medium", "high", "max")


class Generation(NamedTuple):
    """What a model takes; the defaults are those of a model that takes whatever it is sent.

    Attributes:
        name: As in the Anthropic API, without a date.
        thinking: The types of `thinking` it takes; `None` if that is not known.
        efforts: The values of `output_config.effort` it takes, from the least to the most.
        forced_tools: Takes a `tool_choice` of `any` or `tool`.
        sampling: Takes `temperature`, `top_p` and `top_k`.
        prefill: Continues an assistant message at the end.
        system_messages: Takes `role: system` inside `messages`.
        max_tokens: The most it writes; `None` if that is not known.
        versioned: Behind Bedrock's older interface, of ids that end in a version (`-v1:0`).
        tool_search: Takes deferred tools and references to them.
        formats: On Bedrock, takes `output_config.format`, strict tools, and a cache of an hour.
        off_up_to: The highest effort at which `thinking` may be `disabled`.
    """

    name: str
    thinking: frozenset[str] | None = None
    efforts: tuple[str, ...] = EFFORTS
    forced_tools: bool = True
    sampling: bool = True
    prefill: bool = True
    system_messages: bool = False
    max_tokens: int | None = None
    versioned: bool = False
    tool_search: bool = True
    formats: bool = True
    off_up_to: str = "max"


UNKNOWN = Generation("")
"""A model whose name tells nothing.  What was sent stands, but system messages are folded: that
works for every model, and is all that can be done without knowing."""

_ADAPTIVE = frozenset({"adaptive"})
_ADAPTIVE_OR_OFF = frozenset({"adaptive", "disabled"})
_ANY = frozenset({"adaptive", "enabled", "disabled"})
_MANUAL = frozenset({"enabled", "disabled"})

_NEWEST = Generation(
    "",
    _ADAPTIVE,
    forced_tools=False,
    sampling=False,
    prefill=False,
    system_messages=True,
    max_tokens=128_000,
)
_FIVE = _NEWEST._replace(forced_tools=True)
_FOUR_6 = Generation("", _ANY, _TO_MAX_BUT_XHIGH, prefill=False, max_tokens=128_000, versioned=True)
_FOUR_5 = Generation("", _MANUAL, (), max_tokens=64_000, versioned=True)
_FOUR = _FOUR_5._replace(max_tokens=32_000, tool_search=False, formats=False)
_THREE = _FOUR._replace(thinking=frozenset(), max_tokens=8_192)

GENERATIONS: dict[str, Generation] = {
    name: generation._replace(name=name)
    for name, generation in {
        "claude-fable-5-2": _NEWEST,
        "claude-fable-5-1": _NEWEST,
        "claude-fable-5": _FIVE,
        "claude-mythos-5-2": _NEWEST,
        "claude-mythos-5-1": _NEWEST,
        "claude-mythos-5": _FIVE,
        "claude-opus-5-5": _NEWEST,
        "claude-opus-5": _FIVE._replace(thinking=_ADAPTIVE_OR_OFF, off_up_to="high"),
        "claude-opus-4-8": _FIVE._replace(thinking=_ADAPTIVE_OR_OFF),
        "claude-opus-4-7": _FIVE._replace(thinking=_ADAPTIVE_OR_OFF, system_messages=False),
        "claude-opus-4-6": _FOUR_6,
        "claude-opus-4-5": _FOUR_5._replace(efforts=_TO_HIGH),
        "claude-opus-4-1": _FOUR,
        "claude-opus-4": _FOUR,
        "claude-sonnet-5-5": _NEWEST,
        "claude-sonnet-5": _FIVE._replace(thinking=_ADAPTIVE_OR_OFF, system_messages=False),
        "claude-sonnet-4-6": _FOUR_6,
        "claude-sonnet-4-5": _FOUR_5,
        "claude-sonnet-4": _FOUR._replace(max_tokens=64_000),
        "claude-sonnet-3-7": _FOUR._replace(max_tokens=64_000),
        "claude-sonnet-3-5": _THREE,
        "claude-sonnet-3": _THREE._replace(max_tokens=4_096),
        "claude-haiku-5-5": _FIVE._replace(thinking=_ADAPTIVE_OR_OFF),
        "claude-haiku-4-5": _FOUR_5,
        "claude-haiku-3-5": _THREE,
        "claude-haiku-3": _THREE._replace(max_tokens=4_096),
        "claude-opus-3": _THREE._replace(max_tokens=4_096),
    }.items()
}

# `claude-opus-4-6`, and as it was up to Claude 3, `claude-3-5-haiku`; a date is no version.
_NAME = re.compile(r"claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD_NAME = re.compile(r"claude-(\d)(?:[-.](\d))?-([a-z]+)")


def generation_of(names: Iterable[str | None]) -> Generation:
    """Return what is known of the first of `names` that names a Claude model.

    A version that is newer than the table takes whatever it is sent.

    >>> generation_of([None, "us.anthropic.claude-haiku-4-5-20251001-v1:0"]).name
    'claude-haiku-4-5'
    """
    for name in names:
        text = (name or "").lower()
        if found := _NAME.search(text):
            line, major, minor = found.groups()
        elif found := _OLD_NAME.search(text):
            major, minor, line = found.groups()
        else:
            continue
        full = f"claude-{line}-{major}" + (f"-{minor}" if minor and minor != "0" else "")
        return GENERATIONS.get(full) or Generation(full, system_messages=int(major) >= 5)
    return UNKNOWN


@lru_cache(maxsize=1024)
def differ(asked: str, model: str) -> bool:
    """Say whether `model` is a known one that takes other parameters than the one asked for.

    A name that tells no model of the table counts as another: what its callers send is not shaped
    for `model`.

    >>> differ("claude-haiku-4-5", "claude-haiku-4-5-20251001")
    False
    >>> differ("fast", "claude-haiku-4-5-20251001")
    True
    """
    target, source = generation_of((model,)), generation_of((asked,))
    if target.name not in GENERATIONS:
        return False
    return target != source._replace(name=target.name)
