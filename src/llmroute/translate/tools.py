"""The tools of a request, as functions with a name, a description and a schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmroute.errors import InvalidRequestError
from llmroute.translate.target import Losses, Target

__all__ = ["function_tools"]

_Tool = dict[str, Any]

# Claude Code's own stand-in, which does nothing when it is called.
_PLACEHOLDER = "DeferredToolPlaceholder"
_DATED = re.compile(r"_\d{8}$")
_STRING: _Tool = {"type": "string"}
_EDITS = ["view", "create", "str_replace", "insert"]
_EDITOR: _Tool = {
    "path": _STRING,
    "file_text": _STRING,
    "old_str": _STRING,
    "new_str": _STRING,
    "insert_line": {"type": "integer"},
    "insert_text": _STRING,
    "view_range": {"type": "array", "items": {"type": "integer"}},
}
# Tools that Anthropic defines and the client runs; Claude knows their parameters by heart.
# https://docs.claude.com/en/agents-and-tools/tool-use/overview
_CLIENT_TOOLS: dict[str, tuple[str, _Tool]] = {
    "bash": (
        "Run a command in a persistent bash session, or restart the session.",
        {"properties": {"command": _STRING, "restart": {"type": "boolean"}}},
    ),
    "text_editor": (
        "View, create and edit files.",
        {
            "properties": {"command": {"type": "string", "enum": _EDITS}, **_EDITOR},
            "required": ["command", "path"],
        },
    ),
    "memory": (
        "Keep notes in files below /memories, across conversations.",
        {
            "properties": {
                "command": {"type": "string", "enum": [*_EDITS, "delete", "rename"]},
                **_EDITOR,
                "old_path": _STRING,
                "new_path": _STRING,
            },
            "required": ["command"],
        },
    ),
    "computer": (
        "Use a computer's screen, mouse and keyboard.",
        {
            "properties": {
                "action": _STRING,
                "coordinate": {"type": "array", "items": {"type": "integer"}},
                "start_coordinate": {"type": "array", "items": {"type": "integer"}},
                "text": _STRING,
                "scroll_direction": {"type": "string", "enum": ["up", "down", "left", "right"]},
                "scroll_amount": {"type": "integer"},
                "duration": {"type": "number"},
                "region": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["action"],
        },
    ),
}


def function_tools(
    tools: list[Any], target: Target, losses: Losses
) -> tuple[list[_Tool], list[_Tool]]:
    """Return the tools that are functions, and those that the upstream runs itself.

    A function has `name`, `description`, `input_schema`, and perhaps `strict` and `cache_control`.
    No tool is deferred, and none has a name twice.

    Raises:
        InvalidRequestError: All there is would be run by Anthropic: a search of the web, say, whose
            results the model would else make up.
    """
    missing: list[str] = []
    functions: dict[str, _Tool] = {}
    served: list[_Tool] = []
    for at, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("name") == _PLACEHOLDER:
            continue
        kind = _DATED.sub("", str(tool.get("type") or "custom"))
        name = str(tool.get("name") or kind)
        if kind == "custom":
            functions[name] = _function(tool, name, target)
        elif kind in _CLIENT_TOOLS:
            description, schema = _CLIENT_TOOLS[kind]
            written = {"description": description, "input_schema": {"type": "object", **schema}}
            functions[name] = _function({**tool, **written}, name, target)
        elif kind in target.server_tools:
            served.append(tool)
        elif not kind.startswith("tool_search_tool"):  # with which no tool is deferred
            losses.note(f"tools[{at}]", f"{name} left out: {target.title} does not run it")
            missing.append(name)
    if missing and not functions and not served:
        raise InvalidRequestError(f"tools: {target.title} does not run {', '.join(missing)}")
    return list(functions.values()), served


def _function(tool: Mapping[str, Any], name: str, target: Target) -> _Tool:
    schema = tool.get("input_schema")
    made: _Tool = {
        "name": name,
        "description": str(tool.get("description") or ""),
        "input_schema": schema if isinstance(schema, dict) else {"type": "object"},
    }
    if tool.get("strict") is True:
        made["strict"] = True
    if target.cache_marks and isinstance(tool.get("cache_control"), dict):
        made["cache_control"] = tool["cache_control"]
    return made
