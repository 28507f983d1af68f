"""The tools of a Messages request as OpenAI Responses takes them, its own search among them.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.translate.json_schema import OPENAI, OPENAI_STRICT, reduced
from llmroute.translate.names import Names
from llmroute.translate.prepared import Prepared
from llmroute.translate.target import Losses

__all__ = ["is_strict", "tools_of"]

_Item = dict[str, Any]

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def tools_of(given: Prepared, asked: Any, names: Names, losses: Losses) -> dict[str, Any]:
    """Return the members that say which tools there are, and which of them to use.

    Args:
        given: The request.
        asked: Its `tool_choice`, as it came.
        names: The tools' names, outward.
        losses: Where is noted what is lost.
    """
    tools = [_function(tool, names, losses) for tool in given.tools]
    sent: dict[str, Any] = {}
    for tool in given.server_tools:
        tools.append(_search(tool, losses))
        if isinstance(tool.get("max_uses"), int):
            sent["max_tool_calls"] = tool["max_uses"]
    if not tools:
        return {}
    sent["tools"] = tools
    choice = _choice(given, asked)
    match choice.get("type"):
        case "tool":
            named = {"type": "function", "name": names.outward(str(choice.get("name")))}
            sent["tool_choice"] = named
        case "web_search" if given.tools:
            # There is no plain choice of this one.
            only = {"mode": "required", "tools": [{"type": "web_search"}]}
            sent["tool_choice"] = {"type": "allowed_tools", **only}
        case "web_search":
            sent["tool_choice"] = "required"
        case str(kind) if kind in _CHOICES:
            sent["tool_choice"] = _CHOICES[kind]
    if choice.get("disable_parallel_tool_use") is True:
        sent["parallel_tool_calls"] = False
    return sent


def _choice(given: Prepared, asked: Any) -> _Item:
    """Return the choice among the functions, which are not all there are, and the search."""
    choice = given.tool_choice or {}
    if not given.server_tools or not isinstance(asked, dict):
        return choice
    if asked.get("type") != "tool":
        return asked
    served = [tool.get("name") or "web_search" for tool in given.server_tools]
    return {**asked, "type": "web_search"} if asked.get("name") in served else choice


def _function(tool: _Item, names: Names, losses: Losses) -> _Item:
    schema, lost = reduced(tool["input_schema"], OPENAI)
    for each in lost:
        losses.note(f"tools[] {tool['name']}", each)
    strict = tool.get("strict") is True and is_strict(schema)
    if tool.get("strict") is True and not strict:
        losses.note(f"tools[] {tool['name']}", "strict: OpenAI's is narrower")
    made = {
        "type": "function",
        "name": names.outward(tool["name"]),
        "parameters": schema,
        "strict": strict,
    }
    return made | ({"description": tool["description"]} if tool["description"] else {})


def _search(tool: _Item, losses: Losses) -> _Item:
    made: _Item = {"type": "web_search"}
    if tool.get("allowed_domains"):
        made["filters"] = {"allowed_domains": tool["allowed_domains"]}
    if tool.get("blocked_domains"):
        losses.note("tools[] web_search", "blocked_domains: OpenAI blocks none")
    place = tool.get("user_location")
    if isinstance(place, dict):
        known = ("city", "country", "region", "timezone")
        said = {name: place[name] for name in known if place.get(name)}
        made["user_location"] = {"type": "approximate", **said}
    return made


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether a schema says all that OpenAI's strict mode wants said, and nothing else."""
    strict, lost = reduced(schema, OPENAI_STRICT)
    return not lost and strict == schema
