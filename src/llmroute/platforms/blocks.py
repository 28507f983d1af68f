"""Blocks of a history that only its own platform can read, and the words that stand for them."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["as_text", "tool_of"]

# Blocks, and how the type of the tool begins that makes them.
_ANSWERS = {
    "web_search_tool_result": "web_search_",
    "web_fetch_tool_result": "web_fetch_",
    "code_execution_tool_result": "code_execution_",
    "bash_code_execution_tool_result": "code_execution_",
    "text_editor_code_execution_tool_result": "code_execution_",
    "container_upload": "code_execution_",
    "tool_search_tool_result": "tool_search_tool_",
    "advisor_tool_result": "advisor_",
    "mcp_tool_use": "mcp_toolset",
    "mcp_tool_result": "mcp_toolset",
    "mcp_tool_listing": "mcp_toolset",
}
_LEFT_OUT = frozenset({"container_upload", "mcp_tool_listing", "fallback", "thinking"})


def tool_of(kind: str, name: str) -> str:
    """Return how the type of the tool begins from which a block is; empty, if it is from none."""
    if kind != "server_tool_use":
        return _ANSWERS.get(kind, "")
    if name.startswith("tool_search_tool"):
        return "tool_search_tool_"
    return "code_execution_" if name.endswith("code_execution") else f"{name}_"


def as_text(kind: str, block: dict[str, Any]) -> str:
    """Say in words what a block says; empty, if that is nothing a model needs."""
    if kind in _LEFT_OUT or kind == "redacted_thinking":
        return ""
    if kind in {"image", "document"}:
        return _of_a_file(kind, block)
    if kind == "tool_reference":
        return f"Tool {block.get('tool_name')} loaded."
    if kind in {"server_tool_use", "mcp_tool_use"}:
        return f"[{block.get('name')}: {_json(block.get('input'))}]"
    content = block.get("content")
    if kind == "compaction":
        return content if isinstance(content, str) else ""
    return f"[{kind.removesuffix('_tool_result')}: {_found(content)}]"


def _of_a_file(kind: str, block: dict[str, Any]) -> str:
    match block.get("source"):
        case {"type": "text", "data": str(text)}:
            return text
        case _:
            return f"[{block.get('title') or kind} left out]"


def _found(content: Any) -> str:
    """Return the readable part of a server tool's answer."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "; ".join(filter(None, map(_found, content)))
    if not isinstance(content, dict):
        return ""
    if "url" in content and "title" in content:
        return f"{content['title']} {content['url']}"
    if isinstance(content.get("text"), str):
        return str(content["text"])
    shown = {k: v for k, v in content.items() if k != "type" and not k.startswith("encrypted")}
    return _json(shown)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
