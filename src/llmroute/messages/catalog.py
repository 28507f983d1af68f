"""What is known of Claude models, for the list of models: windows, names, stage of life.

From the vendors' model pages of November 2026.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CLAUDE", "ModelFacts", "ModelInfo", "facts", "longest_answer"]


class ModelFacts(NamedTuple):
    """What is known of a model.

    Attributes:
        display_name: As people write it.
        max_input_tokens: The context window.
        max_tokens: The longest answer.
        lifecycle: `active`, `deprecated` or `retired`.
    """

    display_name: str
    max_input_tokens: int
    max_tokens: int
    lifecycle: str = "active"


_LARGE = (1_000_000, 128_000)
_SMALL = (200_000, 64_000)
_UNKNOWN = 16_384  # tokens; few models stop before

CLAUDE: dict[str, ModelFacts] = {
    "claude-fable-5-2": ModelFacts("Claude Fable 5.2", *_LARGE),
    "claude-fable-5-1": ModelFacts("Claude Fable 5.1", *_LARGE),
    "claude-fable-5": ModelFacts("Claude Fable 5", *_LARGE),
    "claude-mythos-5-2": ModelFacts("Claude Mythos 5.2", *_LARGE),
    "claude-mythos-5-1": ModelFacts("Claude Mythos 5.1", *_LARGE),
    "claude-mythos-5": ModelFacts("Claude Mythos 5", *_LARGE),
    "claude-opus-5-5": ModelFacts("Claude Opus 5.5", *_LARGE),
    "claude-opus-5": ModelFacts("Claude Opus 5", *_LARGE),
    "claude-opus-4-8": ModelFacts("Claude Opus 4.8", *_LARGE),
    "claude-opus-4-7": ModelFacts("Claude Opus 4.7", *_LARGE),
    "claude-opus-4-6": ModelFacts("Claude Opus 4.6", *_LARGE),
    "claude-opus-4-5": ModelFacts("Claude Opus 4.5", *_SMALL),
    "claude-sonnet-5-5": ModelFacts("Claude Sonnet 5.5", *_LARGE),
    "claude-sonnet-5": ModelFacts("Claude Sonnet 5", *_LARGE),
    "claude-sonnet-4-6": ModelFacts("Claude Sonnet 4.6", *_LARGE),
    "claude-sonnet-4-5": ModelFacts("Claude Sonnet 4.5", *_SMALL, "deprecated"),
    "claude-haiku-5-5": ModelFacts("Claude Haiku 5.5", *_LARGE),
    "claude-haiku-4-5": ModelFacts("Claude Haiku 4.5", *_SMALL),
}

# Before the name: a vendor's path or an inference profile. After it: a date, a Bedrock version.
_NAME = re.compile(r"\b(claude-[a-z]+-\d+(?:-\d{1,2})?)(?:[-@]\d{8})?(?:-v\d+(?::\d+)?)?\Z")


def facts(model: str) -> ModelFacts | None:
    """Return what is known of a model by any of its spellings, dated or with a cloud's prefix.

    >>> facts("us.anthropic.claude-sonnet-4-5-20250929-v1:0").display_name
    'Claude Sonnet 4.5'
    """
    found = _NAME.search(model)
    return CLAUDE.get(found[1]) if found else None


def longest_answer(model: str) -> int:
    """Return how many tokens an answer may have where nobody says so: Messages must be told.

    >>> longest_answer("claude-haiku-4-5"), longest_answer("team-sonnet")
    (64000, 16384)
    """
    known = facts(model)
    return _UNKNOWN if known is None else known.max_tokens


class ModelInfo(NamedTuple):
    """An alias as the list of models shows it; `None` is what nobody knows.

    Attributes:
        id: The alias.
        display_name: As people write it; the alias itself if nothing better is known.
        description: From the configuration.
        max_input_tokens: The context window.
        max_tokens: The longest answer.
        lifecycle: `active`, `deprecated` or `retired`.
    """

    id: str
    display_name: str
    description: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    lifecycle: str | None = None
