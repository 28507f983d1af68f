"""The words in which Chat Completions answer, whole or in chunks.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llmroute.wire.envelope import MALFORMED

__all__ = [
    "THOUGHT",
    "answer_id",
    "call_of",
    "dicts_in",
    "finish_reason",
    "free_text",
    "mapping_in",
    "notes_of",
    "refusal_of",
    "text_in",
    "told_usage",
]

_Block = dict[str, Any]

THOUGHT: Final = ("thinking", "redacted_thinking")
"""The blocks that a client has to send back as they are."""

_REASONS: Final = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    # Not the end, as far as the model is concerned; OpenAI has no other word for it.
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode


def finish_reason(stop_reason: Any) -> str:
    """Return why an answer is over, in OpenAI's words."""
    return _REASONS.get(text_in(stop_reason), "stop")


def told_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Count as OpenAI does: `prompt_tokens` include what was read from a cache or written to it."""
    read = _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    prompt = _count(usage, "input_tokens") + read + written
    output = _count(usage, "output_tokens")
    thought = _count(mapping_in(usage.get("output_tokens_details")), "thinking_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def answer_id(given: Any) -> str:
    """Return an answer's id, as OpenAI's look."""
    return f"chatcmpl-{text_in(given).removeprefix('msg_')}"


def call_of(block: Mapping[str, Any], custom: frozenset[str]) -> dict[str, Any]:
    """Return a call; broken input is a text already, and stays as it is."""
    name, given = text_in(block.get("name")), block.get("input")
    if name in custom:
        text = given if isinstance(given, str) else free_text(given)
        named = {"name": name, "input": text}
        return {"id": block.get("id"), "type": "custom", "custom": named}
    written = given if isinstance(given, str) else _encode({} if given is None else given).decode()
    function = {"name": name, "arguments": written}
    return {"id": block.get("id"), "type": "function", "function": function}


def free_text(given: Any) -> str:
    """Return what a call of a custom tool says: the one string in its input."""
    text = given if isinstance(given, str) else ""
    if isinstance(given, str):
        try:
            given = _decode(given) if given.strip() else {}
        except MALFORMED:
            return text
    said = mapping_in(given).get("input")
    return said if isinstance(said, str) else text


def notes_of(citations: list[_Block], start: int, end: int) -> list[_Block]:
    """Return what cites a page of the web; other sources have no address."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": start,
                "end_index": end,
                "title": text_in(each.get("title")),
                "url": each["url"],
            },
        }
        for each in citations
        if isinstance(each.get("url"), str)
    ]


def refusal_of(details: Any) -> str | None:
    """Return in what words a model refuses, if it does."""
    told = mapping_in(details).get("explanation")
    return told if isinstance(told, str) and told else None


def text_in(value: Any) -> str:
    """Return a text that may be anything."""
    return value if isinstance(value, str) else ""


def mapping_in(value: Any) -> Mapping[str, Any]:
    """Return an object that may be anything."""
    return value if isinstance(value, Mapping) else {}


def dicts_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list that may be anything."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
