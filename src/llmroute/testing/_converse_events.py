"""Messages answers in Converse's words, streamed and whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from llmroute.wire.eventstream import encode
from llmroute.wire.sse import SSEDecoder

__all__ = ["converse_document", "converse_frames", "stop_reason"]

_REASONS = {"refusal": "content_filtered"}


def stop_reason(given: str) -> str:
    """Return what Converse calls a reason to end."""
    return _REASONS.get(given, given)


def converse_document(members: Mapping[str, Any], message_id: str) -> dict[str, Any]:
    """Return a message's members as Converse answers in one piece."""
    content = [_block(block, f"tooluse_{message_id}{at}") for at, block in _blocks(members)]
    usage = {"input_tokens": 12, "output_tokens": 6, **members.get("usage", {})}
    called = any("toolUse" in block for block in content)
    reason = members.get("stop_reason") or ("tool_use" if called else "end_turn")
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(str(reason)),
        "usage": _usage(usage),
        "metrics": {"latencyMs": 1},
        **_fields(members),
    }


def converse_frames(
    events: Iterable[bytes], described: Callable[[dict[str, Any]], bytes]
) -> Iterable[bytes]:
    """Yield a message's events as Converse streams them; nothing for those it has no like of.

    Args:
        events: Of a Messages stream, encoded.
        described: Frames an error's type and message as an exception.
    """
    usage: dict[str, Any] = {}
    for event in events:
        frames = SSEDecoder().feed(event)
        if len(frames) != 1 or not frames[0].data:
            yield event
            continue
        data = msgspec.json.decode(frames[0].data)
        match data:
            case {"type": "error"}:
                yield described(data["error"])
            case {"type": "message_start"}:
                usage |= data["message"]["usage"]
                yield _frame("messageStart", {"role": "assistant"})
            case {"type": "content_block_start"}:
                yield _start(data["index"], data["content_block"])
            case {"type": "content_block_delta"}:
                yield _delta(data["index"], data["delta"])
            case {"type": "content_block_stop"}:
                yield _frame("contentBlockStop", {"contentBlockIndex": data["index"]})
            case {"type": "message_delta"}:
                usage |= data["usage"]
                reason = stop_reason(data["delta"]["stop_reason"])
                yield _frame("messageStop", {"stopReason": reason, **_fields(data["delta"])})
            case {"type": "message_stop"}:
                yield _frame("metadata", {"usage": _usage(usage), "metrics": {"latencyMs": 1}})
            case _:
                yield b""


def _blocks(members: Mapping[str, Any]) -> Iterable[tuple[int, dict[str, Any]]]:
    return enumerate(members.get("content", ()))


def _block(block: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    match block["type"]:
        case "thinking":
            said = {"text": block["thinking"], "signature": block["signature"]}
            return {"reasoningContent": {"reasoningText": said}}
        case "tool_use":
            use = {"toolUseId": block.get("id") or call_id, "name": block["name"]}
            return {"toolUse": {**use, "input": block["input"]}}
        case _:
            return {"text": block["text"]}


def _start(index: int, block: Mapping[str, Any]) -> bytes:
    """Frame the start of a call; other blocks start with their first delta."""
    if block["type"] != "tool_use":
        return b""
    use = {"toolUseId": block["id"], "name": block["name"]}
    return _frame("contentBlockStart", {"start": {"toolUse": use}, "contentBlockIndex": index})


def _delta(index: int, delta: Mapping[str, Any]) -> bytes:
    match delta["type"]:
        case "thinking_delta":
            made: dict[str, Any] = {"reasoningContent": {"text": delta["thinking"]}}
        case "signature_delta":
            made = {"reasoningContent": {"signature": delta["signature"]}}
        case "input_json_delta":
            made = {"toolUse": {"input": delta["partial_json"]}}
        case _:
            made = {"text": delta["text"]}
    return _frame("contentBlockDelta", {"delta": made, "contentBlockIndex": index})


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    read = usage.get("cache_read_input_tokens", 0)
    written = usage.get("cache_creation_input_tokens", 0)
    given, said = usage["input_tokens"], usage["output_tokens"]
    return {
        "inputTokens": given,
        "outputTokens": said,
        "totalTokens": given + said + read + written,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }


def _fields(members: Mapping[str, Any]) -> dict[str, Any]:
    if members.get("stop_sequence") is None:
        return {}
    return {"additionalModelResponseFields": {"stop_sequence": members["stop_sequence"]}}


def _frame(kind: str, data: Mapping[str, Any]) -> bytes:
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    padding = "abcdefghijklmnopqrstuvwxyz"[: len(kind)]
    return encode(headers, msgspec.json.encode({**data, "p": padding}))
