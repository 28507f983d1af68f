"""What one answer of Chat Completions says, as the pieces of a Messages answer.

Servers that offer the format differ in where reasoning stands, in how a call is told apart from
another, and in what they leave out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from llmroute.translate.chat_calls import ChatCalls
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.chat_members import stops_of
from llmroute.translate.chat_request import tool_names
from llmroute.translate.events import EventWriter
from llmroute.translate.names import Names, digest
from llmroute.translate.openai_errors import problem_of
from llmroute.translate.reasoning import seal
from llmroute.translate.stop_sequences import StopSequences
from llmroute.translate.think_tags import ThinkTags
from llmroute.translate.usage import chat_usage, tier_of
from llmroute.wire.envelope import Envelope

__all__ = ["ChatAnswer", "dicts"]

_ANSWER_ID = re.compile(r"[a-zA-Z0-9_-]{1,200}")
# What `names.Limits.fitted` ends a name with that did not fit.
_FITTED = re.compile(r"_[0-9a-f]{8}$")
_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
# The reasons that are none of these are ways to say that the model was done.
_REASONS = {
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "refusal",
    "sensitive": "refusal",
    "refusal": "refusal",
}
_FAILURES = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})


class ChatAnswer:
    """One answer: what comes of it goes to an `EventWriter`."""

    def __init__(
        self, body: Envelope, model: str, dialect: ChatDialect, input_tokens: int = 0
    ) -> None:
        self._body = body
        self._input_tokens = input_tokens
        self._model = model
        self._dialect = dialect
        self._signature = seal(dialect.provider, dialect.family)
        self._members: tuple[str, ...] = _REASONING
        if dialect.reasoning_in != "auto":
            self._members = (dialect.reasoning_in,)
        self._tags: ThinkTags | None = None
        if dialect.think_tags:
            self._tags = ThinkTags(dialect.think_tags, is_open=dialect.think_tags_open)
        _, watched = stops_of(_only(body, "stop_sequences"), dialect)
        self._stops = StopSequences(watched)
        self._calls = ChatCalls()
        self._names: Names | None = None
        self._details: list[dict[str, Any]] = []
        self._is_text = False
        self._blank = ""
        self._refusal = ""
        self._reason = ""
        self._stop_sequence: str | None = None
        self._has_usage = False
        self._writer: EventWriter | None = None

    @property
    def failure(self) -> str:
        """Why it is no answer, if the server ended it so."""
        if self._reason not in _FAILURES:
            return ""
        return f"The answer ended with finish_reason {self._reason}"

    def writer(self, answer_id: Any = "") -> EventWriter:
        """Return what is written to, made when the first of the answer comes."""
        if self._writer is None:
            name = str(answer_id or "")
            if not _ANSWER_ID.fullmatch(name):
                name = digest(bytes(self._body), name)
            self._writer = EventWriter(
                self._model,
                message_id=f"msg_{name}",
                input_tokens=self._input_tokens,
                signature=self._signature,
            )
        return self._writer

    def take(self, chunk: Mapping[str, Any], part: str) -> bytes:
        """Take a chunk of a stream, or a whole answer; `part` is where a choice has its message."""
        usage = chunk.get("usage")
        if not isinstance(usage, Mapping):
            # Groq has it in a member of its own.
            usage = _mapping(chunk.get("x_groq")).get("usage")
        written = b""
        for choice in dicts(chunk.get("choices")):
            if choice.get("index") in (0, None):
                self.writer(chunk.get("id"))
                written += self._choice(choice, part)
                usage = usage or choice.get("usage")  # as Moonshot does
        if isinstance(usage, Mapping) and usage:
            self._has_usage = bool(usage.get("prompt_tokens"))
            tier = tier_of(chunk.get("service_tier"))
            self.writer(chunk.get("id")).usage(chat_usage(usage) | tier)
        return written

    def failed(self, data: Any, status: int = 0) -> bytes:
        """End with the error that a stream says."""
        problem = problem_of(data, status)
        return self.writer().error(problem.kind, problem.message)

    def finish(self) -> bytes:
        """Write what was held back, and why it ends; the end itself is the writer's to write."""
        writer = self.writer()
        written = self._rest()
        if self.failure:
            return written + writer.error("api_error", self.failure)
        if not self._reason:
            return written
        stopped = self._stops.found or self._stop_sequence
        if self._refusal or _REASONS.get(self._reason) == "refusal":
            details = {"type": "refusal", "category": None, "explanation": self._refusal or None}
            written += writer.finish("refusal", stop_details=details)
        elif stopped:
            written += writer.finish("stop_sequence", stop_sequence=stopped)
        else:
            written += writer.finish(_REASONS.get(self._reason, "end_turn"))
        if not self._has_usage:
            writer.usage({"input_tokens": self._input_tokens})
        return written

    def done(self) -> None:
        """Take note that the server has said it is done, be it without a reason."""
        if self._writer is not None:
            self._reason = self._reason or "stop"

    def _choice(self, choice: Mapping[str, Any], part: str) -> bytes:
        if self._stops.found:
            return b""
        message = _mapping(choice.get(part))
        written = self._thoughts(message)
        written += self._content(message.get("content"))
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusal += refusal
            written += self._text(refusal)
        for at, fragment in enumerate(_fragments(message)):
            # Each is a call of its own in a whole answer, whatever its id.
            written += self._call({**fragment, "index": at} if part == "message" else fragment)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason and not self._reason:
            self._reason = reason
            # As vLLM does, where OpenAI leaves it out; for a token it is a number.
            stopped = choice.get("stop_reason")
            self._stop_sequence = stopped if isinstance(stopped, str) and stopped else None
        return written

    def _thoughts(self, message: Mapping[str, Any]) -> bytes:
        written = b""
        for member in self._members:
            value = message.get(member)
            if value and (text := _text_of(value)):
                # A server that sets the reasoning apart leaves no tags in the text.
                self._tags = None
                written += self._thought(text)
                break
        if details := dicts(message.get("reasoning_details")):
            self._details += details
            if not written:
                told = "".join(_text_of(d.get("text") or d.get("summary")) for d in details)
                written += self._thought(told)
        return written

    def _content(self, content: Any) -> bytes:
        if isinstance(content, str):
            return self._text(content)
        written = b""
        for part in dicts(content):
            match part:
                case {"type": "thinking", "thinking": thought}:
                    written += self._thought(_text_of(thought))
                case {"type": "reasoning"}:
                    thought = part.get("summary") or part.get("text")
                    written += self._thought(_text_of(thought))
                case {"text": str(text)}:
                    written += self._text(text)
        return written

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        if self._tags is None:
            return self._said(text)
        return self._parts(self._tags.feed(text))

    def _parts(self, parts: Iterable[tuple[str, str]]) -> bytes:
        written = b""
        for kind, text in parts:
            written += self._thought(text) if kind == "thinking" else self._said(text)
        return written

    def _said(self, text: str) -> bytes:
        shown = self._stops.feed(text)
        if self._stops.found:
            self.done()
        return self._kept() + self._named() + self._shown(shown) if shown else b""

    def _shown(self, text: str) -> bytes:
        """Write text, but not a blank one before a call: no Anthropic model would take it back."""
        text = self._blank + text
        self._blank = ""
        if not self._is_text and text.isspace():
            self._blank = text
            return b""
        self._is_text = True
        return self.writer().text(text)

    def _thought(self, text: str) -> bytes:
        if text:
            self._is_text = False
        return self.writer().thinking(text)

    def _kept(self) -> bytes:
        """Sign the thinking with what the server wants to have back of it."""
        if not self._details:
            return b""
        details, self._details = _joined(self._details), []
        dialect = self._dialect
        if dialect.reasoning_replay != "reasoning_details":
            return b""
        return self.writer().signature(seal(dialect.provider, dialect.family, {"details": details}))

    def _rest(self) -> bytes:
        """Write what was held back: it is not the beginning of anything."""
        written = b""
        if self._tags is not None:
            written += self._parts(self._tags.close())
            self._tags = None
        if not self._stops.found:
            held = self._stops.close()
            if held:
                written += self.writer().text(held)
        return written + self._kept() + self._named()

    def _named(self) -> bytes:
        """Begin the calls that have a name and no arguments: none will come any more."""
        writer, told = self.writer(), self._calls.unnamed()
        return b"".join(writer.tool(key, call_id, self._back(name)) for key, call_id, name in told)

    def _call(self, fragment: Mapping[str, Any]) -> bytes:
        written = b""
        if self._tags is not None:
            written += self._parts(self._tags.close())
            self._tags = None
        if held := self._stops.close():
            written += self._shown(held)
        self._is_text, self._blank = False, ""
        written += self._kept()
        writer = self.writer()
        extra = fragment.get("extra_content")
        if isinstance(extra, dict) and extra:
            state = {"calls": {str(fragment.get("id") or ""): extra}}
            written += writer.signature(seal(self._dialect.provider, self._dialect.family, state))
        for key, call_id, name, piece in self._calls.take(fragment):
            if name:
                written += writer.tool(key, call_id, self._back(name))
            if piece:
                written += writer.tool_input(key, piece)
        return written

    def _back(self, name: str) -> str:
        """Return the caller's name for a tool."""
        if not _FITTED.search(name):
            return name
        if self._names is None:
            self._names = tool_names(self._body)
        return self._names.back(name)


def _only(body: Envelope, name: str) -> dict[str, Any]:
    return {name: body[name]} if name in body else {}


def _fragments(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = dicts(message.get("tool_calls"))
    # As it was before there were several.
    legacy = message.get("function_call")
    if not calls and isinstance(legacy, dict):
        return [{"index": 0, "function": legacy}]
    return calls


def _joined(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the pieces of one text together: it is sent back as a whole."""
    found: list[dict[str, Any]] = []
    for detail in details:
        last = found[-1] if found else {}
        same = last.get("type") == detail.get("type") and last.get("index") == detail.get("index")
        member = next((n for n in ("text", "summary", "data") if n in detail), "")
        both = (last.get(member), detail.get(member))
        if same and all(isinstance(each, str) for each in both):
            news = {name: value for name, value in detail.items() if value is not None}
            found[-1] = {**last, **news, member: f"{both[0]}{both[1]}"}
        else:
            found.append(dict(detail))
    return found


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "".join(_text_of(part.get("text")) for part in dicts(value))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; what is none has none."""
    if not value or not isinstance(value, list):
        return []
    return [each for each in value if isinstance(each, dict)]
