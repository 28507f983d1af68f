"""OpenAI's Chat Completions door, at OpenAI's path and at Azure's.

What an upstream of the same format says is handed on as it came; every other is worded anew.
"""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.asgi import render
from llmroute.asgi.door import raw_path
from llmroute.asgi.messages import EVENT_STREAM
from llmroute.asgi.openai import (
    PREFIX,
    answer_headers,
    named_model,
    openai_call,
    openai_failure,
    openai_last,
)
from llmroute.errors import FaultError, RequestError, UpstreamError
from llmroute.messages.call import Call, Endpoint
from llmroute.messages.catalog import longest_answer
from llmroute.router import Answer, Router
from llmroute.translate.from_chat import from_chat
from llmroute.translate.from_chat_tools import custom_tools
from llmroute.translate.to_chat import chat_completion
from llmroute.translate.to_chat_stream import ChatWriter
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers
from llmroute.wire.sse import frames

__all__ = ["ChatDoor"]

_PATH = re.compile(rf"(?:{PREFIX}|/openai/deployments/(?P<alias>[^/]+))/chat/completions")
_JSON = (b"content-type", b"application/json")


class ChatDoor:
    """One request in the format of Chat Completions."""

    __slots__ = ("_created", "_custom", "_is_verbatim", "_model", "_router", "_writer")

    endpoint: Endpoint = "messages"
    passes_on = False
    content_type = EVENT_STREAM
    ping = b": ping\n\n"

    def __init__(self, router: Router, model: str) -> None:
        """Serve one request; `model` is the alias in its path, empty if that is in its body."""
        self._router = router
        self._model = model
        self._created = int(time.time())
        self._custom: frozenset[str] = frozenset()
        self._writer = ChatWriter(self._created)
        self._is_verbatim = False

    @classmethod
    def of(cls, router: Router, scope: dict[str, Any]) -> ChatDoor | None:
        """Return the door for a request, if its path is one of Chat Completions."""
        match = _PATH.fullmatch(raw_path(scope))
        return None if match is None else cls(router, unquote(match["alias"] or ""))

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request.

        Raises:
            InvalidRequestError: It is no Chat Completions request.
        """
        envelope = Envelope.parse(body)
        if self._model:
            envelope = envelope.replace(model=self._model)
        longest = longest_answer(named_model(envelope))
        given = {name: envelope[name] for name in envelope}
        options = given.get("stream_options")
        with_usage = isinstance(options, dict) and options.get("include_usage") is True
        self._custom = custom_tools(given)
        self._writer = ChatWriter(self._created, with_usage=with_usage, custom=self._custom)
        return openai_call("chat", envelope, from_chat(given, longest), scope, caller)

    def whole(self, answer: Answer) -> render.Rendered:
        """Hand on a whole answer, or word it anew."""
        head = answer.head
        if head.format == "chat":
            return render.Rendered(head.status, list(self.begin(answer)), answer.body)
        try:
            message = msgspec.json.decode(answer.body)
        except MALFORMED:
            message = None
        if not isinstance(message, dict):
            return self.failure(FaultError("the upstream's answer is not a message"))
        body = msgspec.json.encode(chat_completion(message, self._created, self._custom))
        return render.Rendered(head.status, [_JSON, *answer_headers(answer)], body)

    def begin(self, answer: Answer) -> Headers:
        """Return the headers of a streamed answer."""
        self._is_verbatim = answer.head.format == "chat"
        if self._is_verbatim:
            return [*answer.head.headers, *render.own_headers(answer.head)]
        return [EVENT_STREAM, *answer_headers(answer)]

    def events(self, events: bytes) -> bytes:
        """Hand on events, or word them as chunks."""
        if self._is_verbatim:
            return events
        return b"".join([self._writer.feed(frame.data) for frame in frames(events) if frame.data])

    def failure(self, error: RequestError | UpstreamError) -> render.Rendered:
        """Word an error as OpenAI does."""
        return openai_failure(error)

    def last(self, error: RequestError | UpstreamError) -> bytes:
        """Word an error as the last of a stream."""
        return openai_last(error)
