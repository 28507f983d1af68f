"""OpenAI's Responses door: answers, streamed and whole, and the count of a prompt's tokens.

What an upstream of the same format says is handed on as it came; every other is worded anew.
Nothing is stored, so there is no answer to fetch, to go on from or to delete.
"""

from __future__ import annotations

import re
import time
from typing import Any

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
)
from llmroute.errors import FaultError, RequestError, UpstreamError
from llmroute.messages.call import Call, Endpoint
from llmroute.messages.catalog import longest_answer
from llmroute.router import Answer
from llmroute.translate.from_responses import read_responses
from llmroute.translate.responses_calls import Called
from llmroute.translate.responses_output import echoed
from llmroute.translate.to_responses import ResponsesWriter, failure_code, response_of
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.headers import Headers
from llmroute.wire.sse import frames

__all__ = ["NOTHING_STORED", "STORED", "ResponsesDoor"]

_PATH = re.compile(rf"{PREFIX}/responses(?P<counting>/input_tokens)?")
STORED = re.compile(
    rf"{PREFIX}/(?:responses/(?!compact$|input_tokens$)[^/]+(?:/.*)?|conversations(?:/.*)?)"
)
"""The paths of what OpenAI stores."""
NOTHING_STORED = (
    "Nothing is stored here: responses cannot be fetched, gone on from or deleted. Send the whole"
    " conversation as `input` to POST /v1/responses."
)

_JSON = (b"content-type", b"application/json")
# Members of a request that are not counted.
_UNCOUNTED = ("max_tokens", "metadata", "service_tier", "stream", "temperature", "top_p")


class ResponsesDoor:
    """One request in the format of Responses."""

    __slots__ = (
        "_called",
        "_created",
        "_echo",
        "_first",
        "_is_verbatim",
        "_latest",
        "_writer",
        "endpoint",
    )

    passes_on = False
    content_type = EVENT_STREAM
    ping = b": ping\n\n"

    def __init__(self, endpoint: Endpoint) -> None:
        """Serve one request: for an answer, or for a count."""
        self.endpoint = endpoint
        self._created = int(time.time())
        self._echo: dict[str, Any] = {}
        self._called: dict[str, Called] = {}
        self._writer = ResponsesWriter({}, {}, self._created)
        self._is_verbatim = False
        self._first = self._latest = b""

    @classmethod
    def of(cls, scope: dict[str, Any]) -> ResponsesDoor | None:
        """Return the door for a request, if its path is one of Responses."""
        match = _PATH.fullmatch(raw_path(scope))
        if match is None:
            return None
        return cls("count_tokens" if match["counting"] else "messages")

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request.

        Raises:
            InvalidRequestError: It is no Responses request, or for an answer to be fetched later.
        """
        envelope = Envelope.parse(body)
        given = {name: envelope[name] for name in envelope}
        longest = longest_answer(named_model(envelope))
        asked, self._called = read_responses(given, longest)
        self._echo = echoed(envelope)
        self._writer = ResponsesWriter(self._echo, self._called, self._created)
        if self.endpoint == "count_tokens":
            kept = {name: each for name, each in asked.body.items() if name not in _UNCOUNTED}
            asked = asked._replace(body=kept)
        return openai_call("responses", envelope, asked, scope, caller, endpoint=self.endpoint)

    def whole(self, answer: Answer) -> render.Rendered:
        """Hand on a whole answer, or word it anew."""
        head = answer.head
        if head.format == "responses":
            return render.Rendered(head.status, list(self.begin(answer)), answer.body)
        try:
            said = msgspec.json.decode(answer.body)
        except MALFORMED:
            said = None
        if not isinstance(said, dict):
            return self.failure(FaultError("the upstream's answer is not a message"))
        if self.endpoint == "count_tokens":
            count = said.get("input_tokens")
            made = {"object": "response.input_tokens", "input_tokens": count}
        else:
            made = response_of(said, self._echo, self._called, self._created)
        headers = [_JSON, *answer_headers(answer)]
        return render.Rendered(head.status, headers, msgspec.json.encode(made))

    def begin(self, answer: Answer) -> Headers:
        """Return the headers of a streamed answer."""
        self._is_verbatim = answer.head.format == "responses"
        if self._is_verbatim:
            return [*answer.head.headers, *render.own_headers(answer.head)]
        return [EVENT_STREAM, *answer_headers(answer)]

    def events(self, events: bytes) -> bytes:
        """Hand on events, or word them anew."""
        if self._is_verbatim:
            # By these two is known where to go on, should the stream be cut.
            self._first = self._first or events
            self._latest = events
            return events
        return b"".join([self._event(frame.data) for frame in frames(events) if frame.data])

    def _event(self, data: bytes) -> bytes:
        event = _decoded(data)
        return self._writer.feed(event) if event else b""

    def failure(self, error: RequestError | UpstreamError) -> render.Rendered:
        """Word an error as OpenAI does."""
        return openai_failure(error)

    def last(self, error: RequestError | UpstreamError) -> bytes:
        """Word an error as the last event of a stream."""
        if isinstance(error, UpstreamError) and error.format == "responses" and error.event:
            return error.event
        kind, message = render.described(error)
        if self._is_verbatim:
            self._writer.go_on(_told(self._first), _told(self._latest))
        return self._writer.fail(failure_code(kind, message), message)


def _told(events: bytes) -> list[dict[str, Any]]:
    return [event for frame in frames(events) if (event := _decoded(frame.data))]


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(data)
    except MALFORMED:
        return {}
    return event if isinstance(event, dict) else {}
