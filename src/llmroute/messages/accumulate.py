"""Events to message: what a stream has said so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.messages.events import Event
from llmroute.messages.usage import merged
from llmroute.wire.envelope import MALFORMED

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
                self._finish_input(event.index)
            case "message_delta":
                self._finish(event)
            case _:
                pass

    def _extend(self, index: int, delta: Mapping[str, Any]) -> None:
        block = self._blocks[index]
        match delta.get("type"):
            case "text_delta":
                block["text"] = _text(block, "text") + _text(delta, "text")
            case "input_json_delta":
                self._inputs.setdefault(index, []).append(_text(delta, "partial_json"))
            case "thinking_delta":
                block["thinking"] = _text(block, "thinking") + _text(delta, "thinking")
            case "citations_delta":
                known = block.get("citations")
                known = known if isinstance(known, list) else []
                block["citations"] = [*known, delta.get("citation")]
            case _:
                block.update({name: value for name, value in delta.items() if name != "type"})

    def _finish_input(self, index: int) -> None:
        """Decode a tool's input; no text at all leaves it as the block began, `{}` by default.

        Broken JSON is handed on as the text it is.
        """
        text = "".join(self._inputs.pop(index))
        block = self._blocks[index]
        if not text.strip():
            block.setdefault("input", {})
            return
        try:
            block["input"] = msgspec.json.decode(text)
        except MALFORMED:
            block["input"] = text

    def _finish(self, event: Event) -> None:
        self.message.update(event.delta)
        usage = event.data.get("usage")
        if isinstance(usage, dict):
            known = self.message.get("usage")
            self.message["usage"] = merged(known if isinstance(known, dict) else {}, usage)
        for name, value in event.data.items():
            if name not in ("type", "delta", "usage"):
                self.message[name] = value


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""
