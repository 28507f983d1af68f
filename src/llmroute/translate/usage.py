"""What an answer used, from each vendor's way of counting to Anthropic's.

Anthropic's `input_tokens` leave out what was read from a cache or written to one; its
`output_tokens` are all that was generated, reasoning included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["chat_usage", "converse_usage", "gemini_usage", "responses_usage", "tier_of"]

_MOST = 2**53


# What a vendor calls a way of serving that has a price of its own; the others are the usual one.
_TIERS = {
    "fast": "fast",
    "flex": "flex",
    "priority": "priority",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
}


def tier_of(told: Any) -> dict[str, str]:
    """Return the member of `usage` that says how an answer was served; none for the usual way."""
    tier = _TIERS.get(told) if isinstance(told, str) else None
    return {"service_tier": tier} if tier else {}


def chat_usage(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read the `usage` of Chat Completions, with the spellings of vendors that offer the format.

    https://platform.openai.com/docs/api-reference/chat/object.  DeepSeek has
    `prompt_cache_hit_tokens`, Moonshot and others `cached_tokens` beside the totals; xAI leaves the
    reasoning out of `completion_tokens`, and only its total tells.
    """
    prompt = _within(data, "prompt_tokens_details")
    given, output = _count(data, "prompt_tokens"), _count(data, "completion_tokens")
    thought = _count(_within(data, "completion_tokens_details"), "reasoning_tokens") or _count(
        data, "reasoning_tokens"
    )
    if thought and _count(data, "total_tokens") == given + output + thought:
        output += thought
    return _usage(
        prompt=given,
        read=_count(prompt, "cached_tokens")
        or _count(data, "prompt_cache_hit_tokens")
        or _count(data, "cached_tokens"),
        written=_count(prompt, "cache_write_tokens"),
        output=output,
        thought=thought,
    )


def responses_usage(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read the `usage` of OpenAI Responses.

    https://platform.openai.com/docs/api-reference/responses/object
    """
    prompt = _within(data, "input_tokens_details")
    return _usage(
        prompt=_count(data, "input_tokens"),
        read=_count(prompt, "cached_tokens"),
        written=_count(prompt, "cache_write_tokens"),
        output=_count(data, "output_tokens"),
        thought=_count(_within(data, "output_tokens_details"), "reasoning_tokens"),
    )


def gemini_usage(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read Gemini's `usageMetadata`, whose candidates leave the thoughts out.

    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    thought = _count(data, "thoughtsTokenCount")
    usage = _usage(
        prompt=_count(data, "promptTokenCount") + _count(data, "toolUsePromptTokenCount"),
        read=_count(data, "cachedContentTokenCount"),
        written=0,
        output=_count(data, "candidatesTokenCount") + thought,
        thought=thought,
    )
    # The one is Gemini's own, the other that of Google Cloud.
    return usage | tier_of(data.get("serviceTier") or data.get("trafficType"))


def converse_usage(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read Converse's `usage`, whose `inputTokens` leave the cache out.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    read = _count(data, "cacheReadInputTokens")
    written = _count(data, "cacheWriteInputTokens")
    usage = _usage(
        prompt=_count(data, "inputTokens") + read + written,
        read=read,
        written=written,
        output=_count(data, "outputTokens"),
        thought=0,
    )
    details = data.get("cacheDetails")
    by_ttl = {
        str(each.get("ttl")): _count(each, "inputTokens")
        for each in (details if isinstance(details, list) else [])
        if isinstance(each, Mapping)
    }
    if by_ttl:
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": by_ttl.get("5m", 0),
            "ephemeral_1h_input_tokens": by_ttl.get("1h", 0),
        }
    return usage


def _usage(*, prompt: int, read: int, written: int, output: int, thought: int) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": max(prompt - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": output,
    }
    if thought:
        usage["output_tokens_details"] = {"thinking_tokens": thought}
    return usage


def _within(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= _MOST else 0
