"""Vertex AI's door: the model and the action stand in the path, the answers are Anthropic's own.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.asgi import render
from llmroute.asgi.door import call_of, model_of, raw_path, translated
from llmroute.asgi.messages import MessagesDoor
from llmroute.errors import InvalidRequestError, RequestError, UpstreamError
from llmroute.messages.call import Call
from llmroute.router import Router
from llmroute.wire.envelope import Envelope

__all__ = ["VertexDoor"]

# Project and location are somebody's at Google, and nothing here.
_PATH = re.compile(
    r"(?:/vertex)?(?:/v1(?:beta1)?)?/projects/[^/]+/locations/[^/]+"
    r"/publishers/anthropic/models/([^/]+):(rawPredict|streamRawPredict)"
)
_COUNTING = "count-tokens"

# https://docs.cloud.google.com/apis/design/errors
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
}


class VertexDoor(MessagesDoor):
    """One request in Vertex AI's format."""

    __slots__ = ("_model", "_router", "_streams")

    def __init__(self, router: Router, model: str, action: str) -> None:
        super().__init__("count_tokens" if model == _COUNTING else "messages", passes_on=False)
        self._router = router
        self._model = model
        self._streams = action == "streamRawPredict"

    @classmethod
    def of(cls, router: Router, scope: dict[str, Any]) -> VertexDoor | None:
        """Return the door for a request, if its path is one of Vertex AI's."""
        match = _PATH.fullmatch(raw_path(scope))
        return None if match is None else cls(router, unquote(match[1]), match[2])

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request.  A token of Google's is nobody else's business: none goes on.

        Raises:
            InvalidRequestError: It is no JSON object, or a token count that names no model.
        """
        envelope = Envelope.parse(body)
        counts = self.endpoint == "count_tokens"
        asked = envelope.string("model") if counts else self._model
        if not asked:
            raise InvalidRequestError("model: Field required, a non-empty string")
        model = model_of(self._router, asked)
        stream = not counts and (self._streams or envelope.is_true("stream"))
        streaming = {"stream": True} if stream else {}
        envelope, headers = translated(
            envelope, scope["headers"], without=("stream",), model=model, **streaming
        )
        return call_of(
            self.endpoint, envelope, model, scope, caller, stream=stream, headers=headers
        )

    def failure(self, error: RequestError | UpstreamError) -> render.Rendered:
        """Say what was wrong as the platform does; a model's own errors are worded by Anthropic."""
        if isinstance(error, UpstreamError):
            return render.failure(error)
        status = _STATUSES.get(error.status, "UNKNOWN")
        body = {"error": {"code": error.status, "message": str(error), "status": status}}
        return render.refusal(error)._replace(body=msgspec.json.encode(body))
