"""Tokens of one answer, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Usage", "merged"]

_MOST = 2**40


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer used, in tokens.

    Attributes:
        input_tokens: Prompt tokens that were neither read from a cache nor written to one.
        output_tokens: All that was generated, thinking included.
        cache_read_input_tokens: Prompt tokens read from the cache.
        cache_creation_input_tokens: Prompt tokens written to the cache.
        data: The upstream's own `usage` object, with whatever else it holds.
        estimated: Some of it is guessed by what was sent: the upstream has not told the end.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    estimated: bool = False

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The tokens: input, output, read from the cache, written to it."""
        return (
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
        )

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Usage:
        """Read a `usage` object; what is missing or null counts as 0."""
        return cls(
            _count(data, "input_tokens"),
            _count(data, "output_tokens"),
            _count(data, "cache_read_input_tokens"),
            _count(data, "cache_creation_input_tokens"),
            data,
        )

    def updated(self, data: Mapping[str, Any]) -> Usage:
        """Return this usage after a `message_delta` that carried `data`; see `merged`."""
        return Usage.of(merged(self.data, data))


def merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `usage` object after a `message_delta` that carried another one.

    Its figures are totals and take the place of earlier ones; zeros and nulls do not, for a
    gateway may send the real input count only at the end, or only at the start.
    """
    news = {name: value for name, value in later.items() if value or not earlier.get(name)}
    return {**earlier, **news}


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    # No upstream can have used more.  What a database adds up has to stay within 64 bits, and a
    # number of any length could not be printed either.
    return value if 0 <= value <= _MOST else 0
