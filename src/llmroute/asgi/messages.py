"""The Messages API's own door: answers and events leave as they came."""

from __future__ import annotations

from typing import Any

from llmroute.accounts.caller import Caller
from llmroute.asgi import render
from llmroute.asgi.door import call_of
from llmroute.asgi.passthrough import query_of
from llmroute.errors import InvalidRequestError, RequestError, UpstreamError
from llmroute.messages.call import Call, Endpoint
from llmroute.messages.events import PING
from llmroute.router import Answer
from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import Headers, upward

__all__ = ["EVENT_STREAM", "MessagesDoor"]

EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


class MessagesDoor:
    """`POST /v1/messages` and its token count; holds nothing of a request, so one serves all."""

    __slots__ = ("endpoint", "passes_on")

    content_type = EVENT_STREAM
    ping = PING

    def __init__(self, endpoint: Endpoint, *, passes_on: bool) -> None:
        self.endpoint = endpoint
        self.passes_on = passes_on

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request; its body stays as it is.

        Raises:
            InvalidRequestError: It names no model, or is no JSON object.
        """
        envelope = Envelope.parse(body)
        model = envelope.string("model")
        if not model:
            raise InvalidRequestError("model: Field required, a non-empty string")
        return call_of(
            self.endpoint,
            envelope,
            model,
            scope,
            caller,
            stream=self.endpoint == "messages" and envelope.is_true("stream"),
            query=query_of(scope),
            headers=upward(scope["headers"]),
            client_auth=caller.client_auth,
        )

    def whole(self, answer: Answer) -> render.Rendered:
        """Hand on a whole answer."""
        return render.Rendered(answer.head.status, self._headers(answer), answer.body)

    def begin(self, answer: Answer) -> Headers:
        """Return the headers of a streamed answer."""
        return self._headers(answer)

    def _headers(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        return [*answer.head.headers, *render.own_headers(answer.head)]

    def events(self, events: bytes) -> bytes:
        """Hand on events."""
        return events

    def failure(self, error: RequestError | UpstreamError) -> render.Rendered:
        """Hand on what the upstream said, or say it."""
        return render.failure(error)

    def last(self, error: RequestError | UpstreamError) -> bytes:
        """Word an error as an `error` event."""
        return render.as_event(error)
