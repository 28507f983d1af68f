"""The members of a Chat Completions request beside its messages and tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.names import Names
from llmroute.translate.prepared import Prepared
from llmroute.translate.target import Losses

__all__ = ["level_of", "limits_of", "offered", "stops_of", "thinking_of", "tool_choice_of"]

_MOST_STOPS = 4
# Budgets of thinking as efforts, in tokens.
_LOW, _MEDIUM = 4_096, 16_384
# Of the Messages API and without a like in Chat Completions.
_UNTOLD = ("container", "fallbacks", "inference_geo", "mcp_servers", "speed")
# Of what edits the conversation: there is no thinking of Anthropic's to be cleared.
_NEEDLESS = "clear_thinking"


def offered(ready: Prepared, dialect: ChatDialect) -> list[dict[str, Any]]:
    """Return the tools to send: one alone where it must be used, and cannot be named."""
    choice = ready.tool_choice or {}
    if choice.get("type") != "tool" or "named" in dialect.tool_choices:
        return ready.tools
    return [tool for tool in ready.tools if tool["name"] == choice.get("name")] or ready.tools


def tool_choice_of(
    choice: Mapping[str, Any] | None, dialect: ChatDialect, names: Names, losses: Losses
) -> dict[str, Any]:
    """Return `tool_choice` and `parallel_tool_calls`, as far as the server takes them."""
    if choice is None:
        return {}
    members: dict[str, Any] = {}
    wanted = {"any": "required", "tool": "named", "none": "none"}.get(str(choice.get("type")))
    kind = wanted or "auto"
    if kind == "named" and kind not in dialect.tool_choices:
        kind = "required"
    if kind not in dialect.tool_choices:
        kind = "auto"
    if wanted and kind != wanted:
        losses.note("tool_choice", f"{dialect.title} does not take {choice.get('type')}")
    if kind == "named":
        function = {"name": names.outward(str(choice.get("name")))}
        members["tool_choice"] = {"type": "function", "function": function}
    elif kind in dialect.tool_choices:
        members["tool_choice"] = kind
    if choice.get("disable_parallel_tool_use") is True:
        if dialect.parallel_tool_calls:
            members["parallel_tool_calls"] = False
        else:
            losses.note("tool_choice", f"{dialect.title} cannot be kept from parallel calls")
    return members


def limits_of(body: Mapping[str, Any], dialect: ChatDialect, losses: Losses) -> dict[str, Any]:
    """Return the limit of the answer's length, sampling and stop sequences."""
    members: dict[str, Any] = {}
    most = body.get("max_tokens")
    if isinstance(most, int):
        # With 0 a prompt is only put in the cache, which nobody else knows.
        most = max(most, 1)
        limit = dialect.max_tokens_limit
        if limit is not None and most > limit:
            losses.note("max_tokens", f"lowered to {limit}, which is the model's own")
            most = limit
        members[dialect.max_tokens_name] = most
    taken = {"temperature": dialect.sampling, "top_p": dialect.sampling, "top_k": dialect.top_k}
    for name, is_taken in taken.items():
        value = body.get(name)
        if value is not None and is_taken:
            members[name] = value
        elif value is not None:
            losses.note(name, f"left out: {dialect.title} does not take it")
    kept, _ = stops_of(body, dialect)
    if kept:
        members["stop"] = kept
    for name in _UNTOLD:
        if body.get(name):
            losses.note(name, f"left out: {dialect.title} does not know it")
    edits = body.get("context_management")
    listed = edits.get("edits") if isinstance(edits, dict) else None
    for edit in listed if isinstance(listed, list) else []:
        kind = str(edit.get("type")) if isinstance(edit, dict) else ""
        if not kind.startswith(_NEEDLESS):
            losses.note("context_management", f"{kind} left out: {dialect.title} does not know it")
    return members


def stops_of(body: Mapping[str, Any], dialect: ChatDialect) -> tuple[list[str], list[str]]:
    """Return the stop sequences the server is told of, and those that are watched for here."""
    given = body.get("stop_sequences")
    stops = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    told = [each for each in stops if each.strip()][:_MOST_STOPS] if dialect.stop else []
    return told, [each for each in stops if each not in told]


def level_of(body: Mapping[str, Any], effort: str) -> str:
    """Return how hard to think: an effort, `none` for not at all, empty if nothing is said."""
    thinking = body.get("thinking")
    match thinking:
        case {"type": "disabled"}:
            return "none"
        case {"type": "enabled", "budget_tokens": int(budget)} if not effort:
            return "low" if budget < _LOW else "medium" if budget < _MEDIUM else "high"
        case _:
            return effort


def thinking_of(body: Mapping[str, Any], ready: Prepared, dialect: ChatDialect) -> dict[str, Any]:
    """Return the members by which this server is told how hard to think."""
    if dialect.tools_effort and ready.tools:
        return {"reasoning_effort": dialect.tools_effort}
    level = level_of(body, ready.effort)
    members: dict[str, Any] = {}
    effort = dialect.efforts.get(level, level)
    thinking = body.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    # Some have only a switch; untouched, it is where the server's maker put it.
    switch = {"disabled": False, "enabled": True, "adaptive": True}.get(str(kind))
    for way in sorted(dialect.effort_in):
        if way == "reasoning_effort" and effort:
            members[way] = effort
        elif way == "reasoning" and level == "none":
            members[way] = {"enabled": False}
        elif way == "reasoning" and effort:
            members[way] = {"effort": effort}
        elif switch is None:
            continue
        elif way == "thinking":
            members[way] = {"type": "enabled" if switch else "disabled"}
        elif way == "enable_thinking":
            members[way] = switch
        elif way == "chat_template_kwargs":
            members[way] = {"enable_thinking": switch}
    return members
