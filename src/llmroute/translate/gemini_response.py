"""Gemini's answers as Messages answers, streamed and whole.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.errors import FaultError
from llmroute.messages.call import Call
from llmroute.messages.events import error_type
from llmroute.translate.events import EventWriter
from llmroute.translate.gemini_request import FAMILY, PROVIDER, tool_names
from llmroute.translate.names import Names, digest
from llmroute.translate.reasoning import seal
from llmroute.translate.usage import gemini_usage
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.sse import Frame, SSEDecoder

__all__ = ["GeminiDecoder", "gemini_message", "worded_overflow"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

_REASONS = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens", "CONTINUATION": "end_turn"}
# Google will not have it said.
_REFUSALS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "LANGUAGE"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION"}
)
_OVERFLOW = re.compile(
    r"input token count \(?(?P<given>\d+)\)? exceeds the maximum number of tokens allowed"
    r" \(?(?P<most>\d+)\)?",
    re.IGNORECASE,
)
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def worded_overflow(message: str) -> str:
    """Say in Anthropic's words that a prompt is too long: Claude Code compacts on these.

    >>> worded_overflow("The input token count (9) exceeds the maximum number of tokens allowed 8.")
    'prompt is too long: 9 tokens > 8 maximum'
    """
    found = _OVERFLOW.search(message)
    if found is None:
        return message
    return f"prompt is too long: {found['given']} tokens > {found['most']} maximum"


def gemini_message(call: Call, body: bytes, model: str = "") -> bytes:
    """Return a whole answer as a Messages answer; of a count, the number.

    Args:
        call: What was asked.
        body: The answer.
        model: The model that was asked, by Gemini's name; where that is not known, signatures are
            taken to be those of the model that the answer names.

    Raises:
        FaultError: It is no answer, or one that came to nothing.
    """
    try:
        data = _decode(body)
    except MALFORMED:
        raise FaultError("the answer is no JSON object") from None
    if call.endpoint == "count_tokens":
        total = data.get("totalTokens")
        if not isinstance(total, int):
            raise FaultError("the answer to countTokens has no totalTokens")
        return _encode({"input_tokens": total})
    answer = _Answer(call, model)
    answer.take(data)
    answer.end()
    if answer.failure:
        raise FaultError(answer.failure)
    return _encode(answer.writer.message())


class GeminiDecoder:
    """Reads a stream of `alt=sse`: each event is a response with what is new in it."""

    def __init__(self, call: Call, model: str = "") -> None:
        """Make a decoder for the answer to `call`; `model` as for `gemini_message`."""
        self._frames = SSEDecoder()
        self._answer = _Answer(call, model)

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the events that are due."""
        return b"".join([self._read(frame) for frame in self._frames.feed(data)])

    def close(self) -> bytes:
        """Return what is left to say; without a finish reason, an error."""
        rest = self.feed(b"\n\n")
        return rest + self._answer.end() + self._answer.writer.close()

    def _read(self, frame: Frame) -> bytes:
        if not frame.data:
            return b""
        try:
            data = _decode(frame.data)
        except MALFORMED:
            return self._answer.writer.error("api_error", "An event of the upstream's is no JSON")
        return self._answer.take(data)


class _Answer:
    """An answer as it comes in.

    Attributes:
        writer: Where it goes.
        failure: Why it came to nothing, if it did.
    """

    def __init__(self, call: Call, model: str) -> None:
        self.failure = ""
        self._call = call
        self._signature = seal(PROVIDER, FAMILY)
        self._writer: EventWriter | None = None
        self._asked = model
        self._model = model
        self._listed: frozenset[str] | None = None
        self._names: Names | None = None
        self._calls = 0
        self._is_single = _is_single(call.body.get("tool_choice"))
        # Of the text that is under way: its length, and the signature that came after it began.
        self._said = 0
        self._after: dict[str, Any] = {}
        self._has_content = False
        self._reason = ""
        self._note = ""
        self._search: dict[str, Any] = {}

    @property
    def writer(self) -> EventWriter:
        if self._writer is None:
            self._writer = self._begun({})
        return self._writer

    def _begun(self, data: Mapping[str, Any]) -> EventWriter:
        given = data.get("responseId")
        own = _ODD.sub("_", given) if isinstance(given, str) else ""
        usage = _object(data, "usageMetadata")
        told = gemini_usage(usage)["input_tokens"] if usage else self._call.input_tokens
        return EventWriter(
            self._call.model,
            message_id=f"msg_{own or digest(bytes(self._call.body))}",
            input_tokens=told,
            signature=self._signature,
        )

    def take(self, data: Mapping[str, Any]) -> bytes:
        """Take a response, whole or a part of it; return the events that are due."""
        if self._writer is None:
            self._writer = self._begun(data)
        if isinstance(error := data.get("error"), dict):
            return self._fail(error)
        self._model = self._asked or str(data.get("modelVersion") or self._model)
        written = b""
        candidates = data.get("candidates")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else {}
        if isinstance(candidate, dict):
            parts = _object(candidate, "content").get("parts")
            for part in parts if isinstance(parts, list) else []:
                if isinstance(part, dict):
                    written += self._part(part)
            self._search |= _object(candidate, "groundingMetadata")
            self._stop(candidate.get("finishReason"), candidate.get("finishMessage"))
        if blocked := _object(data, "promptFeedback").get("blockReason"):
            self._reason = self._reason or "SAFETY"
            self._note = self._note or f"The prompt was blocked: {blocked}"
        if usage := _object(data, "usageMetadata"):
            self.writer.usage(gemini_usage(usage))
        return written

    def end(self) -> bytes:
        """Say why the answer ended; return the events that are due before it does."""
        if self.failure or not self._reason:
            self.failure = self.failure or "the answer has no finish reason"
            return b""
        written = self._searched()
        if self._reason in _REFUSALS:
            self.writer.finish("refusal", stop_details=_refusal(self._note or self._reason))
        elif self._reason in _REASONS:
            self.writer.finish(_REASONS[self._reason])
        elif self._has_content:
            self.writer.finish("end_turn")
        else:
            # A call it could not put in words, most often: asked again, it mostly can.
            said = f"Gemini gave up: {self._reason} {self._note}".rstrip()
            self.failure = said
            written += self.writer.error("api_error", said)
        return written

    def _fail(self, error: Mapping[str, Any]) -> bytes:
        code = error.get("code")
        message = worded_overflow(str(error.get("message") or "The upstream failed"))
        self.failure = message
        return self.writer.error(error_type(code if isinstance(code, int) else 500), message)

    def _stop(self, reason: Any, note: Any) -> None:
        if isinstance(reason, str) and reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._reason = self._reason or reason
            self._note = note if isinstance(note, str) else self._note

    def _part(self, part: Mapping[str, Any]) -> bytes:
        signature = part.get("thoughtSignature") or ""
        signature = signature if isinstance(signature, str) else ""
        call = part.get("functionCall")
        if isinstance(call, dict):
            return self._called(call, signature)
        text = part.get("text")
        text = text if isinstance(text, str) else ""
        if part.get("thought") is True:
            return self._thought(text, signature)
        return self._text(text, signature) if text or signature else b""

    def _thought(self, text: str, signature: str) -> bytes:
        written = self.writer.thinking(text)
        if text:
            self._said = 0
        if signature:
            written += self._sealed({"thought": signature})
        return written

    def _text(self, text: str, signature: str) -> bytes:
        """Write a text.

        A signature goes into a thinking block before what it is of, so that no answer ends with
        one: Claude Code takes the last block of an answer for its result.  What comes after its
        text has begun waits for the next call; the API does not insist on it.
        """
        written = b""
        if not self._said:
            self._after = {}
        if signature and not self._said and text:
            written = self._sealed({"text": signature})
        elif signature and self._said:
            self._after = {"after": signature, "after_at": self._said}
        if text:
            self._has_content = True
            self._said += len(text)
        return written + self.writer.text(text)

    def _called(self, call: Mapping[str, Any], signature: str) -> bytes:
        self._has_content = True
        if self._is_single and self._calls:
            return b""
        state = {**self._after, **({"call": signature} if signature else {})}
        written = self._sealed(state) if state else b""
        self._after, self._said = {}, 0
        key = self._calls
        self._calls += 1
        given = call.get("id")
        arguments = call.get("args")
        writer = self.writer
        written += writer.tool(key, given if isinstance(given, str) else "", self._name(call))
        arguments = arguments if isinstance(arguments, dict) else {}
        return written + writer.tool_input(key, _encode(arguments).decode()) + writer.tool_end(key)

    def _sealed(self, state: Mapping[str, Any]) -> bytes:
        return self.writer.signature(seal(PROVIDER, FAMILY, {"model": self._model, **state}))

    def _name(self, call: Mapping[str, Any]) -> str:
        name = str(call.get("name") or "")
        if self._listed is None:
            tools = self._call.body.get("tools")
            tools = tools if isinstance(tools, list) else []
            self._listed = frozenset(str(t.get("name")) for t in tools if isinstance(t, dict))
        if name in self._listed:
            return name
        if self._names is None:
            self._names = tool_names(self._call.body)
        return self._names.back(name)

    def _searched(self) -> bytes:
        """Write the searches that Google made, as a call of the server's and its result."""
        queries = self._search.get("webSearchQueries")
        if not isinstance(queries, list) or not queries:
            return b""
        chunks = self._search.get("groundingChunks")
        pages = [_object(each, "web") for each in (chunks if isinstance(chunks, list) else [])]
        use_id = f"srvtoolu_{digest(*map(str, queries), str(self._said))}"
        query = "; ".join(map(str, queries))
        results = [
            {
                "type": "web_search_result",
                "url": str(page.get("uri")),
                "title": str(page.get("title") or ""),
                "encrypted_content": "",
                "page_age": None,
            }
            for page in pages
            if page.get("uri")
        ]
        self.writer.usage({"server_tool_use": {"web_search_requests": len(queries)}})
        use = {"type": "server_tool_use", "id": use_id, "name": "web_search"}
        return self.writer.block({**use, "input": {"query": query}}) + self.writer.block(
            {"type": "web_search_tool_result", "tool_use_id": use_id, "content": results}
        )


def _object(data: Any, name: str) -> dict[str, Any]:
    value = data.get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, dict) else {}


def _is_single(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("disable_parallel_tool_use") is True


def _refusal(explanation: str) -> dict[str, Any]:
    return {"type": "refusal", "category": None, "explanation": explanation}
