"""One content block of a Messages answer after the other, as items of a response.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from llmroute.translate.from_responses_items import packed
from llmroute.translate.responses_calls import Called, InputText, call_item
from llmroute.translate.responses_output import Output
from llmroute.translate.to_chat_words import dicts_in
from llmroute.wire.envelope import MALFORMED

__all__ = [
    "Block",
    "CustomCall",
    "FunctionCall",
    "HostedBlock",
    "OtherCall",
    "Search",
    "Text",
    "Thinking",
    "reasoning",
]

_Block = Mapping[str, Any]


class Block(Protocol):
    """Writes what becomes of one content block."""

    def open(self) -> bytes:
        """Return the events with which it begins."""

    def delta(self, delta: Mapping[str, Any]) -> bytes:
        """Return the events for a piece of it."""

    def stop(self) -> bytes:
        """Return the events with which it ends."""


def reasoning(out: Output, blocks: list[dict[str, Any]]) -> bytes:
    """Write a reasoning item that tells nothing, and brings `blocks` back."""
    item = {"id": f"rs_{out.next_key()}", "type": "reasoning", "summary": []}
    return out.add({**item, "encrypted_content": packed(blocks)}) + out.close()


class Text:
    """Text: a part of a message, which stays open from one text to the next."""

    def __init__(self, out: Output, block: _Block) -> None:
        self._out = out
        self._given = str(block.get("text") or "")
        self._pieces: list[str] = []
        self._citations: list[Any] = [*dicts_in(block.get("citations"))]

    def open(self) -> bytes:
        """Add a part, and the message if there is none."""
        out = self._out
        written = b""
        if out.kind != "message":
            said = {"type": "message", "role": "assistant", "status": "in_progress"}
            written = out.add({"id": f"msg_{out.next_key()}", **said, "content": []})
        self._at = len(out.content)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        out.content.append(part)
        written += out.event("response.content_part.added", **self._here(), part=part)
        return written + self._say(self._given)

    def _here(self) -> dict[str, Any]:
        return self._out.here(content_index=self._at)

    def delta(self, delta: Mapping[str, Any]) -> bytes:
        """Write more of the text; what it cites is told at its end."""
        if delta.get("type") == "citations_delta":
            self._citations.append(delta.get("citation"))
        return self._say(str(delta.get("text") or ""))

    def _say(self, piece: str) -> bytes:
        if not piece:
            return b""
        self._pieces.append(piece)
        here = self._here()
        return self._out.event("response.output_text.delta", **here, delta=piece, logprobs=[])

    def stop(self) -> bytes:
        """Complete the part."""
        out, here = self._out, self._here()
        part = out.content[self._at]
        part["text"] = said = "".join(self._pieces)
        written = b""
        for citation in self._citations:
            url = citation.get("url") if isinstance(citation, dict) else None
            if not url:
                continue
            # Anthropic's are about the whole of a text.
            of = {"start_index": 0, "end_index": len(said)}
            note = {"type": "url_citation", "url": url, "title": citation.get("title") or url, **of}
            where = {**here, "annotation_index": len(part["annotations"])}
            part["annotations"].append(note)
            written += out.event("response.output_text.annotation.added", **where, annotation=note)
        written += out.event("response.output_text.done", **here, text=said, logprobs=[])
        return written + out.event("response.content_part.done", **here, part=part)


class Thinking:
    """Thinking: a reasoning item, whose `encrypted_content` is the block as it came."""

    def __init__(self, out: Output, block: _Block) -> None:
        self._out = out
        self._block = dict(block)
        self._pieces: list[str] = []

    def open(self) -> bytes:
        """Add the item."""
        out = self._out
        item = {"id": f"rs_{out.next_key()}", "type": "reasoning", "summary": []}
        return out.add(item) + self._say(str(self._block.get("thinking") or ""))

    def delta(self, delta: Mapping[str, Any]) -> bytes:
        """Write more of what it tells; the signature is for its end."""
        if delta.get("type") == "signature_delta":
            self._block["signature"] = delta.get("signature")
        return self._say(str(delta.get("thinking") or ""))

    def _say(self, piece: str) -> bytes:
        if not piece:
            return b""
        out, here = self._out, self._out.here(summary_index=0)
        written = b""
        if not self._pieces:
            part = {"type": "summary_text", "text": ""}
            written = out.event("response.reasoning_summary_part.added", **here, part=part)
        self._pieces.append(piece)
        return written + out.event("response.reasoning_summary_text.delta", **here, delta=piece)

    def stop(self) -> bytes:
        """Complete the item."""
        out, said = self._out, "".join(self._pieces)
        item: dict[str, Any] = out.item or {}
        written = b""
        if self._block.get("type") == "thinking":
            self._block["thinking"] = said
        if said:
            here = out.here(summary_index=0)
            part = {"type": "summary_text", "text": said}
            item["summary"] = [part]
            written = out.event("response.reasoning_summary_text.done", **here, text=said)
            written += out.event("response.reasoning_summary_part.done", **here, part=part)
        item["encrypted_content"] = packed([self._block])
        return written + out.close()


class FunctionCall:
    """A call of a function."""

    def __init__(self, out: Output, called: Called, block: _Block) -> None:
        self._out = out
        self._called = called
        self._call_id = str(block.get("id"))
        # A streamed one begins with none.
        self._given = _json(block.get("input"))
        self._pieces: list[str] = []
        self._key = ""

    def open(self) -> bytes:
        """Add the item."""
        self._key = self._out.next_key()
        return self._out.add({**self._item(""), "status": "in_progress"}) + self._argue(self._given)

    def _item(self, arguments: str) -> dict[str, Any]:
        return call_item(self._called, self._key, self._call_id, arguments)

    def delta(self, delta: Mapping[str, Any]) -> bytes:
        """Write more of its arguments."""
        return self._argue(str(delta.get("partial_json") or ""))

    def _argue(self, piece: str) -> bytes:
        if not piece:
            return b""
        self._pieces.append(piece)
        here = self._out.here()
        return self._out.event("response.function_call_arguments.delta", **here, delta=piece)

    def stop(self) -> bytes:
        """Complete the item."""
        written = b"" if self._pieces else self._argue("{}")
        out, here = self._out, self._out.here()
        out.item = item = self._item("".join(self._pieces))
        done = {"name": item["name"], "arguments": item["arguments"]}
        written += out.event("response.function_call_arguments.done", **here, **done)
        return written + out.close()


class CustomCall(FunctionCall):
    """A call of a tool that takes text, which the model has put into JSON."""

    def __init__(self, out: Output, called: Called, block: _Block) -> None:
        super().__init__(out, called, block)
        self._text = InputText()
        self._length = 0

    def _argue(self, piece: str) -> bytes:
        self._pieces.append(piece)
        return self._say(self._text.feed(piece))

    def _say(self, text: str) -> bytes:
        if not text:
            return b""
        self._length += len(text)
        here = self._out.here()
        return self._out.event("response.custom_tool_call_input.delta", **here, delta=text)

    def stop(self) -> bytes:
        """Complete the item."""
        out, here = self._out, self._out.here()
        item = self._item("".join(self._pieces) or "{}")
        said = item["input"]
        written = self._say(said[self._length :])
        out.item = item
        written += out.event("response.custom_tool_call_input.done", **here, input=said)
        return written + out.close()


class OtherCall(FunctionCall):
    """A call of a tool whose item says something only as a whole."""

    def open(self) -> bytes:
        """Say nothing yet."""
        return self._argue(self._given)

    def _argue(self, piece: str) -> bytes:
        self._pieces.append(piece)
        return b""

    def stop(self) -> bytes:
        """Write the item."""
        self._key = self._out.next_key()
        item = self._item("".join(self._pieces) or "{}")
        return self._out.add({**item, "status": "in_progress"}) + self._out.close()


class HostedBlock:
    """A block of a tool that the upstream runs itself; it is kept, and told no more of."""

    def __init__(self, out: Output, block: _Block, held: list[dict[str, Any]]) -> None:
        self._out = out
        self._block = dict(block)
        self._pieces: list[str] = []
        self._held = held

    def open(self) -> bytes:
        """Say nothing; a search goes on until its result has come."""
        return b"" if self._block.get("type") == "web_search_tool_result" else self._out.close()

    def delta(self, delta: Mapping[str, Any]) -> bytes:
        """Take more of the input."""
        self._pieces.append(str(delta.get("partial_json") or ""))
        return b""

    def stop(self) -> bytes:
        """Keep the block; with the result of a search, that one is complete."""
        if said := "".join(self._pieces):
            self._block["input"] = _object(said)
        self._held.append(self._block)
        item = self._out.item
        if item is None or self._out.kind != "web_search_call":
            return b""
        if self._block["type"] != "web_search_tool_result":
            return b""
        found = self._block.get("content")
        # An error is no list.
        results = found if isinstance(found, list) else []
        item["action"]["sources"] = [
            {"type": "url", "url": each["url"]}
            for each in results
            if isinstance(each, dict) and each.get("url")
        ]
        written = self._out.event("response.web_search_call.completed", **self._out.here())
        return written + self._out.close()


class Search(HostedBlock):
    """A search of the web: an item of its own."""

    def open(self) -> bytes:
        """Add the item."""
        out = self._out
        item = {"id": f"ws_{out.next_key()}", "type": "web_search_call", "status": "in_progress"}
        written = out.add({**item, "action": {"type": "search", "query": ""}})
        for stage in ("in_progress", "searching"):
            written += out.event(f"response.web_search_call.{stage}", **out.here())
        return written

    def stop(self) -> bytes:
        """Say what is searched for; the item is open until the result has come."""
        written = super().stop()
        given = self._block.get("input")
        if self._out.item is not None and isinstance(given, dict):
            self._out.item["action"]["query"] = str(given.get("query") or "")
        return written


def _json(given: Any) -> str:
    return msgspec.json.encode(given).decode() if given else ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except MALFORMED:
        return {}
    return value if isinstance(value, dict) else {}
