"""Tool names and call ids within what an API takes, and back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

__all__ = [
    "ANY_IDS",
    "CONVERSE_IDS",
    "CONVERSE_NAMES",
    "GEMINI_NAMES",
    "MISTRAL_IDS",
    "OPENAI_NAMES",
    "Limits",
    "Names",
    "answer_id",
    "call_id",
    "digest",
    "unused_id",
]

_HASH_LENGTH = 8
# What ids look like that Anthropic's API takes, and the mark of those that carry another one.
_ANSWER_ID = re.compile(r"[a-zA-Z0-9_-]{1,256}")
_CARRIER = "toolu_b64_"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an API takes for a name or an id.

    Attributes:
        characters: The inside of a character class, such as `a-zA-Z0-9_-`; empty for any.
        longest: In characters.
        first: The same for the first character, where that is narrower.
        is_exact: The length must be `longest`.
    """

    characters: str
    longest: int
    first: str = ""
    is_exact: bool = False

    def take(self, name: str) -> bool:
        """Tell whether a name fits as it is."""
        return _pattern(self).fullmatch(name) is not None

    def fitted(self, name: str) -> str:
        """Return a name that fits: itself, or its like with a hash of it.

        >>> OPENAI_NAMES.fitted("mcp.files.read")
        'mcp_files_read_...'
        """
        if self.take(name):
            return name
        mark = digest(name)
        if self.longest <= 2 * _HASH_LENGTH:
            return mark[: self.longest]
        kept = re.sub(f"[^{self.characters}]", "_", name) if self.characters else name
        if self.first and not re.match(f"[{self.first}]", kept):
            kept = f"_{kept}"
        return f"{kept[: self.longest - _HASH_LENGTH - 1]}_{mark[:_HASH_LENGTH]}"


# https://platform.openai.com/docs/api-reference/chat/create
OPENAI_NAMES = Limits("a-zA-Z0-9_-", 64)
# https://ai.google.dev/api/caching#FunctionDeclaration; 64 is what the older models take.
GEMINI_NAMES = Limits("a-zA-Z0-9_.:-", 64, first="a-zA-Z_")
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html
CONVERSE_NAMES = Limits("a-zA-Z0-9_-", 64)
CONVERSE_IDS = Limits("a-zA-Z0-9_.:-", 64)
ANY_IDS = Limits("", 64)
# Its older models refuse all other ids.
MISTRAL_IDS = Limits("a-zA-Z0-9", 9, is_exact=True)


class Names:
    """The names of one request's tools, as an API takes them, and back.

    A name that fits stays; what another one becomes depends on nothing but itself, so that a
    prompt is the same from turn to turn.
    """

    def __init__(self, names: Iterable[str], limits: Limits) -> None:
        self._limits = limits
        self._outward: dict[str, str] = {}
        self._back: dict[str, str] = {}
        # Those that stay go first: no other one can take their place.
        for name in sorted(names, key=limits.take, reverse=True):
            self.outward(name)

    def outward(self, name: str) -> str:
        """Return the name to send, also for one that only the history has."""
        if name not in self._outward:
            fitted = self._limits.fitted(name)
            again = 0
            while self._back.setdefault(fitted, name) != name:
                again += 1
                fitted = self._limits.fitted(f"{name}{'.' * again}{' ' * self._limits.longest}")
            self._outward[name] = fitted
        return self._outward[name]

    def back(self, name: str) -> str:
        """Return the caller's name for a tool; one that was never sent stays as it is."""
        return self._back.get(name, name)


def call_id(shown: str, limits: Limits) -> str:
    """Return a call's id as an upstream takes it: its own, where `answer_id` had to change that."""
    return limits.fitted(_carried(shown))


def answer_id(given: str) -> str:
    """Return an upstream's id of a call as the Messages API allows it; `call_id` finds it again.

    >>> answer_id("call_7")
    'call_7'
    >>> call_id(answer_id("functions.read:0"), ANY_IDS)
    'functions.read:0'
    """
    if _ANSWER_ID.fullmatch(given) and not given.startswith(_CARRIER):
        return given
    return _CARRIER + base64.urlsafe_b64encode(given.encode("utf-8", "replace")).decode().rstrip(
        "="
    )


def unused_id(given: str, taken: dict[str, int]) -> str:
    """Return `answer_id(given)`, or one made of it where an earlier call has that already.

    Args:
        given: The call's id, which upstreams count anew in every answer, some of them.
        taken: What this returned before; it is added to.
    """
    shown = first = answer_id(given)
    while shown in taken:
        taken[first] += 1
        shown = answer_id(f"{given}_{taken[first]}")
    taken[shown] = 1
    return shown


def digest(*parts: str | bytes) -> str:
    """Return 24 characters, letters and digits, that stand for `parts`: the same ones each time."""
    sum_ = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "replace") if isinstance(part, str) else part
        sum_.update(b"%d:" % len(data))
        sum_.update(data)
    return sum_.hexdigest()[:24]


def _carried(shown: str) -> str:
    if not shown.startswith(_CARRIER):
        return shown
    coded = shown.removeprefix(_CARRIER)
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return shown


@lru_cache(32)
def _pattern(limits: Limits) -> re.Pattern[str]:
    rest = f"[{limits.characters}]" if limits.characters else r"(?s:.)"
    fewest = limits.longest if limits.is_exact else 1
    lead = f"(?=[{limits.first}])" if limits.first else ""
    return re.compile(f"{lead}{rest}{{{fewest},{limits.longest}}}")
