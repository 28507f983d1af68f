"""A message as the server-sent events Anthropic would stream it in.

The order and the members are those of https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["frame", "frames", "split"]

_PING = {"type": "ping"}

# Told once, when the answer begins; the counts are told again when it ends.
_AT_START_ONLY = frozenset({"cache_creation", "service_tier", "inference_geo", "speed"})

_WITH_INPUT = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


def frame(event: Mapping[str, Any]) -> bytes:
    """Encode one event as Anthropic words it, the blank line included."""
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), msgspec.json.encode(event))


def frames(message: Mapping[str, Any], deltas: int) -> Iterator[bytes]:
    """Encode a complete message, each block's text, thinking or input in up to `deltas` parts."""
    usage = message["usage"]
    begun: dict[str, Any] = {"stop_reason": None, "stop_sequence": None, "content": []}
    yield frame(
        {
            "type": "message_start",
            "message": {
                **message,
                **begun,
                "usage": {**usage, "output_tokens": min(1, usage["output_tokens"])},
            },
        }
    )
    if not message["content"]:
        yield frame(_PING)
    for index, block in enumerate(message["content"]):
        start, changes = _taken_apart(block, deltas)
        yield frame({"type": "content_block_start", "index": index, "content_block": start})
        if index == 0:
            yield frame(_PING)
        for delta in changes:
            yield frame({"type": "content_block_delta", "index": index, "delta": delta})
        yield frame({"type": "content_block_stop", "index": index})
    end = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    if message.get("stop_details") is not None:
        end["stop_details"] = message["stop_details"]
    totals = {name: value for name, value in usage.items() if name not in _AT_START_ONLY}
    yield frame({"type": "message_delta", "delta": end, "usage": totals})
    yield frame({"type": "message_stop"})


def split(stream: bytes) -> tuple[bytes, ...]:
    """Cut a stream after each blank line; what follows the last one is a piece of its own."""
    pieces = stream.split(b"\n\n")
    whole = [piece + b"\n\n" for piece in pieces[:-1]]
    return (*whole, pieces[-1]) if pieces[-1] else tuple(whole)


def _taken_apart(
    block: Mapping[str, Any], deltas: int
) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """Return a block as it is when it starts, and the deltas that complete it."""
    kind = block["type"]
    if kind == "text":
        citations = block.get("citations") or []
        return {**block, "text": "", **({"citations": []} if citations else {})}, [
            *({"type": "citations_delta", "citation": citation} for citation in citations),
            *({"type": "text_delta", "text": part} for part in _parts(block["text"], deltas)),
        ]
    if kind == "thinking":
        return {**block, "thinking": "", "signature": ""}, [
            *(
                {"type": "thinking_delta", "thinking": part}
                for part in _parts(block["thinking"], deltas)
            ),
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if kind in _WITH_INPUT:
        encoded = msgspec.json.encode(block["input"]).decode() if block["input"] else ""
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": part}
            for part in ("", *_parts(encoded, deltas))
        ]
    return block, []


def _parts(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]
