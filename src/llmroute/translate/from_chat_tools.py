"""The tools of a Chat Completions request, and what it says of their use, in Messages' words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmroute.translate.answer_format import closed_schema
from llmroute.translate.target import Losses

__all__ = ["custom_tools", "tools_of"]

_Tool = dict[str, Any]

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
# A tool that Anthropic defines, as gateways of this format take them as well.
_DATED = re.compile(r"[a-z_]+_\d{8}")
_FREE = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def custom_tools(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the tools that take free text: their calls are worded otherwise."""
    return frozenset(
        str(_within(tool, "custom").get("name"))
        for tool in _list(body.get("tools"))
        if isinstance(tool, dict) and tool.get("type") == "custom"
    )


def tools_of(body: Mapping[str, Any], losses: Losses) -> tuple[dict[str, Any], str]:
    """Return `tools` and `tool_choice`, and why they cannot be said, empty if they can."""
    for name in ("functions", "function_call"):
        if body.get(name) and body[name] != "auto":
            return {}, f"{name}: is the old way to say `tools` and `tool_choice`"
    tools: list[_Tool] = []
    for at, tool in enumerate(_list(body.get("tools"))):
        made = _tool(tool, f"tools[{at}]", losses)
        if made is None:
            kind = tool.get("type") if isinstance(tool, dict) else None
            return {}, f"tools[{at}]: a tool of the type {kind} is run by OpenAI alone"
        tools.append(made)
    choice, allowed = _choice(body.get("tool_choice"))
    if choice is None:
        return {}, "tool_choice: must be auto, none, required, a tool or allowed_tools"
    if allowed is not None:
        tools = [tool for tool in tools if str(tool.get("name")) in allowed]
    if not tools:
        if choice.get("type") in ("any", "tool"):
            losses.note("tool_choice", "left out: there are no tools")
        return {}, ""
    if body.get("parallel_tool_calls") is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return {"tools": tools, **({"tool_choice": choice} if choice else {})}, ""


def _tool(tool: Any, place: str, losses: Losses) -> _Tool | None:
    match tool:
        case {"type": "custom", "custom": dict(custom)}:
            return _custom(tool, custom, place, losses)
        case {"type": "function", "function": dict(function)}:
            return _function(tool, function, place, losses)
        case {"function": dict(function)} if "type" not in tool:
            return _function(tool, function, place, losses)
        case {"type": str(kind)} if _DATED.fullmatch(kind):
            return dict(tool)
    return None


def _function(tool: _Tool, function: Mapping[str, Any], place: str, losses: Losses) -> _Tool:
    given = function.get("parameters")
    schema = dict(given) if isinstance(given, dict) else {"properties": {}}
    made: _Tool = {"name": str(function.get("name") or "")}
    if isinstance(described := function.get("description"), str) and described:
        made["description"] = described
    made["input_schema"] = {"type": "object", **schema}
    if function.get("strict") is True:
        made["input_schema"], lost = closed_schema(made["input_schema"])
        made["strict"] = True
        for line in lost:
            losses.note(f"{place}.function.parameters", line)
    return made | _mark(tool, function)


def _custom(tool: _Tool, custom: Mapping[str, Any], place: str, losses: Losses) -> _Tool:
    described = str(custom.get("description") or "")
    grammar = _within(_within(custom, "format"), "grammar")
    if definition := grammar.get("definition"):
        losses.note(f"{place}.custom.format", "the grammar is told in words")
        syntax = grammar.get("syntax") or "lark"
        described = f"{described}\n\n`input` follows this grammar ({syntax}):\n{definition}".strip()
    made: _Tool = {"name": str(custom.get("name") or ""), "input_schema": _FREE}
    return made | ({"description": described} if described else {}) | _mark(tool, custom)


def _mark(tool: _Tool, inner: Mapping[str, Any]) -> _Tool:
    mark = tool.get("cache_control") or inner.get("cache_control")
    return {"cache_control": mark} if isinstance(mark, dict) else {}


def _choice(choice: Any) -> tuple[dict[str, Any] | None, frozenset[str] | None]:
    """Return the choice, `None` if it is none, and the tools it leaves, `None` for all."""
    match choice:
        case None:
            return {}, None
        case str() if choice in _CHOICES:
            return {"type": _CHOICES[choice]}, None
        case {"type": "function", "function": {"name": str(name)}} | {
            "type": "custom",
            "custom": {"name": str(name)},
        }:
            return {"type": "tool", "name": name}, None
        case {"type": "allowed_tools"}:
            allowed = _within(choice, "allowed_tools") or choice
            mode = _CHOICES.get(str(allowed.get("mode") or "auto"), "auto")
            return {"type": mode}, frozenset(map(_name, _list(allowed.get("tools"))))
    return None, None


def _name(tool: Any) -> str:
    inner = _within(tool, "function") or _within(tool, "custom") or tool
    return str(inner.get("name") or "") if isinstance(inner, Mapping) else ""


def _within(data: Any, name: str) -> Mapping[str, Any]:
    value = data.get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
