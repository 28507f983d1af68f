"""Events to message: what a stream has said so far."""

from __future__ import annotations

from typing import Any

import msgspec

from llmroute.messages.events import Event

__all__ = ["Accumulator"]


class Accumulator:
    """Builds the message that a stream of events spells out.

    What it does not know, an event, a block, a delta, is kept as far as it says where it belongs:
    the members of an unknown delta are set on its block.

    Attributes:
        message: The message so far, in the shape of a whole answer; empty before `message_start`.
    """

    __slots__ = ("_blocks", "_inputs", "message")

    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        match event.type:
            case "message_start":
                message = event.data.get("message")
                self.message = dict(message) if isinstance(message, dict) else {}
                self.message["content"] = []
            case "content_block_start":
                block = event.data.get("content_block")
                self._blocks[event.index] = dict(block) if isinstance(block, dict) else {}
                self.message.setdefault("content", []).append(self._blocks[event.index])
            case "content_block_delta" if event.index in self._blocks:
                self._extend(event.index, event.delta)
            case "content_block_stop" if event.index in self._inputs:
                text = "".join(self._inputs.pop(event.index))
                self._blocks[event.index]["input"] = _tool_input(text)
            case "message_delta":
                self._finish(event)
            case _:
                pass

    def _extend(self, index: int, delta: Any) -> None:
        block = self._blocks[index]
        match delta.get("type"):
            case "text_delta":
                block["text"] = block.get("text", "") + delta.get("text", "")
            case "input_json_delta":
                self._inputs.setdefault(index, []).append(delta.get("partial_json", ""))
            case "thinking_delta":
                block["thinking"] = block.get("thinking", "") + delta.get("thinking", "")
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta.get("citation")]
            case _:
                block.update({name: value for name, value in delta.items() if name != "type"})

    def _finish(self, event: Event) -> None:
        self.message.update(event.delta)
        usage = event.data.get("usage")
        if isinstance(usage, dict):
            known = self.message.get("usage") or {}
            self.message["usage"] = {**known, **{k: v for k, v in usage.items() if v or not known.get(k)}}
        for name, value in event.data.items():
            if name not in ("type", "delta", "usage"):
                self.message[name] = value


def _tool_input(text: str) -> Any:
    """Decode a tool's input; no text at all is `{}`, broken JSON is handed on as the text it is."""
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
