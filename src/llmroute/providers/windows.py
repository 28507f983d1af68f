"""Windows of models that several vendors serve: the longest prompt, and the longest answer.

By name, since vendors that serve a model mostly serve all of its window; where they differ the
larger figure stands here, for a prompt that another vendor would have taken must not be refused.
From the vendors' model pages and from the price list genai-prices, November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["CAPS", "Window", "window_of"]


class Window(NamedTuple):
    """How long what is said may be, in tokens; `None` where nobody knows.

    Attributes:
        prompt: The longest prompt.
        answer: The longest answer.
    """

    prompt: int | None = None
    answer: int | None = None


_MILLION = 1_048_576
_QUARTER = 262_144
_EIGHTH = 131_072

# The first that matches; most are written with a dot, a dash or, at Fireworks, a p.
_ROWS: Sequence[tuple[re.Pattern[str], Window]] = tuple(
    (re.compile(pattern), Window(*figures))
    for pattern, *figures in (
        (r"deepseek-(?:v4|pro|flash)", _MILLION),
        (r"deepseek[-.]v3[.p-][12]", 163_840),
        (r"kimi-k3", _MILLION),
        (r"kimi-k2[.p-](?:5|6|7|thinking|turbo|0905)", _QUARTER),
        (r"kimi-k2-(?:0711|instruct$)", _EIGHTH),
        (r"glm-5[.p-][2-9]", _MILLION),
        (r"glm-5v?(?:$|[.p-]1|-turbo)", 204_800),
        (r"glm-4[.p-][67](?:$|-)", 204_800, _EIGHTH),
        (r"glm-4[.p-]5(?:$|-air)", _EIGHTH, 98_304),
        (r"minimax-m3", _MILLION),
        (r"minimax-m2", 204_800),
        (r"qwen3-coder-(?:plus|flash)|qwen-plus|qwen3[.p-][5-9]-(?:plus|flash|max)", _MILLION),
        (r"qwen3-(?:coder|max|next)", _QUARTER),
        (r"gpt-oss", _EIGHTH),
        (r"grok-4(?:[.-]1)?-fast", 2_000_000),
        (r"grok-4[.-](?:20|3)", 1_000_000),
        (r"grok-4[.-][5-7]", 500_000),
        (r"grok-(?:4(?:$|-0709)|code-fast|build)", 256_000),
        (r"grok-3", _EIGHTH),
        (r"mistral-large-4", _MILLION),
        (r"(?:mistral-(?:large-2512|medium-3-5|small-2603)|devstral-2512)", _QUARTER),
        (r"codestral", 256_000),
        (r"llama-?4-maverick", _MILLION),
        (r"llama-?3[.-][123]", _EIGHTH),
        (r"gemma-4", _QUARTER),
        (r"gemma-3", _EIGHTH),
        (r"nova-micro", 128_000, 10_000),
        (r"nova-(?:lite|pro)", 300_000, 10_000),
        (r"nova-(?:premier|2-lite)", 1_000_000),
        (r"muse-spark|mimo-v2|hy4", _MILLION),
        (r"hy3", _QUARTER),
        (r"sonar-(?:pro|reasoning-pro)", 200_000),
        (r"sonar", 128_000),
    )
)

CAPS: Mapping[str, int] = MappingProxyType({"groq": _EIGHTH, "cerebras": _EIGHTH})
"""Vendors that serve no more than so many tokens of any model's window."""


def window_of(model: str) -> Window:
    """Return the window of an open or a vendor's own model, by any spelling of its name.

    >>> window_of("accounts/fireworks/models/kimi-k2p6").prompt
    262144
    >>> window_of("my-finetune")
    Window(prompt=None, answer=None)
    """
    name = model.lower()
    return next((window for pattern, window in _ROWS if pattern.search(name)), Window())
