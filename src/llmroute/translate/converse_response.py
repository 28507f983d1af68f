"""Converse's answers as Messages answers, streamed and whole.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llmroute.errors import FaultError
from llmroute.messages.call import Call
from llmroute.translate.converse_model import ConverseModel
from llmroute.translate.converse_request import PROVIDER, tool_names
from llmroute.translate.events import EventWriter
from llmroute.translate.names import Names, digest
from llmroute.translate.reasoning import seal
from llmroute.translate.stop_sequences import StopSequences
from llmroute.translate.usage import converse_usage, tier_of
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.eventstream import EventStreamDecoder, Message

__all__ = [
    "CONVERSE_EVENTS",
    "ConverseAnswer",
    "ConverseDecoder",
    "Explain",
    "converse_message",
    "converse_stream",
]

CONVERSE_EVENTS = frozenset(
    {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop"}
    | {"metadata"}
)
"""The types of a stream's events."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

Explain = Callable[[str, Mapping[str, Any]], tuple[str, str]]
"""Says an exception in Anthropic's words: its name and body to a type and a message."""

_REFUSALS = frozenset({"guardrail_intervened", "content_filtered"})
_REASONS = frozenset(
    {"end_turn", "tool_use", "max_tokens", "stop_sequence", "model_context_window_exceeded"}
)


class ConverseAnswer:
    """An answer as it comes in.

    Attributes:
        writer: Where it goes.
        failure: Why it came to nothing; empty once it has ended well.
    """

    def __init__(self, call: Call, family: str, explain: Explain) -> None:
        """Make an answer to `call`.

        Args:
            call: What was asked.
            family: Which model's reasoning this is, as `converse_request` was told.
            explain: For exceptions.
        """
        self.failure = "the answer has no stop reason"
        self._call = call
        self._family = family
        self._explain = explain
        # What a Claude has signed, every Claude reads: it goes out as it is.
        self._is_claude = ConverseModel.of(family).is_claude
        self.writer = EventWriter(
            call.model,
            message_id=f"msg_{digest(bytes(call.body))}",
            input_tokens=call.input_tokens,
            signature="" if self._is_claude else seal(PROVIDER, family),
        )
        self._stops = StopSequences(call.body.get("stop_sequences"))
        self._listed: frozenset[str] | None = None
        self._names: Names | None = None
        self._signature = ""
        self._redacted = ""
        self._has_content = False
        self._calls: set[int] = set()
        choice = call.body.get("tool_choice")
        self._is_single = (
            isinstance(choice, dict) and choice.get("disable_parallel_tool_use") is True
        )

    def read(self, message: Message) -> bytes:
        """Take a message of the stream; return the events that are due."""
        headers = message.headers
        match headers.get(":message-type"):
            case "error":
                described = {"message": headers.get(":error-message")}
                return self._fails(str(headers.get(":error-code")), described)
            case "exception":
                return self._fails(str(headers.get(":exception-type")), _object(message.payload))
        try:
            data = _decode(message.payload)
        except MALFORMED:
            return self.writer.error("api_error", "An event of the upstream's is no JSON")
        at = data.get("contentBlockIndex")
        return self._event(str(headers.get(":event-type")), at if isinstance(at, int) else 0, data)

    def whole(self, data: Mapping[str, Any]) -> bytes:
        """Take a whole answer; return the events it comes to."""
        written = b""
        match data:
            case {"output": {"message": {"content": list(content)}}}:
                for index, block in enumerate(content):
                    written += self._block(index, block)
        self._usage(data)
        if isinstance(reason := data.get("stopReason"), str):
            written += self._ends(reason, data)
        return written

    def close(self) -> bytes:
        """The upstream's stream has ended; return what is left to say."""
        return self._flushed() + self.writer.close()

    def _fails(self, name: str, described: Mapping[str, Any]) -> bytes:
        kind, self.failure = self._explain(name, described)
        return self.writer.error(kind, self.failure)

    def _event(self, kind: str, index: int, data: Mapping[str, Any]) -> bytes:
        match kind, data:
            case "contentBlockStart", {"start": {"toolUse": dict(use)}}:
                return self._begins(index, use)
            case "contentBlockDelta", {"delta": dict(delta)}:
                return self._delta(index, delta)
            case "contentBlockStop", _:
                return self._sealed() + self.writer.tool_end(index)
            case "messageStop", {"stopReason": str(reason)}:
                return self._ends(reason, data)
            case "metadata", _:
                self._usage(data)
        return b""

    def _block(self, index: int, block: Any) -> bytes:
        match block:
            case {"toolUse": dict(use)}:
                given = use.get("input")
                piece = _encode(given if isinstance(given, dict) else {}).decode()
                written = self._begins(index, use) + self._delta(
                    index, {"toolUse": {"input": piece}}
                )
            case {"reasoningContent": {"reasoningText": dict(said)}}:
                parts = [{name: said.get(name)} for name in ("text", "signature")]
                written = b"".join([self._delta(index, {"reasoningContent": p}) for p in parts])
            case {"citationsContent": {"content": list(content)}}:
                written = b"".join([self._delta(index, d) for d in content if isinstance(d, dict)])
            case dict():
                written = self._delta(index, block)
            case _:
                written = b""
        return written + self._sealed() + self.writer.tool_end(index)

    def _begins(self, index: int, use: Mapping[str, Any]) -> bytes:
        if self._stops.found:
            return b""
        written = self._flushed()
        if self._is_single and self._calls:
            return written
        self._calls.add(index)
        self._has_content = True
        call_id = str(use.get("toolUseId") or "")
        return written + self.writer.tool(index, call_id, self._name(str(use.get("name") or "")))

    def _name(self, sent: str) -> str:
        """Return the caller's own name for a tool."""
        if self._listed is None:
            tools = self._call.body.get("tools")
            tools = tools if isinstance(tools, list) else []
            self._listed = frozenset(str(t.get("name")) for t in tools if isinstance(t, dict))
        if sent in self._listed:
            return sent
        if self._names is None:
            self._names = tool_names(self._call.body)
        return self._names.back(sent)

    def _delta(self, index: int, delta: Mapping[str, Any]) -> bytes:
        match delta:
            case _ if self._stops.found:
                return b""
            case {"text": str(text)}:
                self._has_content = self._has_content or bool(text)
                return self._sealed() + self.writer.text(self._stops.feed(text))
            case {"toolUse": {"input": str(piece)}} if index in self._calls:
                return self.writer.tool_input(index, piece)
            case {"reasoningContent": {"text": str(text)}}:
                return self._flushed() + self.writer.thinking(text)
            case {"reasoningContent": {"signature": str(value)}}:
                self._signature += value
            case {"reasoningContent": {"redactedContent": str(value)}}:
                self._redacted += value
        return b""

    def _flushed(self) -> bytes:
        """Return what was held back as the beginning of a stop sequence, or of a signature."""
        return self.writer.text(self._stops.close()) + self._sealed()

    def _sealed(self) -> bytes:
        """Write the signature that has come, if one has."""
        signature, self._signature = self._signature, ""
        redacted, self._redacted = self._redacted, ""
        written = b""
        if self._is_claude:
            written = self.writer.signature(signature) if signature else b""
            return written + (self.writer.redacted(redacted) if redacted else b"")
        if signature:
            state = {"signature": signature}
            written = self.writer.signature(seal(PROVIDER, self._family, state))
        if redacted:
            state = {"redacted": redacted}
            written += self.writer.signature(seal(PROVIDER, self._family, state))
        return written

    def _usage(self, data: Mapping[str, Any]) -> None:
        if isinstance(usage := data.get("usage"), dict):
            tier = data.get("serviceTier")
            told = tier.get("type") if isinstance(tier, dict) else None
            self.writer.usage(converse_usage(usage) | tier_of(told))

    def _ends(self, reason: str, data: Mapping[str, Any]) -> bytes:
        self.failure = ""
        if found := self._stops.found:
            return self.writer.finish("stop_sequence", stop_sequence=found)
        written = self._flushed()
        if reason in _REFUSALS:
            details = {"type": "refusal", "category": None, "explanation": reason}
            self.writer.finish("refusal", stop_details=details)
        elif reason in _REASONS:
            self.writer.finish(reason, stop_sequence=self._stopped(reason, data))
        elif self._has_content:
            # A call it could not put in words, most often; what was said before it may be of use.
            self.writer.finish("end_turn")
        else:
            self.failure = f"The model gave up: {reason}"
            written += self.writer.error("api_error", self.failure)
        return written

    def _stopped(self, reason: str, data: Mapping[str, Any]) -> str | None:
        """Return the stop sequence that was met, as far as anybody knows."""
        if reason != "stop_sequence":
            return None
        fields = data.get("additionalModelResponseFields")
        told = fields.get("stop_sequence") if isinstance(fields, dict) else None
        given = self._call.body.get("stop_sequences")
        only = given[0] if isinstance(given, list) and len(given) == 1 else None
        found = told or only
        return found if isinstance(found, str) else None


class ConverseDecoder:
    """Reads AWS event messages."""

    def __init__(self, call: Call, family: str, explain: Explain) -> None:
        """Make a decoder; the arguments are those of `ConverseAnswer`."""
        self._messages = EventStreamDecoder()
        self._answer = ConverseAnswer(call, family, explain)

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the events that are due.

        Raises:
            StreamBrokenError: They are no event stream.
        """
        return b"".join([self._answer.read(message) for message in self._messages.feed(data)])

    def close(self) -> bytes:
        """Return what is left to say; without a stop reason, an error.

        Raises:
            StreamBrokenError: The stream ended inside a message.
        """
        self._messages.close()
        return self._answer.close()


def converse_message(call: Call, body: bytes, family: str, explain: Explain) -> bytes:
    """Return a whole answer as a Messages answer.

    Raises:
        FaultError: It is no answer, or one that came to nothing.
    """
    answer, _ = _whole(call, body, family, explain)
    return _encode(answer.writer.message())


def converse_stream(call: Call, body: bytes, family: str, explain: Explain) -> bytes:
    """Return a whole answer as a stream of events, for a model that does not stream.

    Raises:
        FaultError: It is no answer, or one that came to nothing.
    """
    answer, written = _whole(call, body, family, explain)
    return written + answer.close()


def _whole(call: Call, body: bytes, family: str, explain: Explain) -> tuple[ConverseAnswer, bytes]:
    try:
        data = _decode(body)
    except MALFORMED:
        raise FaultError("the answer is no JSON object") from None
    answer = ConverseAnswer(call, family, explain)
    written = answer.whole(data)
    if answer.failure:
        raise FaultError(answer.failure)
    return answer, written


def _object(payload: bytes) -> dict[str, Any]:
    try:
        return _decode(payload)
    except MALFORMED:
        return {}
