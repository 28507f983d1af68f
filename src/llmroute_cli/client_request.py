"""A request of the shape that Claude Code's have, and as small as one can be.

What Claude Code 2.1.330 sends by default, model by model, as it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmroute.platforms.generations import Generation

__all__ = ["client_request"]

# It sets the effort anew by a system message, and what that needs, for these.
_TURN_BY_TURN = frozenset(
    {
        *("claude-fable-5-2", "claude-fable-5-1", "claude-mythos-5-2", "claude-mythos-5-1"),
        *("claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-5-5"),
    }
)
_CHANGES_TOOLS = _TURN_BY_TURN | {"claude-opus-4-8", ""}
# It sends system messages to this one, which may not take them.
_CONTESTED = "claude-sonnet-5"

_LEAST_BUDGET = 1024
_EPHEMERAL = {"type": "ephemeral"}
_SCHEMA = {"type": "object", "properties": {}}


def client_request(generation: Generation) -> dict[str, Any]:
    """Return what stands beside `model` in such a request to a model, its `headers` included.

    One token is asked for, and where the model thinks by a budget, the least budget besides.
    """
    request: dict[str, Any] = {
        "headers": {"anthropic-beta": ",".join(_betas(generation))},
        "max_tokens": 1,
        "messages": list(_messages(generation)),
        "metadata": {"user_id": "llmroute-check"},
        "system": [{"type": "text", "text": "Answer in one word.", "cache_control": _EPHEMERAL}],
        "tools": list(_tools(generation)),
    }
    if (thinking := _thinking(generation)) is not None:
        request["thinking"] = thinking
        request["max_tokens"] += thinking.get("budget_tokens", 0)
        edit = {"type": "clear_thinking_20251015", "keep": "all"}
        request["context_management"] = {"edits": [edit]}
    if generation.efforts:
        request["output_config"] = {"effort": "low"}
    return request


def _betas(generation: Generation) -> Iterator[str]:
    yield "claude-code-20250219"
    if generation.thinking != frozenset():
        yield "interleaved-thinking-2025-05-14"
        yield "context-management-2025-06-27"
    if generation.name in _TURN_BY_TURN:
        yield "per-turn-control-2026-07-01"
    if generation.name in _CHANGES_TOOLS:
        yield "mid-conversation-tool-changes-2026-07-01"
    if generation.thinking != frozenset():
        yield "thinking-token-count-2026-05-13"
    if generation.tool_search:
        yield "advanced-tool-use-2025-11-20"
    if generation.efforts:
        yield "effort-2025-11-24"


def _messages(generation: Generation) -> Iterator[dict[str, Any]]:
    yield {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    if generation.system_messages or generation.name in {"", _CONTESTED}:
        block = {"type": "text", "text": "Say hi.", "cache_control": _EPHEMERAL}
        message: dict[str, Any] = {"role": "system", "content": [block]}
        if generation.name in _TURN_BY_TURN:
            message["output_config"] = {"effort": "low"}
        yield message


def _tools(generation: Generation) -> Iterator[dict[str, Any]]:
    yield {"name": "ToolSearch", "description": "Finds a tool.", "input_schema": _SCHEMA}
    if generation.tool_search:
        yield {
            "name": "DeferredToolPlaceholder",
            "description": "Does nothing.",
            "input_schema": _SCHEMA,
            "defer_loading": True,
        }


def _thinking(generation: Generation) -> dict[str, Any] | None:
    taken = generation.thinking
    if taken is None or "adaptive" in taken:
        return {"type": "adaptive", "display": "omitted"}
    if "enabled" in taken:
        return {"type": "enabled", "budget_tokens": _LEAST_BUDGET, "display": "omitted"}
    return None
