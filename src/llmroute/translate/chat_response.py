"""Answers of OpenAI's Chat Completions as Messages answers, streamed and whole.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.translate.chat_answer import ChatAnswer, dicts
from llmroute.translate.chat_dialect import ChatDialect
from llmroute.translate.openai_errors import OpenAIProblem, problem_of
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.sse import SSEDecoder

__all__ = ["ChatDecoder", "chat_message"]

_DONE = b"[DONE]"


class ChatDecoder:
    """Turns one streamed answer into a Messages event stream.

    Args:
        body: The Messages request.
        model: The model's name, as the caller gave it.
        dialect: How the server answers.
        input_tokens: About how long the prompt is; the server tells at the end, or never.
    """

    __slots__ = ("_answer", "_document", "_is_over", "_lines", "_started")

    def __init__(
        self, body: Envelope, model: str, dialect: ChatDialect, input_tokens: int = 0
    ) -> None:
        self._answer = ChatAnswer(body, model, dialect, input_tokens)
        self._lines = SSEDecoder()
        self._document: bytearray | None = None
        self._started = False
        self._is_over = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the Messages events they complete, encoded."""
        if self._is_over:
            return b""
        if not self._started and data.strip():
            self._started = True
            # Some servers do not stream, or not their errors.
            if data.lstrip()[:1] in (b"{", b"["):
                self._document = bytearray()
        if self._document is not None:
            self._document += data
            return b""
        return b"".join(self._frame(frame.data) for frame in self._lines.feed(data))

    def close(self) -> bytes:
        """The stream has ended; return what is left to say."""
        if self._is_over:
            return b""
        written = b""
        if self._document is not None:
            written = self._whole(bytes(self._document))
        else:
            # The last event need not have its blank line.
            written = self.feed(b"\n\n")
        return written + self._end()

    def _end(self) -> bytes:
        if self._is_over:
            return b""
        self._is_over = True
        return self._answer.finish() + self._answer.writer().close()

    def _frame(self, data: bytes) -> bytes:
        if not data or self._is_over:
            return b""
        if data.strip() == _DONE:
            self._answer.done()
            return self._end()
        try:
            chunk = _decoded(data)
        except (*MALFORMED, ValueError):
            return self._fail({"message": "The stream holds something that is not JSON"}, 500)
        if (problem := _problem_in(chunk)) is not None:
            return self._fail(problem)
        return self._answer.take(chunk, "delta") if isinstance(chunk, dict) else b""

    def _whole(self, data: bytes) -> bytes:
        try:
            chunk = msgspec.json.decode(data)
        except MALFORMED:
            return self._fail({"message": "The answer is broken JSON"}, 500)
        if (problem := _problem_in(chunk)) is not None or not isinstance(chunk, dict):
            return self._fail(problem or chunk)
        return self._answer.take(chunk, "message")

    def _fail(self, data: Any, status: int = 0) -> bytes:
        self._is_over = True
        return self._answer.failed(data, status)


def chat_message(
    data: Mapping[str, Any],
    body: Envelope,
    model: str,
    dialect: ChatDialect,
    input_tokens: int = 0,
) -> dict[str, Any] | OpenAIProblem:
    """Return a whole answer as a message, or the error that stands in its place."""
    if (problem := _problem_in(data)) is not None:
        return problem_of(problem)
    if not dicts(data.get("choices")):
        return OpenAIProblem(500, "", "The answer holds no choice")
    answer = ChatAnswer(body, model, dialect, input_tokens)
    answer.take(data, "message")
    if answer.failure:
        return OpenAIProblem(500, "", answer.failure)
    answer.done()
    answer.finish()
    return answer.writer().message()


def _decoded(data: bytes) -> Any:
    """Decode a chunk; half a character, where a server cut between its two, becomes a mark."""
    try:
        return msgspec.json.decode(data)
    except MALFORMED:
        value = json.loads(data.decode("utf-8", "replace"))
        whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return msgspec.json.decode(whole)


def _problem_in(chunk: Any) -> Any:
    """Return the error that stands in place of an answer; `None` if there is none."""
    if not isinstance(chunk, dict):
        return None
    if chunk.get("error") and not chunk.get("choices"):
        return chunk
    if chunk.get("object") == "error" or ("detail" in chunk and "choices" not in chunk):
        return chunk
    error = next((c["error"] for c in dicts(chunk.get("choices")) if c.get("error")), None)
    return {"error": error} if error else None
