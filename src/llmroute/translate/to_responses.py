"""A Messages answer, streamed or whole, as OpenAI Responses would give it.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from llmroute.messages.usage import Usage, merged
from llmroute.translate.responses_calls import Called
from llmroute.translate.responses_output import Output
from llmroute.translate.to_chat_words import dicts_in, mapping_in, text_in
from llmroute.translate.to_responses_blocks import (
    Block,
    CustomCall,
    FunctionCall,
    HostedBlock,
    OtherCall,
    Search,
    Text,
    Thinking,
    reasoning,
)

__all__ = ["ResponsesWriter", "failure_code", "response_of"]

_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "pause_turn": "max_output_tokens",
    "refusal": "content_filter",
}
# https://platform.openai.com/docs/api-reference/responses/object
_CODES = {
    "rate_limit_error": "rate_limit_exceeded",
    "billing_error": "insufficient_quota",
    "invalid_request_error": "invalid_prompt",
    "request_too_large": "invalid_prompt",
}
_TOO_LONG = "prompt is too long"
# A comment: the format has no event that says nothing.
_PING = b": ping\n\n"


def failure_code(kind: str, message: str) -> str:
    """Return OpenAI's code for an error that ends a stream, by Anthropic's name for it."""
    if _TOO_LONG in message.lower():
        return "context_length_exceeded"
    return _CODES.get(kind, "server_error")


def response_of(
    message: Mapping[str, Any], echo: Mapping[str, Any], called: Mapping[str, Called], now: int
) -> dict[str, Any]:
    """Return a whole message as a response; see `ResponsesWriter` for the arguments."""
    writer = ResponsesWriter(echo, called, now)
    writer.feed({"type": "message_start", "message": message})
    for block in dicts_in(message.get("content")):
        writer.feed({"type": "content_block_start", "content_block": block})
        writer.feed({"type": "content_block_stop"})
    delta = {name: message.get(name) for name in ("stop_reason", "stop_details")}
    usage = message.get("usage")
    writer.feed({"type": "message_delta", "delta": delta, "usage": usage})
    writer.feed({"type": "message_stop"})
    return writer.response


class ResponsesWriter:
    """Turns the events of one message into those of one response."""

    def __init__(self, echo: Mapping[str, Any], called: Mapping[str, Called], now: int) -> None:
        """Prepare.

        Args:
            echo: What `responses_output.echoed` has kept of the request.
            called: The client's tools that are no functions, as `read_responses` returns them.
            now: Seconds since 1970.
        """
        self._out = Output(echo, now)
        self._called = called
        self._block: Block | None = None
        # Blocks of tools that the upstream runs, which the client has no items for.
        self._held: list[dict[str, Any]] = []
        self._is_begun = False
        self._is_over = False
        self._reason = ""
        self._explanation = ""
        self._usage: dict[str, Any] = {}

    @property
    def response(self) -> dict[str, Any]:
        """The response, as far as it has come."""
        return self._out.response

    def feed(self, event: Mapping[str, Any]) -> bytes:
        """Take one event of the Messages API; return the events due."""
        written = b""
        match event.get("type"):
            case _ if self._is_over:
                pass
            case "message_start":
                written = self._start(mapping_in(event.get("message")))
            case "content_block_start":
                written = self._open(mapping_in(event.get("content_block")))
            case "content_block_delta" if self._block is not None:
                written = self._block.delta(mapping_in(event.get("delta")))
            case "content_block_stop" if self._block is not None:
                written, self._block = self._block.stop(), None
            case "message_delta":
                self._ending(mapping_in(event.get("delta")), mapping_in(event.get("usage")))
            case "message_stop":
                written = self._end()
            case "ping":
                written = _PING
            case "error":
                error = mapping_in(event.get("error"))
                said = str(error.get("message") or "The answer ended with an error.")
                written = self.fail(failure_code(str(error.get("type")), said), said)
        return written

    def go_on(
        self, first: Iterable[Mapping[str, Any]], latest: Iterable[Mapping[str, Any]]
    ) -> None:
        """Go on where another has stopped, by some of the first and of the latest of its events."""
        self._is_begun = True
        for event in first:
            if isinstance(response := event.get("response"), dict):
                self._out.response = {**self._out.response, **response}
        for event in latest:
            if isinstance(number := event.get("sequence_number"), int):
                self._out.number = number + 1

    def fail(self, code: str, message: str) -> bytes:
        """End the stream in an error, whatever has come before."""
        if self._is_over:
            return b""
        written = b"" if self._is_begun else self._start({})
        self._is_over = True
        self.response["status"] = "failed"
        self.response["error"] = {"code": code, "message": message}
        return written + self._out.event("response.failed", response=self.response)

    def _start(self, message: Mapping[str, Any]) -> bytes:
        self._is_begun = True
        self._usage = merged(self._usage, mapping_in(message.get("usage")))
        return self._out.begin(str(message.get("id") or "0").removeprefix("msg_"))

    def _open(self, block: Mapping[str, Any]) -> bytes:
        # Some servers end all blocks at the end of the message only.
        written = b"" if self._block is None else self._block.stop()
        self._block = made = self._writer(block)
        if not isinstance(made, HostedBlock):
            written += self._flush()
        return written + made.open()

    def _writer(self, block: Mapping[str, Any]) -> Block:
        match block.get("type"):
            case "text":
                return Text(self._out, block)
            case "thinking" | "redacted_thinking":
                return Thinking(self._out, block)
            case "tool_use":
                name = str(block.get("name"))
                called = self._called.get(name) or Called("function", name)
                kinds = {"function": FunctionCall, "custom": CustomCall}
                return kinds.get(called.kind, OtherCall)(self._out, called, block)
            case "server_tool_use" if block.get("name") == "web_search":
                return Search(self._out, block, self._held)
        return HostedBlock(self._out, block, self._held)

    def _flush(self) -> bytes:
        """Send along what the client has no items for, and the model must find in its place."""
        ids = Counter(map(_use_of, self._held))
        # No request may have a use in it without its result, or the other way round.
        whole = [block for block in self._held if ids[_use_of(block)] == 2 or not _use_of(block)]
        written = self._out.close() if self._held else b""
        self._held.clear()
        return written + (reasoning(self._out, whole) if whole else b"")

    def _ending(self, delta: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        self._reason = text_in(delta.get("stop_reason")) or self._reason
        details = delta.get("stop_details")
        if isinstance(details, dict):
            self._explanation = str(details.get("explanation") or "")
        self._usage = merged(self._usage, usage)

    def _end(self) -> bytes:
        written = self._flush()
        if self._reason == "refusal" and self._explanation:
            written += self._refuse(self._explanation)
        written += self._out.close()
        self._is_over = True
        why = _INCOMPLETE.get(self._reason)
        self.response["status"] = status = "incomplete" if why else "completed"
        if why:
            self.response["incomplete_details"] = {"reason": why}
        self.response["usage"] = _usage(self._usage)
        return written + self._out.event(f"response.{status}", response=self.response)

    def _refuse(self, why: str) -> bytes:
        out = self._out
        said = {"type": "message", "role": "assistant", "status": "in_progress"}
        written = out.add({"id": f"msg_{out.next_key()}", **said, "content": []})
        here = out.here(content_index=0)
        part = {"type": "refusal", "refusal": ""}
        written += out.event("response.content_part.added", **here, part=part)
        written += out.event("response.refusal.delta", **here, delta=why)
        written += out.event("response.refusal.done", **here, refusal=why)
        part = {"type": "refusal", "refusal": why}
        out.content.append(part)
        return written + out.event("response.content_part.done", **here, part=part)


def _use_of(block: Mapping[str, Any]) -> str:
    return str(block.get("tool_use_id") or block.get("id") or "")


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Count as OpenAI does: what a cache gave or took is part of the input."""
    counted = Usage.of(usage)
    read, wrote = counted.cache_read_input_tokens, counted.cache_creation_input_tokens
    given, output = counted.input_tokens + read + wrote, counted.output_tokens
    details = mapping_in(usage.get("output_tokens_details"))
    thought = Usage.of({"output_tokens": details.get("thinking_tokens")}).output_tokens
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": wrote},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": given + output,
    }
