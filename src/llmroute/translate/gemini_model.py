"""What the generations of Gemini differ in, as far as a request shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from llmroute.translate.json_schema import GEMINI, GEMINI_OPENAPI, Dialect

__all__ = ["GeminiModel", "Thinking"]

# Models for one purpose, with windows of their own.
_SPECIAL = re.compile(r"image|tts|live|audio|embedding|computer|robotics")
_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
# Of a name without a version, `gemini-flash-latest`.
_LATEST = (3, 5)
_NONE = (0, 0)
_LEVELS = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
# https://ai.google.dev/gemini-api/docs/thinking: the least that is no "off", and the most.
_PRO_BUDGETS = (128, 32_768)
_FLASH_BUDGETS = (1, 24_576)
_LITE_BUDGETS = (512, 24_576)
# From how large a budget on a level is meant.
_MEDIUM_FROM = 4_096
_HIGH_FROM = 16_384
# What is thought counts towards `maxOutputTokens`.  Where the caller asked for no thinking it must
# not come out of the answer: so much is added, by what cannot be turned off.
_UNASKED = {"LOW": 2_048, "MINIMAL": 512}
_BY_DEFAULT = 8_192
# Nobody who asks for so short an answer wants it thought about.
_SHORT = 1_024


class Thinking(NamedTuple):
    """How a model is told to think.

    Attributes:
        config: The `thinkingConfig`; empty if it is told nothing.
        allowance: Tokens to add to what the answer may have.
        least: Tokens it must be given, thoughts included.
    """

    config: dict[str, Any]
    allowance: int = 0
    least: int = 1


@dataclass(frozen=True, slots=True)
class GeminiModel:
    """What is known of a model by its name.

    Attributes:
        name: Without `models/` in front.
        version: Generation and part of it; zeros for what is no Gemini, which gets the least.
    """

    name: str
    version: tuple[int, int]

    @classmethod
    def of(cls, name: str) -> GeminiModel:
        """Read a name.

        >>> GeminiModel.of("models/gemini-2.5-pro").version
        (2, 5)
        """
        name = name.removeprefix("models/")
        last = name.rpartition("/")[2]
        if found := _VERSION.match(last):
            return cls(name, (int(found[1]), int(found[2] or 0)))
        return cls(name, _LATEST if last.startswith("gemini") else _NONE)

    @property
    def thinks_by(self) -> Literal["level", "budget", ""]:
        """What its thinking is set by; empty if it takes no such setting."""
        if self.version >= (3, 0):
            return "level"
        return "budget" if self.version >= (2, 5) else ""

    @property
    def needs_signatures(self) -> bool:
        """Whether it refuses a call in the history that lacks its thought signature."""
        return self.version >= (3, 0)

    @property
    def tool_media(self) -> bool:
        """Whether a function's response may have images and documents in it."""
        return self.version >= (3, 0)

    @property
    def formats_beside_tools(self) -> bool:
        """Whether it takes an output format and functions together."""
        return self.version >= (3, 0)

    @property
    def fetches(self) -> bool:
        """Whether it reads images and documents at any public address."""
        return self.version >= (2, 5)

    @property
    def schemas(self) -> Dialect:
        """The part of JSON Schema it reads."""
        return GEMINI if self.version >= (2, 5) else GEMINI_OPENAPI

    @property
    def longest_answer(self) -> int | None:
        """The most tokens it can be asked for; `None` if nobody knows."""
        if self.version >= (2, 5):
            return 65_536
        return 8_192 if self.version != _NONE else None

    @property
    def window(self) -> int | None:
        """The longest prompt in tokens; `None` if nobody knows."""
        if self.version < (1, 5) or _SPECIAL.search(self.name):
            return None
        return 2_097_152 if self.version == (1, 5) and self._is("pro") else 1_048_576

    def reads(self, writer: str) -> bool:
        """Tell whether it takes the thought signatures of the model `writer`.

        Only its own ones: another model's are refused as corrupted.  Versions of one model go by
        longer names.

        >>> GeminiModel.of("gemini-3-pro-preview").reads("gemini-3-pro-preview-11-2025")
        True
        >>> GeminiModel.of("gemini-3-flash").reads("gemini-2.5-pro")
        False
        """
        last, writer = self.name.rpartition("/")[2], writer.rpartition("/")[2]
        if not writer or not _VERSION.match(last):
            return True
        if ("-lite" in last) is not ("-lite" in writer):
            return False
        return writer.startswith(last) or last.startswith(writer)

    def thinking(self, asked: Any, effort: str, max_tokens: int) -> Thinking:
        """Return the setting that comes closest to a request's `thinking` and effort."""
        asked = asked if isinstance(asked, Mapping) else {}
        kind = asked.get("type")
        if not self.thinks_by:
            return Thinking({})
        if kind == "disabled" or (kind not in ("enabled", "adaptive") and max_tokens < _SHORT):
            return self._off()
        if kind not in ("enabled", "adaptive"):
            level = self._level(effort, 0)
            config = {"thinkingLevel": level} if level and self.thinks_by == "level" else {}
            return Thinking(config, _BY_DEFAULT)
        shown = {"includeThoughts": asked.get("display") != "omitted"}
        given = asked.get("budget_tokens")
        budget = given if isinstance(given, int) and kind == "enabled" else 0
        if self.thinks_by == "level":
            level = self._level(effort, budget)
            config = {**shown, "thinkingLevel": level} if level else shown
            return Thinking(config, least=_BY_DEFAULT)
        if not budget:
            return Thinking({**shown, "thinkingBudget": -1}, least=_BY_DEFAULT)
        least, most = self._budgets()
        budget = min(max(budget, least), most)
        return Thinking({**shown, "thinkingBudget": budget}, least=budget + _SHORT)

    def _off(self) -> Thinking:
        if self.thinks_by == "level":
            level = "LOW" if self._is("pro") else "MINIMAL"
            return Thinking({"thinkingLevel": level}, _UNASKED[level])
        budget = _PRO_BUDGETS[0] if self._is("pro") else 0
        return Thinking({"thinkingBudget": budget}, budget)

    def _level(self, effort: str, budget: int) -> str:
        if effort in _LEVELS:
            level = _LEVELS[effort]
        elif not budget:
            return ""
        else:
            level = (
                "HIGH" if budget >= _HIGH_FROM else "MEDIUM" if budget >= _MEDIUM_FROM else "LOW"
            )
        # The first of them knows two levels only.
        first_pro = self._is("pro") and self.version == (3, 0)
        return "HIGH" if first_pro and level == "MEDIUM" else level

    def _budgets(self) -> tuple[int, int]:
        if self._is("pro"):
            return _PRO_BUDGETS
        return _LITE_BUDGETS if self._is("lite") else _FLASH_BUDGETS

    def _is(self, kind: str) -> bool:
        return kind in re.split(r"[-/.]", self.name)
