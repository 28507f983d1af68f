"""The small members of a request, which differ between generations of models.

Where a model does not take a parameter, the nearest it does take is put in its place.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from llmroute.platforms._items import Item, members, text_of, word
from llmroute.platforms.generations import EFFORTS
from llmroute.platforms.terms import Losses, Terms
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["Parameters", "fit_cache_control"]

_SAMPLING = ("temperature", "top_p", "top_k")
_LEAST_BUDGET = 1024
_SHOWN = frozenset({"summarized", "omitted"})
# Tokens of thinking for an effort: Claude Code's own budget, and halves of it.
_BUDGETS = {"low": 2_000, "medium": 8_000, "high": 16_000, "xhigh": 24_000, "max": 32_000}


class Parameters:
    """A body's top level while it is being fitted: what is replaced, and what is `cut`."""

    __slots__ = ("_body", "_edits", "_losses", "_terms", "cut")

    def __init__(self, body: Envelope, terms: Terms, losses: Losses) -> None:
        self._body = body
        self._terms = terms
        self._losses = losses
        self._edits: dict[str, Any] = {}
        self.cut: dict[str, None] = {}

    def get(self, member: str) -> Any:
        """Return the member as it will be sent; `None`, if it will not be."""
        if member in self.cut:
            return None
        if member in self._edits:
            return self._edits[member]
        return self._body.get(member)

    def put(self, member: str, value: Any) -> None:
        """Send `value`."""
        self._edits[member] = value

    def drop(self, member: str) -> None:
        """Leave `member` out."""
        self._edits.pop(member, None)
        self.cut[member] = None

    def body(self) -> Envelope:
        """Return what will be sent; the bytes are the caller's where nothing was changed."""
        body = self._body.without(*self.cut) if self.cut else self._body
        return body.replace(**self._edits) if self._edits else body

    def rename_format(self) -> None:
        """Move `output_format`, the former name, to where it is now."""
        schema = self._body["output_format"]
        self.drop("output_format")
        config = self.get("output_config") or {}
        if isinstance(config, dict) and "format" not in config:
            self.put("output_config", {**config, "format": schema})
        self._losses.note("output_format", "sent as output_config.format, its present name")

    def put_tools(self, entries: list[Any], dropped: Collection[str]) -> None:
        """Send these tools, and take a `tool_choice` back that speaks of those `dropped`."""
        if entries:
            self.put("tools", entries)
        else:
            self.drop("tools")
        choice = self.get("tool_choice")
        if not isinstance(choice, dict):
            return
        if not entries:
            self.drop("tool_choice")
            self._losses.note("tool_choice", "no tool is left")
        elif word(choice, "name") in dropped:
            self.put("tool_choice", {"type": "auto"})
            self._losses.note("tool_choice", "the tool it names was left out; sent as auto")

    def fit(self) -> None:
        """Fit everything but `system`, `messages` and `tools`."""
        self._fit_inner()
        self._fit_max_tokens()
        self._fit_sampling()
        self._fit_tool_choice()
        self._fit_thinking()
        self._fit_output_config()
        self._fit_context_management()
        if isinstance(control := self.get("cache_control"), dict):
            fitted = fit_cache_control(control, self._terms, self._losses)
            if fitted is not None:
                self.put("cache_control", fitted)

    def _fit_inner(self) -> None:
        """Leave out what is refused one level down."""
        for place, reason in self._terms.refused.items():
            member, dot, inner = place.partition(".")
            if not dot or member == "cache_control" or "[" in member:
                continue
            inner, equals, only = inner.partition("=")
            value = self.get(member)
            if not isinstance(value, dict) or inner not in value:
                continue
            if equals and value[inner] != only:
                continue
            rest = {name: v for name, v in value.items() if name != inner}
            if rest:
                self.put(member, rest)
            else:
                self.drop(member)
            self._losses.note(f"{member}.{inner}", reason)

    def _fit_max_tokens(self) -> None:
        most = self._terms.generation.max_tokens
        asked = self.get("max_tokens")
        if most is not None and isinstance(asked, int) and asked > most:
            self.put("max_tokens", most)
            self._note("max_tokens", f"writes at most {most}")

    def _fit_sampling(self) -> None:
        if self._terms.generation.sampling:
            return
        for member in _SAMPLING:
            if self.get(member) is not None:
                self.drop(member)
                self._note(member, "does not take it")

    def _fit_tool_choice(self) -> None:
        choice, taken = self.get("tool_choice"), self._terms.platform.tool_choices
        if not isinstance(choice, dict):
            return
        kind, title = word(choice, "type"), self._terms.platform.title
        kept = {k: v for k, v in choice.items() if k == "disable_parallel_tool_use"}
        if kind in {"any", "tool"} and not self._terms.generation.forced_tools:
            self.put("tool_choice", {"type": "auto", **kept})
            self._note("tool_choice", "cannot be made to use a tool; sent as auto")
        elif kind == "tool" and kind not in taken:
            if tools := self._tools(word(choice, "name")):
                self.put("tools", tools)
            self.put("tool_choice", {"type": "any", **kept})
            reason = f"{title} does not take a name; sent as any, with that tool alone"
            self._losses.note("tool_choice", reason)
        elif kind == "none" and kind not in taken:
            self.drop("tools")
            self.drop("tool_choice")
            self._losses.note("tool_choice", f"{title} does not take none; sent without tools")

    def _tools(self, name: str) -> list[Item]:
        """Return the tool of this name, or all there are where none has it."""
        tools: list[Item] = self.get("tools") or []
        return [
            each for each in tools if text_of((members(each) or {}).get("name")) == name
        ] or tools

    def _fit_thinking(self) -> None:
        thinking, taken = self.get("thinking"), self._terms.generation.thinking
        if taken is None or not isinstance(thinking, dict):
            return
        kind = word(thinking, "type")
        if kind in taken:
            if kind == "enabled":
                self._fit_budget(thinking)
            return
        if kind == "adaptive" and "enabled" in taken:
            self._think_by_budget(thinking)
        elif kind == "enabled" and "adaptive" in taken:
            self._think_by_effort(thinking)
        elif kind == "disabled" and taken:
            self.drop("thinking")
            self._set_effort("low")
            self._note("thinking", "always thinks; sent as the least effort")
        elif not taken or "adaptive" not in taken:
            self.drop("thinking")
            self._note("thinking", f"does not take the type {kind}")

    def _fit_budget(self, thinking: dict[str, Any]) -> None:
        """Keep the budget under a `max_tokens` that had to be lowered."""
        limit, budget = self.get("max_tokens"), thinking.get("budget_tokens")
        if "max_tokens" not in self._edits or not isinstance(budget, int) or budget < limit:
            return
        self.put("thinking", {**thinking, "budget_tokens": limit - 1})
        self._note("thinking.budget_tokens", "must stay under max_tokens")

    def _think_by_budget(self, thinking: dict[str, Any]) -> None:
        """Put a budget in place of an effort."""
        # As the caller set it: where there are budgets, it may be gone by now.
        effort = word(self._body.get("output_config"), "effort")
        budget = _BUDGETS.get(effort, _BUDGETS["high"])
        limit = self.get("max_tokens")
        if isinstance(limit, int):
            budget = min(budget, limit // 2)
        choice = word(self.get("tool_choice"), "type")
        if budget < _LEAST_BUDGET or choice in {"any", "tool"}:
            self.drop("thinking")
            self._note("thinking", "thinks by a budget, for which there is no room")
            return
        if _is_unthought(self._body):
            # "Expected `thinking` or `redacted_thinking`, but found `tool_use`."
            self.drop("thinking")
            self._note("thinking", "thinks by a budget only where the call before has its thinking")
            return
        kept = {"display": shown} if (shown := word(thinking, "display")) in _SHOWN else {}
        self.put("thinking", {"type": "enabled", "budget_tokens": budget, **kept})
        self._note("thinking", "does not take the type adaptive; sent as a budget by the effort")
        for member in ("temperature", "top_k", "top_p"):
            value = self.get(member)
            if value is not None and not (member == "top_p" and _is_high(value)):
                self.drop(member)
                self._note(member, "does not take it together with a budget")

    def _think_by_effort(self, thinking: dict[str, Any]) -> None:
        """Put an effort in place of a budget."""
        budget = thinking.get("budget_tokens")
        kept = {k: v for k, v in thinking.items() if k not in {"type", "budget_tokens"}}
        self.put("thinking", {"type": "adaptive", **kept})
        if isinstance(budget, int):
            at_least = [effort for effort in ("medium", "high") if budget >= _BUDGETS[effort]]
            self._set_effort(at_least[-1] if at_least else "low")
        self._note("thinking", "does not take the type enabled; sent as adaptive, with an effort")

    def _set_effort(self, effort: str) -> None:
        """Set an effort, where the caller has set none."""
        config = self.get("output_config") or {}
        if isinstance(config, dict) and "effort" not in config and self._terms.generation.efforts:
            self.put("output_config", {"effort": effort, **config})
            self._losses.note("output_config.effort", "set in place of what thinking said")

    def _fit_output_config(self) -> None:
        """Put the next lower effort in place of one that the model does not take."""
        config, generation = self.get("output_config"), self._terms.generation
        effort = word(config, "effort")
        if effort not in EFFORTS or not generation.efforts:
            return
        most = len(EFFORTS) - 1
        if word(self.get("thinking"), "type") == "disabled":
            most = EFFORTS.index(generation.off_up_to)
        most = min(most, EFFORTS.index(effort))
        nearest = next(e for e in reversed(EFFORTS[: most + 1]) if e in generation.efforts)
        if nearest != effort:
            self.put("output_config", {**config, "effort": nearest})
            self._note("output_config.effort", f"does not take {effort} here; sent as {nearest}")

    def _fit_context_management(self) -> None:
        managed = self.get("context_management")
        edits = managed.get("edits") if isinstance(managed, dict) else None
        if not isinstance(edits, list):
            return
        kept = [edit for edit in edits if not self._refuses_edit(word(edit, "type"))]
        if len(kept) == len(edits):
            return
        if kept:
            self.put("context_management", {**managed, "edits": kept})
        else:
            self.drop("context_management")

    def _refuses_edit(self, kind: str) -> bool:
        place = f"context_management.edits[] {kind}"
        if kind in self._terms.platform.refused_edits:
            self._losses.note(place, f"{self._terms.platform.title} does not take it")
            return True
        if reason := self._terms.refused.get(f"context_management.{kind}"):
            self._losses.note(place, reason)
            return True
        if kind == "clear_thinking_20251015" and "thinking" in self.cut:
            self._losses.note(place, "there is no thinking")
            return True
        return False

    def _note(self, place: str, reason: str) -> None:
        self._losses.note(place, f"{self._terms.generation.name} {reason}")


_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _is_unthought(body: Envelope) -> bool:
    """Say whether the request goes on after a call that came back without the thinking before it.

    Only the last two messages are looked into.
    """
    try:
        said, result = map(msgspec.json.decode, _messages(body.raw("messages"))[-2:])
        return (
            result["content"][0]["type"] == "tool_result"
            and said["role"] == "assistant"
            and said["content"][0]["type"] not in {"thinking", "redacted_thinking"}
        )
    except (*MALFORMED, KeyError, IndexError, TypeError, ValueError):
        return False


def _is_high(value: Any) -> bool:
    """Say whether a `top_p` can go together with a budget."""
    return isinstance(value, int | float) and 0.95 <= value <= 1


def fit_cache_control(control: Any, terms: Terms, losses: Losses) -> Any:
    """Return a `cache_control` without what is not taken in it, or `None` if all of it is."""
    if not isinstance(control, dict):
        return None
    kept = {}
    for member, value in control.items():
        place = f"cache_control.{member}"
        if reason := terms.refused.get(place):
            losses.note(place, reason)
        elif member not in {"type", "ttl", "scope"} and not terms.platform.any_beta:
            losses.note(place, f"{terms.platform.title} does not take it")
        else:
            kept[member] = value
    return kept if len(kept) < len(control) else None
