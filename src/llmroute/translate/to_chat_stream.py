"""A streamed Messages answer, as the chunks of a Chat Completions one.

https://platform.openai.com/docs/api-reference/chat-streaming.  Reasoning comes as in a whole
answer: `reasoning_content` piece by piece, and each of the `thinking_blocks` when it is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llmroute.messages.usage import merged
from llmroute.translate.to_chat_words import (
    THOUGHT,
    answer_id,
    call_of,
    dicts_in,
    finish_reason,
    free_text,
    mapping_in,
    notes_of,
    refusal_of,
    text_in,
    told_usage,
)
from llmroute.translate.to_openai_error import openai_error_object
from llmroute.wire.envelope import MALFORMED

__all__ = ["ChatWriter"]

_Block = dict[str, Any]

_DONE: Final = b"data: [DONE]\n\n"
_PING: Final = b": ping\n\n"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode


class ChatWriter:
    """Writes the chunks of one stream from a message's events.

    What it does not know, an event, a block, a delta, has no place in a chunk and is left out.
    """

    __slots__ = (
        "_block",
        "_calls",
        "_created",
        "_custom",
        "_head",
        "_input",
        "_is_argued",
        "_length",
        "_notes",
        "_reason",
        "_refusal",
        "_start",
        "_tail",
        "_thoughts",
        "_told",
        "_usage",
        "_with_usage",
    )

    def __init__(
        self, created: int, *, with_usage: bool = False, custom: frozenset[str] = frozenset()
    ) -> None:
        """Prepare.

        Args:
            created: Seconds since 1970.
            with_usage: End with a chunk of the usage, as `stream_options.include_usage` asks for.
            custom: Names of the tools that take free text.
        """
        self._created = created
        self._with_usage = with_usage
        self._custom = custom
        self._head = b""
        self._tail = b',"usage":null}\n\n' if with_usage else b"}\n\n"
        self._usage: dict[str, Any] = {}
        self._block: _Block = {}
        self._input: list[str] | None = None
        self._is_argued = False
        self._calls = -1
        self._thoughts = -1
        self._length = 0
        self._start = 0
        self._told = 0
        self._notes: list[_Block] = []
        self._reason: str | None = None
        self._refusal: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Take the data of one event; return the chunks it becomes, perhaps none."""
        try:
            event = _decode(data)
        except MALFORMED:
            return b""
        return self.write(event) if isinstance(event, dict) else b""

    def write(self, event: Mapping[str, Any]) -> bytes:
        """Do as `feed`, with an event that is decoded."""
        written = b""
        match event.get("type"):
            case "content_block_delta":
                written = self._added(mapping_in(event.get("delta")))
            case "content_block_start":
                # Some servers end all blocks at the end of the message only.
                written = self._closed() + self._opened(mapping_in(event.get("content_block")))
            case "content_block_stop":
                written = self._closed()
            case "message_start":
                written = self._started(mapping_in(event.get("message")))
            case "message_delta":
                self._ending(event)
            case "message_stop":
                written = self._finished()
            case "ping":
                written = _PING
            case "error":
                error = mapping_in(event.get("error"))
                told = openai_error_object(
                    text_in(error.get("type")), text_in(error.get("message"))
                )
                written = b"data: " + _encode(told) + b"\n\n"
        return written

    def _started(self, message: Mapping[str, Any]) -> bytes:
        head = {
            "id": answer_id(message.get("id")),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": message.get("model"),
            "system_fingerprint": None,
        }
        # The same bytes begin every chunk; only what is new is encoded.
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['
        self._usage = dict(mapping_in(message.get("usage")))
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _ending(self, event: Mapping[str, Any]) -> None:
        delta = mapping_in(event.get("delta"))
        if isinstance(reason := delta.get("stop_reason"), str):
            self._reason = reason
        self._refusal = refusal_of(delta.get("stop_details")) or self._refusal
        if isinstance(usage := event.get("usage"), dict):
            self._usage = merged(self._usage, usage)

    def _finished(self) -> bytes:
        written = b""
        if self._notes:
            # All at once: clients put lists together by an index that these have not.
            written += self._chunk({"annotations": self._notes})
        if self._refusal:
            written += self._chunk({"refusal": self._refusal})
        written += self._chunk({}, finish_reason(self._reason))
        if self._with_usage:
            usage = b',"usage":' + _encode(told_usage(self._usage))
            written += self._head + b"]" + usage + b"}\n\n"
        return written + _DONE

    def _opened(self, block: Mapping[str, Any]) -> bytes:
        self._block = dict(block)
        match block.get("type"):
            case "text":
                self._start, self._told = self._length, len(self._notes)
                self._cite(dicts_in(block.get("citations")))
                return self._text(text_in(block.get("text")))
            case "thinking":
                return self._thought(text_in(block.get("thinking")))
            case "tool_use":
                self._calls += 1
                given = block.get("input")
                self._input = None
                if text_in(block.get("name")) in self._custom:
                    self._input, given = [_encode(given).decode() if given else ""], None
                self._is_argued = bool(given)
                call = call_of({**block, "input": given or ""}, self._custom)
                return self._chunk({"tool_calls": [{"index": self._calls, **call}]})
        return b""

    def _added(self, delta: Mapping[str, Any]) -> bytes:
        match delta.get("type"):
            case "text_delta":
                return self._text(text_in(delta.get("text")))
            case "thinking_delta":
                piece = text_in(delta.get("thinking"))
                self._block["thinking"] = text_in(self._block.get("thinking")) + piece
                return self._thought(piece)
            case "signature_delta":
                self._block["signature"] = delta.get("signature")
            case "citations_delta":
                self._cite([dict(mapping_in(delta.get("citation")))])
            case "input_json_delta" if self._block.get("type") == "tool_use":
                return self._argued(text_in(delta.get("partial_json")))
        return b""

    def _argued(self, piece: str) -> bytes:
        if self._input is not None:
            # Free text is a string within the JSON, and told when that is whole.
            self._input.append(piece)
            return b""
        if not piece:
            return b""
        self._is_argued = True
        call = {"index": self._calls, "function": {"arguments": piece}}
        return self._chunk({"tool_calls": [call]})

    def _closed(self) -> bytes:
        block, self._block = self._block, {}
        if block.get("type") in THOUGHT:
            self._thoughts += 1
            return self._chunk({"thinking_blocks": [{"index": self._thoughts, **block}]})
        if block.get("type") != "tool_use":
            return b""
        if self._input is not None:
            written, self._input = "".join(self._input), None
            free = {"input": free_text(written)}
            return self._chunk({"tool_calls": [{"index": self._calls, "custom": free}]})
        # A call of no arguments has none to stream, and clients decode what they got.
        return b"" if self._is_argued else self._argued("{}")

    def _cite(self, citations: list[_Block]) -> None:
        # Where the text ends that it stands behind is known when that is written.
        self._notes += notes_of(citations, self._start, self._length)

    def _text(self, piece: str) -> bytes:
        if not piece:
            return b""
        self._length += len(piece)
        for note in self._notes[self._told :]:
            note["url_citation"]["end_index"] = self._length
        return self._chunk({"content": piece})

    def _thought(self, piece: str) -> bytes:
        return self._chunk({"reasoning_content": piece}) if piece else b""

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        # An upstream that did not say when it begins has begun by now.
        begun = b"" if self._head else self._started({})
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return begun + self._head + _encode(choice) + b"]" + self._tail
