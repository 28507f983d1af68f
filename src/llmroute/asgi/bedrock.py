"""Bedrock's door: the model and the action stand in the path, a stream is AWS event messages.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.asgi import render
from llmroute.asgi.door import call_of, model_of, raw_path, translated
from llmroute.errors import InvalidRequestError, RequestError, UnknownAliasError, UpstreamError
from llmroute.keys import Caller
from llmroute.messages.call import Call, Endpoint
from llmroute.router import Answer, Router
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.eventstream import encode
from llmroute.wire.headers import Headers
from llmroute.wire.sse import Frame, frames

__all__ = ["BedrockDoor", "failure", "is_below", "page"]

_PATH = re.compile(r"(?:/bedrock)?/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")
_PROFILES = re.compile(r"(?:/bedrock)?/inference-profiles(?:/([^/]+))?")

# What Bedrock calls each of the Messages API's errors, and answers with.
_EXCEPTIONS = {
    "authentication_error": ("UnrecognizedClientException", 403),
    "billing_error": ("AccessDeniedException", 403),
    "invalid_request_error": ("ValidationException", 400),
    "not_found_error": ("ResourceNotFoundException", 404),
    "overloaded_error": ("ServiceUnavailableException", 503),
    "permission_error": ("AccessDeniedException", 403),
    "rate_limit_error": ("ThrottlingException", 429),
    "request_too_large": ("ValidationException", 413),
    "timeout_error": ("ModelTimeoutException", 408),
}
_OTHER = ("InternalServerException", 500)
_JSON = (b"content-type", b"application/json")
_CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


def _chunk(event: bytes) -> bytes:
    return encode(_CHUNK, msgspec.json.encode({"bytes": event}))


class BedrockDoor:
    """One request in Bedrock's format.  Its signature is not verified; a key is."""

    __slots__ = ("_model", "_router", "_streams", "endpoint")

    passes_on = False
    content_type = (b"content-type", b"application/vnd.amazon.eventstream")
    ping = _chunk(b'{"type":"ping"}')

    def __init__(self, router: Router, model: str, action: str) -> None:
        self.endpoint: Endpoint = "count_tokens" if action == "count-tokens" else "messages"
        self._router = router
        self._model = model
        self._streams = action == "invoke-with-response-stream"

    @classmethod
    def of(cls, router: Router, scope: dict[str, Any]) -> BedrockDoor | None:
        """Return the door for a request, if its path is one of Bedrock's."""
        match = _PATH.fullmatch(raw_path(scope))
        return None if match is None else cls(router, unquote(match[1]), match[2])

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request.

        Raises:
            InvalidRequestError: It is no invocation.
        """
        counts = self.endpoint == "count_tokens"
        envelope = Envelope.parse(_counted(body) if counts else body)
        model = model_of(self._router, self._model)
        streaming = {"stream": True} if self._streams else {}
        without = ("stream", "max_tokens") if counts else ("stream",)
        envelope, headers = translated(
            envelope, scope["headers"], without=without, model=model, **streaming
        )
        return call_of(
            self.endpoint, envelope, model, scope, caller, stream=self._streams, headers=headers
        )

    def whole(self, answer: Answer) -> render.Rendered:
        """Word a whole answer: a message is one, a count is called otherwise."""
        body = answer.body
        if self.endpoint == "count_tokens":
            body = msgspec.json.encode({"inputTokens": msgspec.json.decode(body)["input_tokens"]})
        return render.Rendered(answer.head.status, _headers(answer), body)

    def begin(self, answer: Answer) -> Headers:
        """Return the headers of a streamed answer."""
        kept = [header for header in _headers(answer) if header[0] != b"content-type"]
        return [self.content_type, *kept]

    def events(self, events: bytes) -> bytes:
        """Put each event into a message of its own."""
        return b"".join([_framed(frame) for frame in frames(events)])

    def failure(self, error: RequestError | UpstreamError) -> render.Rendered:
        """Word an error as one of AWS's exceptions."""
        return failure(error)

    def last(self, error: RequestError | UpstreamError) -> bytes:
        """Word an error as an exception in the stream."""
        return self.events(render.as_event(error))


def is_below(scope: dict[str, Any]) -> bool:
    """Tell whether a request that has no door is one to Bedrock's API all the same."""
    path = raw_path(scope)
    return path.startswith(("/bedrock/", "/model/")) or _PROFILES.fullmatch(path) is not None


async def page(router: Router, scope: dict[str, Any]) -> render.Rendered:
    """Answer what needs a key and no upstream: the aliases, as inference profiles.

    Raises:
        UnknownAliasError: There is no such profile, or no such path.
    """
    match = _PROFILES.fullmatch(raw_path(scope))
    if match is None or scope["method"] not in ("GET", "HEAD"):
        raise UnknownAliasError("No such operation", raw_path(scope))
    if match[1] is None:
        profiles = [_profile(model.id) for model in await router.models()]
        return render.plain(200, {"inferenceProfileSummaries": profiles})
    asked = unquote(match[1])
    await router.model(model_of(router, asked))
    return render.plain(200, _profile(asked))


def failure(error: RequestError | UpstreamError) -> render.Rendered:
    """Word an error as one of AWS's exceptions."""
    rendered = render.failure(error)
    name, status, message = _exception(rendered.body)
    headers = [header for header in rendered.headers if header[0] != b"content-type"]
    kind = (b"x-amzn-errortype", name.encode())
    return render.Rendered(
        status, [_JSON, kind, *headers], msgspec.json.encode({"message": message})
    )


def _profile(name: str) -> dict[str, Any]:
    arn = name if name.startswith("arn:") else f"arn:aws:bedrock:::inference-profile/{name}"
    return {
        "inferenceProfileId": name,
        "inferenceProfileName": name,
        "inferenceProfileArn": arn,
        "models": [],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def _counted(body: bytes) -> bytes:
    """Return the invocation inside a request to count it."""
    try:
        encoded = msgspec.json.decode(body)["input"]["invokeModel"]["body"]
        return base64.b64decode(encoded, validate=True)
    except (*MALFORMED, KeyError, TypeError, binascii.Error):
        raise InvalidRequestError("input.invokeModel.body: Field required, in base64") from None


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [*answer.head.headers, *render.own_headers(answer.head)]
    if answer.head.request_id and not any(name == b"x-amzn-requestid" for name, _ in headers):
        headers.append((b"x-amzn-requestid", answer.head.request_id.encode("latin-1")))
    return headers


def _framed(frame: Frame) -> bytes:
    if not frame.data:
        return b""
    if frame.event != b"error":
        return _chunk(frame.data)
    name, _, message = _exception(frame.data)
    headers = {
        ":exception-type": name[:1].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode(headers, msgspec.json.encode({"message": message}))


def _exception(body: bytes) -> tuple[str, int, str]:
    """Return what Bedrock calls an error, the status it has there, and its words."""
    try:
        error = msgspec.json.decode(body)["error"]
        kind, message = str(error["type"]), str(error["message"])
    except (*MALFORMED, KeyError, TypeError):
        kind, message = "", body.decode("utf-8", "replace")
    name, status = _EXCEPTIONS.get(kind, _OTHER)
    if "prompt is too long" in message:
        # The words by which Bedrock's clients know it.
        message = "Input is too long for requested model."
    return name, status, message
