"""A message as a response of OpenAI's, whole and as the events it would stream.

The order and the members are those of
https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["events", "response"]

_REASONS = {"max_tokens": "max_output_tokens"}


def response(
    message: Mapping[str, Any], model: str, number: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a response that says what a Messages answer would, and its reasoning by id."""
    output: list[dict[str, Any]] = []
    reasoning = {}
    item: dict[str, Any]
    for at, block in enumerate(message.get("content", ())):
        own = f"{number:012d}{at:02d}"
        match block["type"]:
            case "thinking":
                encrypted = f"gAAAA{block['signature']}{own}"
                reasoning[f"rs_{own}"] = encrypted
                said = block["thinking"]
                summary = [{"type": "summary_text", "text": said}] if said else []
                item = {"summary": summary, "encrypted_content": encrypted, "type": "reasoning"}
                output.append({"id": f"rs_{own}", **item})
            case "text":
                part = _said(block["text"], message.get("stop_reason"))
                item = {"role": "assistant", "status": "completed", "content": [part]}
                output.append({"id": f"msg_{own}", "type": "message", **item})
            case "server_tool_use":
                sources = [
                    {"type": "url", "url": found["url"]}
                    for other in message["content"]
                    if other.get("tool_use_id") == block["id"]
                    for found in other["content"]
                ]
                action = {"type": "search", "query": block["input"].get("query", "")}
                item = {"status": "completed", "action": {**action, "sources": sources}}
                output.append({"id": f"ws_{own}", "type": "web_search_call", **item})
            case "tool_use":
                output.append(
                    {
                        "id": f"fc_{own}",
                        "type": "function_call",
                        "call_id": block.get("id") or f"call_{own}",
                        "name": block["name"],
                        "arguments": msgspec.json.encode(block["input"]).decode(),
                        "status": "completed",
                    }
                )
    reason = _REASONS.get(str(message.get("stop_reason")))
    made = {
        "id": f"resp_{number:012d}",
        "object": "response",
        "created_at": 0,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": model,
        "output": output,
        "usage": _usage(message.get("usage", {})),
    }
    return made, reasoning


def _said(text: str, stop_reason: str | None) -> dict[str, Any]:
    if stop_reason == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": []}


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    read = usage.get("cache_read_input_tokens", 0)
    written = usage.get("cache_creation_input_tokens", 0)
    asked = usage.get("input_tokens", 12) + read + written
    said = usage.get("output_tokens", 6)
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }


def events(made: Mapping[str, Any], deltas: int) -> Iterator[bytes]:
    """Encode a response as events, each text and each call's arguments in up to `deltas` parts."""
    begun = {**made, "status": "in_progress", "output": [], "usage": None}
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for at, item in enumerate(made["output"]):
        found += _of_item(at, item, deltas)
    end = "incomplete" if made["status"] == "incomplete" else "completed"
    found.append({"type": f"response.{end}", "response": made})
    for number, event in enumerate(found):
        data = msgspec.json.encode({**event, "sequence_number": number})
        yield b"event: %s\ndata: %s\n\n" % (event["type"].encode(), data)


def _of_item(at: int, item: Mapping[str, Any], deltas: int) -> Iterator[dict[str, Any]]:
    place = {"output_index": at, "item_id": item["id"]}
    started: dict[str, Any] = {**item, "status": "in_progress"}
    match item["type"]:
        case "reasoning":
            # The real one's copy here may be incomplete, too.
            begun = {**item, "summary": [], "encrypted_content": "incomplete"}
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
            for index, part in enumerate(item["summary"]):
                here = {**place, "summary_index": index}
                kind = "response.reasoning_summary"
                yield {"type": f"{kind}_part.added", **here, "part": {**part, "text": ""}}
                for piece in _pieces(part["text"], deltas):
                    yield {"type": f"{kind}_text.delta", **here, "delta": piece}
                yield {"type": f"{kind}_text.done", **here, "text": part["text"]}
                yield {"type": f"{kind}_part.done", **here, "part": part}
        case "message":
            started["content"] = []
            yield {"type": "response.output_item.added", "output_index": at, "item": started}
            part, here = item["content"][0], {**place, "content_index": 0}
            name = "refusal" if part["type"] == "refusal" else "text"
            yield {"type": "response.content_part.added", **here, "part": {**part, name: ""}}
            kind = f"response.{part['type']}"
            for piece in _pieces(part[name], deltas):
                yield {"type": f"{kind}.delta", **here, "delta": piece}
            yield {"type": f"{kind}.done", **here, name: part[name]}
            yield {"type": "response.content_part.done", **here, "part": part}
        case "web_search_call":
            begun = {"id": item["id"], "type": item["type"], "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
            for kind in ("in_progress", "searching", "completed"):
                yield {"type": f"response.web_search_call.{kind}", **place}
        case _:
            started["arguments"] = ""
            yield {"type": "response.output_item.added", "output_index": at, "item": started}
            kind = "response.function_call_arguments"
            for piece in _pieces(item["arguments"], deltas):
                yield {"type": f"{kind}.delta", **place, "delta": piece}
            yield {"type": f"{kind}.done", **place, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _pieces(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]
