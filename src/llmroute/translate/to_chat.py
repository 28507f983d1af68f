"""A Messages answer, as the Chat Completions one that a client asked for.

https://platform.openai.com/docs/api-reference/chat/object.  Beside what OpenAI has stand
`reasoning_content`, as DeepSeek and others have it, and `thinking_blocks`, as gateways have them:
what a client has to send back if the model is to go on with its thoughts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmroute.translate.to_chat_words import (
    THOUGHT,
    answer_id,
    call_of,
    dicts_in,
    finish_reason,
    mapping_in,
    notes_of,
    refusal_of,
    text_in,
    told_usage,
)

__all__ = ["chat_completion"]

_TIERS: Final = {"standard": "default", "priority": "priority", "flex": "flex"}


def chat_completion(
    message: Mapping[str, Any], created: int, custom: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return a whole `chat.completion`.

    Args:
        message: The answer of the Messages API.
        created: Seconds since 1970.
        custom: Names of the tools that take free text.
    """
    said: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    texts: list[str] = []
    notes: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[dict[str, Any]] = []
    length = 0
    for block in dicts_in(message.get("content")):
        kind = block.get("type")
        if kind == "text":
            text = text_in(block.get("text"))
            notes += notes_of(dicts_in(block.get("citations")), length, length + len(text))
            length += len(text)
            texts.append(text)
        elif kind == "tool_use":
            calls.append(call_of(block, custom))
        elif kind in THOUGHT:
            thoughts.append(block)
    if texts or not calls:
        said["content"] = "".join(texts)
    if thoughts:
        if told := "".join(text_in(each.get("thinking")) for each in thoughts):
            said["reasoning_content"] = told
        said["thinking_blocks"] = thoughts
    if calls:
        said["tool_calls"] = calls
    said["annotations"] = notes
    said["refusal"] = refusal_of(message.get("stop_details"))
    usage = mapping_in(message.get("usage"))
    reason = finish_reason(message.get("stop_reason"))
    return {
        "id": answer_id(message.get("id")),
        "object": "chat.completion",
        "created": created,
        "model": message.get("model"),
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": reason}],
        "usage": told_usage(usage),
        "service_tier": _TIERS.get(text_in(usage.get("service_tier"))),
        "system_fingerprint": None,
    }
