"""A message as a Chat Completions server would answer it, whole and in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["as_chunk", "chunks", "completion"]

_DONE = b"data: [DONE]\n\n"
_REASONS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
_REASONS |= {"refusal": "content_filter", "stop_sequence": "stop"}
_CREATED = 1_700_000_000


def as_chunk(value: Any) -> bytes:
    """Encode one event of the stream."""
    return b"data: %s\n\n" % msgspec.json.encode(value)


def completion(message: Mapping[str, Any], reasoning: str) -> dict[str, Any]:
    """Return the whole answer; `reasoning` is the member its thinking goes into."""
    content = _joined(message, "text", "text")
    said: dict[str, Any] = {"role": "assistant", "content": content or None, "refusal": None}
    if thought := _joined(message, "thinking", "thinking"):
        said[reasoning] = thought
    if calls := [_call(block) for block in _calls(message)]:
        said["tool_calls"] = calls
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": _reason(message)}
    head = _head(message, "chat.completion")
    return {**head, "choices": [choice], "usage": _usage(message)}


def chunks(
    message: Mapping[str, Any], deltas: int, reasoning: str, *, with_usage: bool
) -> Iterator[bytes]:
    """Yield the events of the stream, each text and each call's arguments in several."""
    head = _head(message, "chat.completion.chunk")

    def chunk(delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        beside = {"usage": None} if with_usage else {}
        return as_chunk({**head, "choices": [choice], **beside})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in _parts(_joined(message, "thinking", "thinking"), deltas):
        yield chunk({reasoning: piece})
    for piece in _parts(_joined(message, "text", "text"), deltas):
        yield chunk({"content": piece})
    for index, block in enumerate(_calls(message)):
        call = _call(block)
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": index, **call}]})
        for piece in _parts(arguments, deltas):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _reason(message))
    if with_usage:
        yield as_chunk({**head, "choices": [], "usage": _usage(message)})
    yield _DONE


def _head(message: Mapping[str, Any], kind: str) -> dict[str, Any]:
    name = str(message["id"]).removeprefix("msg_")
    return {
        "id": f"chatcmpl-{name}",
        "object": kind,
        "created": _CREATED,
        "model": message["model"],
    }


def _usage(message: Mapping[str, Any]) -> dict[str, Any]:
    usage = message["usage"]
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    prompt = usage["input_tokens"] + read + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage["output_tokens"],
        "total_tokens": prompt + usage["output_tokens"],
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }


def _reason(message: Mapping[str, Any]) -> str:
    return _REASONS.get(str(message["stop_reason"]), "stop")


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = msgspec.json.encode(block["input"]).decode()
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def _calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [block for block in message["content"] if block["type"] == "tool_use"]


def _joined(message: Mapping[str, Any], kind: str, member: str) -> str:
    return "".join(block[member] for block in message["content"] if block["type"] == kind)


def _parts(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]
