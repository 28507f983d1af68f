"""What tells OpenAI's models apart for a request: reasoning efforts, the longest answer, caching.

https://platform.openai.com/docs/models
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["EFFORTS", "Traits", "nearest_effort", "traits"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All efforts there are, in rising order."""

_USUAL = ("low", "medium", "high")


class Traits(NamedTuple):
    """What a model takes.

    Attributes:
        efforts: In rising order; empty for one that does not reason.
        longest: Tokens of its longest answer; 0 if that is not known.
        window: Tokens of its longest prompt; 0 if that is not known.
        is_known: Whether this is a model of OpenAI's that is known here.
        breakpoints: It takes cache breakpoints.
        phases: It tells commentary from the final answer, and wants to be told in turn.
    """

    efforts: tuple[str, ...] = _USUAL
    longest: int = 0
    is_known: bool = True
    breakpoints: bool = False
    phases: bool = False
    window: int = 0


_GPT = re.compile(r"(?:^|[/:])gpt-(?P<major>\d+)(?:\.(?P<minor>\d+))?(?P<rest>[a-z0-9-]*)")
_PLAIN: Sequence[tuple[re.Pattern[str], Traits]] = (
    (re.compile(r"(?:^|[/:])gpt-oss"), Traits()),
    (re.compile(r"(?:^|[/:])o1-(?:mini|preview)"), Traits(_USUAL, 65_536, window=128_000)),
    (re.compile(r"(?:^|[/:])(?:o[1-9](?:-|$)|codex-)"), Traits(_USUAL, 100_000, window=200_000)),
    (re.compile(r"(?:^|[/:])(?:chatgpt-)?(?:gpt-)?4o"), Traits((), 16_384, window=128_000)),
    (re.compile(r"(?:^|[/:])gpt-4\.1"), Traits((), 32_768, window=1_047_576)),
    (re.compile(r"(?:^|[/:])gpt-4\.5"), Traits((), 16_384, window=128_000)),
    (re.compile(r"(?:^|[/:])gpt-4-0[36]13"), Traits((), 8_192, window=8_192)),
    # A name that many servers give to what they have.
    (re.compile(r"(?:^|[/:])gpt-4$"), Traits((), 8_192)),
    (re.compile(r"(?:^|[/:])gpt-4-(?:turbo|1106|0125)"), Traits((), 4_096, window=128_000)),
    (re.compile(r"(?:^|[/:])gpt-(?:4|3\.5)"), Traits((), 4_096)),
)
# What the window is without the longest answer: of models that have both apart.
_LARGE = 922_000
_MEDIUM = 272_000
_CHAT = 128_000
_SMALLER = re.compile(r"-(?:mini|nano|codex)")


def traits(model: str) -> Traits:
    """Return what a model takes, by its name; fine-tuned and dated ones are like their base.

    >>> traits("gpt-5.4-mini-2026-03-05").efforts
    ('none', 'low', 'medium', 'high', 'xhigh')
    >>> traits("ft:gpt-4o:acme::1").longest
    16384
    """
    name = model.lower()
    match = _GPT.search(name)
    if match and int(match["major"]) >= 5:
        version = (int(match["major"]), int(match["minor"] or 0))
        is_chat = "-chat" in match["rest"]
        return Traits(
            _efforts(version, match["rest"]),
            16_384 if is_chat else 128_000,
            breakpoints=version >= (5, 6),
            phases=version >= (5, 3),
            window=_CHAT if is_chat else _window(version, match["rest"]),
        )
    return next((found for form, found in _PLAIN if form.search(name)), Traits(is_known=False))


def _window(version: tuple[int, int], rest: str) -> int:
    is_large = version >= (5, 4) and not _SMALLER.search(rest)
    return _LARGE if is_large else _MEDIUM


def _efforts(version: tuple[int, int], rest: str) -> tuple[str, ...]:
    is_first = version == (5, 0)
    if "-chat" in rest:
        return () if is_first else ("medium",)
    if "-pro" in rest and version < (5, 6):
        return ("high",) if is_first else ("medium", "high", "xhigh")
    highest: tuple[str, ...] = ()
    if version >= (5, 6):
        highest = ("xhigh", "max")
    elif version >= (5, 2) or "-codex-max" in rest:
        highest = ("xhigh",)
    if "-codex" in rest:
        lowest: tuple[str, ...] = ()
    else:
        lowest = ("minimal",) if is_first else ("none",)
    return (*lowest, *_USUAL, *highest)


def nearest_effort(asked: str, efforts: Sequence[str]) -> str:
    """Return the effort to ask for: the highest that is not above `asked`, else the lowest.

    >>> nearest_effort("max", ("low", "medium", "high"))
    'high'
    >>> nearest_effort("none", ("minimal", "low"))
    'minimal'
    """
    most = EFFORTS.index(asked) if asked in EFFORTS else EFFORTS.index("medium")
    ranked = sorted((each for each in efforts if each in EFFORTS), key=EFFORTS.index)
    below = [each for each in ranked if EFFORTS.index(each) <= most]
    return below[-1] if below else (ranked[0] if ranked else "")
