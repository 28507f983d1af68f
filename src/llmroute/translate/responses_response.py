"""An answer of OpenAI Responses, streamed or whole, as the Messages API would give it.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.translate.events import EventWriter
from llmroute.translate.names import digest
from llmroute.translate.openai_errors import OpenAIProblem, problem_of
from llmroute.translate.reasoning import seal
from llmroute.translate.responses_request import RESPONSES
from llmroute.translate.responses_wanted import Wanted
from llmroute.translate.stop_sequences import StopSequences
from llmroute.translate.usage import responses_usage, tier_of
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.sse import Frame, SSEDecoder

__all__ = ["ResponsesDecoder", "responses_message"]

_decode = msgspec.json.Decoder().decode
_NOBODYS = seal(RESPONSES, "")


class ResponsesDecoder:
    """Decodes one streamed answer; see `providers.Decoder`."""

    def __init__(self, wanted: Wanted) -> None:
        self._frames = SSEDecoder()
        self._answer = _Answer(wanted)
        self._document: bytearray | None = None
        self._is_begun = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the Messages events they complete."""
        if not self._is_begun and data.strip():
            self._is_begun = True
            # Some servers do not stream, or not their errors.
            if data.lstrip().startswith(b"{"):
                self._document = bytearray()
        if self._document is not None:
            self._document += data
            return b""
        return b"".join(self._event(frame) for frame in self._frames.feed(data))

    def close(self) -> bytes:
        """The upstream's stream has ended; return what is left to say."""
        if self._document is not None:
            written = self._answer.whole(_object(self._document))
        else:
            # The last event need not have its blank line.
            written = self.feed(b"\n\n")
        return written + self._answer.close()

    def _event(self, frame: Frame) -> bytes:
        event = _object(frame.data)
        # Else it is a comment, or the `[DONE]` of servers that send it.
        kind = str(event.get("type") or frame.event.decode("latin-1"))
        return self._answer.take(kind, event) if event else b""


def responses_message(
    response: Mapping[str, Any], wanted: Wanted
) -> dict[str, Any] | OpenAIProblem:
    """Return a whole answer as a message, or what went wrong."""
    if response.get("status") == "failed" or not isinstance(response.get("output"), list):
        nothing = {"message": "the upstream's answer is no response"}
        return problem_of({"error": _mapping(response.get("error")) or nothing})
    answer = _Answer(wanted)
    answer.end(response)
    return answer.message()


class _Item:
    """What has come so far of one item of the output."""

    __slots__ = ("has_input", "has_text", "is_over", "parts")

    def __init__(self) -> None:
        self.has_text = False
        self.has_input = False
        self.is_over = False
        self.parts: set[str] = set()


class _Answer:
    """Turns the events of one response into those of one message."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._made: EventWriter | None = None
        self._items: dict[Any, _Item] = {}
        self._ids: set[str] = set()
        self._stop = StopSequences(wanted.stop_sequences)
        self._refusal: list[str] = []
        self._searches = 0
        self._is_over = False

    def take(self, kind: str, event: Mapping[str, Any]) -> bytes:
        """Take one event; return what is due."""
        if self._is_over:
            return b""
        writer = self._writer(event)
        item = _mapping(event.get("item"))
        written = b""
        match kind.removeprefix("response."):
            case "output_item.added":
                written = writer.start() + self._begun(event, item)
            case "output_text.delta" | "refusal.delta":
                self._item(event).has_text = True
                written = self._text(_text(event.get("delta")), is_refusal="refusal" in kind)
            case "reasoning_summary_text.delta" | "reasoning_text.delta":
                written = self._thought(event)
            case "function_call_arguments.delta":
                written = self._input(event, _text(event.get("delta")))
            case "function_call_arguments.done" if not self._item(event).has_input:
                written = self._input(event, _text(event.get("arguments")))
            case "output_item.done":
                written = self._done(_key(event), item)
            case "completed" | "incomplete":
                written = self.end(_mapping(event.get("response")))
            case "failed":
                written = self._failed(_mapping(event.get("response")))
            case "error":
                written = self._failed(event)
        return written

    def whole(self, response: Mapping[str, Any]) -> bytes:
        """Take a whole response, or the error that stands in its place."""
        if response.get("status") == "failed" or not isinstance(response.get("output"), list):
            return self._failed(response)
        return self.end(response)

    def close(self) -> bytes:
        """The stream is over."""
        return b"" if self._is_over else self._writer({}).close()

    def end(self, response: Mapping[str, Any]) -> bytes:
        """The response is over; return the end of the message, with what had not come before."""
        written = b""
        writer = self._writer({"response": response})
        for at, item in enumerate(map(_mapping, _list(response.get("output")))):
            # Some servers number the items otherwise while they stream, or not at all.
            own = _text(item.get("id"))
            if own not in self._ids:
                written += self._done(own if own in self._items else at, item)
        written += self._text("", is_end=True)
        reason = _mapping(response.get("incomplete_details")).get("reason")
        details = None
        if self._refusal or reason == "content_filter":
            said = "".join(self._refusal) or None
            details = {"type": "refusal", "category": None, "explanation": said}
            ended = "refusal"
        elif response.get("status") == "incomplete" and reason == "max_output_tokens":
            ended = "max_tokens"
        else:
            ended = "end_turn"
        if usage := _mapping(response.get("usage")):
            writer.usage(responses_usage(usage) | tier_of(response.get("service_tier")))
        if self._searches:
            writer.usage({"server_tool_use": {"web_search_requests": self._searches}})
        writer.finish(ended, stop_details=details)
        self._is_over = True
        return written + writer.close()

    def message(self) -> dict[str, Any]:
        """Return the whole message."""
        return self._writer({}).message()

    def _writer(self, event: Mapping[str, Any]) -> EventWriter:
        if self._made is None:
            response = _mapping(event.get("response"))
            own = _text(response.get("id")).removeprefix("resp_")
            self._made = EventWriter(
                self._wanted.model,
                message_id=f"msg_{own or digest(msgspec.json.encode(event))}",
                input_tokens=self._wanted.input_tokens,
                # Of reasoning that breaks off; whoever is sent it next must know whose it was.
                signature=_NOBODYS,
            )
        return self._made

    def _item(self, event: Mapping[str, Any]) -> _Item:
        return self._items.setdefault(_key(event), _Item())

    def _begun(self, event: Mapping[str, Any], item: Mapping[str, Any]) -> bytes:
        if item.get("type") == "function_call" and not self._stop.found:
            return self._tool(_key(event), item)
        return b""

    def _tool(self, key: Any, item: Mapping[str, Any]) -> bytes:
        name = self._wanted.names.back(_text(item.get("name")))
        shown = _text(item.get("call_id")) or _text(item.get("id"))
        return self._text("", is_end=True) + self._writer({}).tool(key, shown, name)

    def _input(self, event: Mapping[str, Any], piece: str) -> bytes:
        item = self._item(event)
        if not piece or self._stop.found or item.is_over:
            return b""
        item.has_input = True
        return self._writer({}).tool_input(_key(event), piece)

    def _text(self, piece: str, *, is_refusal: bool = False, is_end: bool = False) -> bytes:
        """Write text up to the first stop sequence, where the message ends."""
        if self._stop.found:
            return b""
        writer = self._writer({})
        if is_refusal:
            self._refusal.append(piece)
            return writer.text(piece)
        said = self._stop.close() if is_end else self._stop.feed(piece)
        if self._stop.found:
            writer.finish("stop_sequence", stop_sequence=self._stop.found)
        return writer.text(said)

    def _thought(self, event: Mapping[str, Any]) -> bytes:
        """Write a piece of reasoning, or of its summary, whose parts are paragraphs."""
        piece = _text(event.get("delta"))
        item = self._item(event)
        if not piece or not self._shows_thinking:
            return b""
        part = f"{event.get('summary_index')}.{event.get('content_index')}"
        if item.parts and part not in item.parts:
            piece = f"\n\n{piece}"
        item.parts.add(part)
        return self._writer({}).thinking(piece)

    @property
    def _shows_thinking(self) -> bool:
        return self._wanted.thinking and not self._stop.found

    def _done(self, key: Any, item: Mapping[str, Any]) -> bytes:
        """An item is complete: write what of it has not come in pieces."""
        known = self._items.setdefault(key, _Item())
        if known.is_over:
            return b""
        known.is_over = True
        if own := _text(item.get("id")):
            self._ids.add(own)
        match item.get("type"):
            case "reasoning":
                return self._reasoned(known, item)
            case "message":
                return self._said(known, item)
            case "function_call" if not self._stop.found:
                writer = self._writer({})
                written = self._tool(key, item)
                if not known.has_input:
                    written += writer.tool_input(key, _text(item.get("arguments")))
                return written + writer.tool_end(key)
            case "web_search_call" if not self._stop.found:
                return self._searched(item)
        return b""

    def _reasoned(self, known: _Item, item: Mapping[str, Any]) -> bytes:
        if not self._shows_thinking:
            return b""
        writer = self._writer({})
        written = b""
        if not known.parts:
            parts = _list(item.get("summary")) or _list(item.get("content"))
            texts = (_text(_mapping(part).get("text")) for part in parts)
            said = "\n\n".join(text for text in texts if text)
            written = writer.thinking(said)
        state = {"id": _text(item.get("id")), "enc": _text(item.get("encrypted_content"))}
        if not state["enc"]:
            # Nobody could send it back: what is not stored upstream is gone.
            return written + (writer.signature(_NOBODYS) if known.parts or written else b"")
        return written + writer.signature(seal(RESPONSES, self._wanted.family, state))

    def _said(self, known: _Item, item: Mapping[str, Any]) -> bytes:
        written = b""
        for part in [] if known.has_text else map(_mapping, _list(item.get("content"))):
            is_refusal = part.get("type") == "refusal"
            said = _text(part.get("refusal" if is_refusal else "text"))
            written += self._text(said, is_refusal=is_refusal)
        return written + self._text("", is_end=True)

    def _searched(self, item: Mapping[str, Any]) -> bytes:
        """Write a search of the upstream's own as one of Anthropic's."""
        action = _mapping(item.get("action"))
        query = _text(action.get("query")) or " ".join(map(_text, _list(action.get("queries"))))
        call = f"srvtoolu_{_text(item.get('id')).removeprefix('ws_') or self._searches}"
        use = {"type": "server_tool_use", "id": call, "name": "web_search"}
        results = [
            {
                "type": "web_search_result",
                "url": _text(source.get("url")),
                "title": _text(source.get("title")) or _text(source.get("url")),
                "encrypted_content": "",
                "page_age": None,
            }
            for source in map(_mapping, _list(action.get("sources")))
            if source.get("url")
        ]
        shown = {"type": "web_search_tool_result", "tool_use_id": call, "content": results}
        self._searches += 1
        writer = self._writer({})
        where = {"query": query or _text(action.get("url"))}
        return (
            self._text("", is_end=True)
            + writer.block({**use, "input": where})
            + writer.block(shown)
        )

    def _failed(self, error: Mapping[str, Any]) -> bytes:
        said = _mapping(error.get("error")) or {
            "code": error.get("code"),
            "message": error.get("message") or "the upstream's answer is no response",
        }
        problem = problem_of({"error": said})
        self._is_over = True
        return self._writer({}).error(problem.kind, problem.message)


def _key(event: Mapping[str, Any]) -> Any:
    """Return what tells an item from the others."""
    at = event.get("output_index")
    if isinstance(at, int):
        return at
    return _text(event.get("item_id")) or _text(_mapping(event.get("item")).get("id"))


def _object(data: bytes | bytearray) -> Mapping[str, Any]:
    try:
        return _mapping(_decode(data))
    except MALFORMED:
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
