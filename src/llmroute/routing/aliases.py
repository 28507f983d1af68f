"""Which alias a requested model name stands for: an exact one, else the most specific pattern."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Aliases", "Match", "fits"]


class Match(NamedTuple):
    """An alias that was found.

    Attributes:
        alias: The alias as the configuration spells it.
        star: What the `*` of a pattern stands for; `None` if the alias is no pattern.
    """

    alias: str
    star: str | None

    def model(self, template: str | None, asked: str) -> str:
        """Return the upstream's model: `template` with its `*` filled in, or the name asked for."""
        if template is None:
            return asked
        return template if self.star is None else template.replace("*", self.star, 1)


class Aliases:
    """The aliases of a configuration, in the order in which they are looked up."""

    __slots__ = ("_exact", "_patterns")

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, Match] = {}
        patterns: list[tuple[str, str]] = []
        for name in names:
            prefix, star, suffix = name.partition("*")
            if star:
                patterns.append((prefix, suffix))
            else:
                self._exact[name] = Match(name, None)
        # The longest pattern first: it says most about the name.
        self._patterns = sorted(patterns, key=lambda p: len(p[0]) + len(p[1]), reverse=True)

    def find(self, asked: str) -> Match | None:
        """Return the alias for a model name, or `None` if there is none."""
        if (match := self._exact.get(asked)) is not None:
            return match
        for prefix, suffix in self._patterns:
            if (
                len(asked) >= len(prefix) + len(suffix)
                and asked.startswith(prefix)
                and asked.endswith(suffix)
            ):
                return Match(f"{prefix}*{suffix}", asked[len(prefix) : len(asked) - len(suffix)])
        return None

    def nearest(self, asked: str) -> list[str]:
        """Return the names most like `asked`, the likest first, three at most."""
        names = [*self._exact, *(f"{prefix}*{suffix}" for prefix, suffix in self._patterns)]
        return difflib.get_close_matches(asked, names, n=3, cutoff=0.4) or names[:3]


def fits(pattern: str, name: str) -> bool:
    """Tell whether a name is one of a pattern's, in which every `*` stands for any text.

    It takes no longer than the name is long, times the pattern: a caller chooses the name, and
    what a regular expression would try could keep everybody waiting.

    >>> fits("claude-*-5", "claude-haiku-4-5")
    True
    """
    first, *others = pattern.split("*")
    if not others:
        return pattern == name
    *middle, last = others
    if not (name.startswith(first) and name.endswith(last)):
        return False
    at = len(first)
    for part in middle:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return at + len(last) <= len(name)
