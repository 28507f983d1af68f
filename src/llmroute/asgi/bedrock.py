"""Amazon Bedrock's door: InvokeModel, its stream, CountTokens, and the list of profiles.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from typing import Any
from urllib.parse import unquote

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.accounts.model import Key
from llmroute.asgi import render
from llmroute.asgi.door import IN_A_HEADER, call_of, model_of, raw_path, translated
from llmroute.asgi.models import visible
from llmroute.errors import (
    BudgetError,
    InvalidRequestError,
    RequestError,
    UnauthorizedError,
    UnknownAliasError,
    UpstreamError,
)
from llmroute.messages.call import Call, Endpoint
from llmroute.messages.catalog import ModelInfo
from llmroute.messages.usage import Usage
from llmroute.router import Answer, Router
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.eventstream import encode
from llmroute.wire.headers import Headers, first
from llmroute.wire.sse import frames

__all__ = ["BedrockDoor", "failure", "is_below", "page"]

_PATH = re.compile(r"(?:/bedrock)?/model/(.+)/(invoke|invoke-with-response-stream|count-tokens)")
_STREAMING = "invoke-with-response-stream"
_PROFILES = re.compile(r"(?:/bedrock)?/inference-profiles(?:/(.*))?")
_SERVED = (
    "This proxy serves POST /model/{id}/invoke, /invoke-with-response-stream and /count-tokens, and"
    " GET /inference-profiles, with or without /bedrock before them."
)

_JSON = (b"content-type", b"application/json")
_CHUNK = {
    ":event-type": "chunk",
    ":content-type": "application/json",
    ":message-type": "event",
}

# What Bedrock calls each error of the Messages API, and answers it with; but for the 401, which is
# a 403 there: Claude Code repeats a 403 of Bedrock's ten times, over three minutes. (Measured with
# 2.1.330.)
_EXCEPTIONS = {
    "invalid_request_error": ("ValidationException", 400),
    "request_too_large": ("ValidationException", 413),
    "authentication_error": ("UnrecognizedClientException", 401),
    "billing_error": ("AccessDeniedException", 401),
    "permission_error": ("AccessDeniedException", 401),
    "not_found_error": ("ResourceNotFoundException", 404),
    "rate_limit_error": ("ThrottlingException", 429),
    "timeout_error": ("ModelTimeoutException", 408),
    "api_error": ("InternalServerException", 500),
    "overloaded_error": ("ServiceUnavailableException", 503),
}
# The exceptions that a stream may hold; any other becomes one of the model's.
_IN_A_STREAM = frozenset(
    {
        "InternalServerException",
        "ModelTimeoutException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "ValidationException",
    }
)
_TOO_LONG = "prompt is too long"
_TOO_LONG_AT_BEDROCK = "Input is too long for requested model."
# Where `x-api-key` is named, Claude Code says "Not logged in" and no more.
_HOW_TO_SEND_A_KEY = (
    ". Send its master key as `Authorization: Bearer KEY` (for Claude Code and for Amazon's own"
    " clients: set AWS_BEARER_TOKEN_BEDROCK)."
)

# Members of an invocation that are not counted.
_UNCOUNTED = ("max_tokens", "metadata", "stop_sequences", "temperature", "top_k", "top_p")

# The figures at the end of a stream, and the headers that have them for a whole answer.
_METRICS = "amazon-bedrock-invocationMetrics"
_FIGURES = {
    "inputTokenCount": b"x-amzn-bedrock-input-token-count",
    "outputTokenCount": b"x-amzn-bedrock-output-token-count",
    "invocationLatency": b"x-amzn-bedrock-invocation-latency",
    "cacheReadInputTokenCount": b"x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": b"x-amzn-bedrock-cache-write-input-token-count",
}

# An alias that a client takes for one of Bedrock's.
_AN_ID = re.compile(r"(?<![a-z-])(?:[a-z-]+\.)?(anthropic\.claude-[a-z0-9.:-]+)")


def _chunk(data: bytes) -> bytes:
    # msgspec writes bytes in base64, as Bedrock does.
    return encode(_CHUNK, msgspec.json.encode({"bytes": data}))


class BedrockDoor:
    """One request in Bedrock's format."""

    __slots__ = ("_action", "_answer", "_began", "_model", "_router", "_started", "endpoint")

    passes_on = False
    content_type = (b"content-type", b"application/vnd.amazon.eventstream")
    # Bedrock sends none; its clients pass over an event they do not know.
    ping = _chunk(b'{"type":"ping"}')

    def __init__(self, router: Router, model: str, action: str) -> None:
        self.endpoint: Endpoint = "count_tokens" if action == "count-tokens" else "messages"
        self._router = router
        self._model = model
        self._action = action
        self._answer: Answer | None = None
        self._started = self._began = time.monotonic()

    @classmethod
    def of(cls, router: Router, scope: dict[str, Any]) -> BedrockDoor | None:
        """Return the door for a request, if its path is one of Bedrock's."""
        match = _PATH.fullmatch(raw_path(scope))
        # The slashes of an ARN stand escaped in its one segment.
        return None if match is None else cls(router, unquote(match[1]), match[2])

    def call(self, body: bytes, scope: dict[str, Any], caller: Caller) -> Call:
        """Read the request.  A signature of the client's is for Amazon, and does not go on.

        Raises:
            InvalidRequestError: It is no invocation.
        """
        counts = self.endpoint == "count_tokens"
        envelope = Envelope.parse(_counted(body) if counts else body)
        given: Headers = scope["headers"]
        if profile := envelope.string("user_profile_id"):
            if not IN_A_HEADER.fullmatch(profile):
                raise InvalidRequestError("user_profile_id: Input should be an id")
            given = [*given, (b"anthropic-user-profile-id", profile.encode("latin-1"))]
        model = model_of(self._router, self._model)
        stream = self._action == _STREAMING
        left_out = ("user_profile_id", "stream", *(_UNCOUNTED if counts else ()))
        streaming = {"stream": True} if stream else {}
        envelope, headers = translated(envelope, given, without=left_out, model=model, **streaming)
        return call_of(
            self.endpoint, envelope, model, scope, caller, stream=stream, headers=headers
        )

    def whole(self, answer: Answer) -> render.Rendered:
        """Hand on a whole answer, its figures in headers; a count under Bedrock's name."""
        headers, body = self._headers(answer, _JSON), answer.body
        if self.endpoint == "count_tokens":
            body = _count(body)
        else:
            figures = self._figures(answer.usage)
            headers += [(name, b"%d" % figures[figure]) for figure, name in _FIGURES.items()]
        return render.Rendered(answer.head.status, headers, body)

    def begin(self, answer: Answer) -> Headers:
        """Return the headers of a streamed answer."""
        self._answer = answer
        self._began = time.monotonic()
        kind = (b"x-amzn-bedrock-content-type", b"application/json")
        return [*self._headers(answer, self.content_type), kind]

    def _headers(
        self, answer: Answer, content_type: tuple[bytes, bytes]
    ) -> list[tuple[bytes, bytes]]:
        given = [header for header in answer.head.headers if header[0] != b"content-type"]
        return [content_type, *_identified(given), *render.own_headers(answer.head)]

    def events(self, events: bytes) -> bytes:
        """Put each event into a message of Amazon's, an error into an exception."""
        return b"".join(
            [self._framed(frame.event, frame.data) for frame in frames(events) if frame.data]
        )

    def _framed(self, event: bytes, data: bytes) -> bytes:
        if event == b"error":
            return _exception(*_of_event(data))
        if event == b"message_stop" and self._answer is not None:
            figures = self._figures(self._answer.usage)
            try:
                data = bytes(Envelope.parse(data).replace(**{_METRICS: figures}))
            except InvalidRequestError:
                return _chunk(data)
        return _chunk(data)

    def _figures(self, usage: Usage) -> dict[str, int]:
        now = time.monotonic()
        return {
            "inputTokenCount": usage.input_tokens,
            "outputTokenCount": usage.output_tokens,
            "invocationLatency": round((now - self._started) * 1000),
            "firstByteLatency": round((self._began - self._started) * 1000),
            "cacheReadInputTokenCount": usage.cache_read_input_tokens,
            "cacheWriteInputTokenCount": usage.cache_creation_input_tokens,
        }

    def failure(self, error: RequestError | UpstreamError) -> render.Rendered:
        """Word an error as one of Amazon's exceptions."""
        return failure(error)

    def last(self, error: RequestError | UpstreamError) -> bytes:
        """Word an error as an exception in the stream."""
        return _exception(*render.described(error))


def is_below(scope: dict[str, Any]) -> bool:
    """Tell whether a request that has no door is one to Bedrock's API all the same."""
    path = raw_path(scope)
    return path.startswith(("/bedrock/", "/model/")) or _PROFILES.fullmatch(path) is not None


async def page(router: Router, scope: dict[str, Any], key: Key | None) -> render.Rendered:
    """Answer what is no invocation: the inference profiles, of which Claude Code reads the list.

    Those of models that the caller's key may not ask for are not there.

    Raises:
        UnknownAliasError: There is no such page, or no such profile.
    """
    match = _PROFILES.fullmatch(raw_path(scope))
    if match is None or scope["method"] not in ("GET", "HEAD"):
        raise UnknownAliasError(_SERVED, "")
    models = await visible(router, key)
    found = {model.id: _profile(model) for model in models if _is_an_id(model)}
    asked = unquote(match[1] or "")
    if not asked:
        return render.plain(200, {"inferenceProfileSummaries": list(found.values())})
    profile = found.get(asked) or found.get(asked.rpartition("/")[2])
    if profile is None:
        raise UnknownAliasError(f"No alias is called as the inference profile: {asked}", asked)
    return render.plain(200, profile)


def _is_an_id(model: ModelInfo) -> bool:
    return _AN_ID.fullmatch(model.id) is not None


def _profile(model: ModelInfo) -> dict[str, Any]:
    name = _AN_ID.sub(r"\1", model.id)
    return {
        "inferenceProfileId": model.id,
        "inferenceProfileName": model.display_name,
        "inferenceProfileArn": f"arn:aws:bedrock:us-east-1::inference-profile/{model.id}",
        "models": [{"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{name}"}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def failure(error: RequestError | UpstreamError) -> render.Rendered:
    """Word an error as one of Amazon's exceptions, with the headers it came with."""
    kind, message = render.described(error)
    if isinstance(error, UnauthorizedError):
        message = message.partition(". ")[0] + _HOW_TO_SEND_A_KEY
    if isinstance(error, BudgetError):
        # Claude Code would take what an upstream's bill is told with for a key that is refused.
        name, status = "ServiceQuotaExceededException", error.status
    else:
        name, status = _named(kind, error.status)
    given = [header for header in render.failure(error).headers if header[0] != b"content-type"]
    body = msgspec.json.encode({"message": _worded(message)})
    headers = [_JSON, (b"x-amzn-errortype", name.encode()), *_identified(given)]
    return render.Rendered(status, headers, body)


def _named(kind: str, status: int) -> tuple[str, int]:
    """Return an exception's name and status, by the error's name or else by its own status."""
    if kind in _EXCEPTIONS:
        return _EXCEPTIONS[kind]
    if status < 500:
        return "ValidationException", status
    return "InternalServerException", status


def _worded(message: str) -> str:
    """Put Bedrock's words for an overflow before Anthropic's; clients look for either."""
    if _TOO_LONG not in message.lower():
        return message
    if _TOO_LONG_AT_BEDROCK in message:
        return message.removeprefix(f"{_TOO_LONG}: ")
    return f"{_TOO_LONG_AT_BEDROCK} {message}"


def _identified(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Name the request as Amazon's clients expect it."""
    given = list(headers)
    request_id = first(headers, b"request-id")
    if request_id and first(headers, b"x-amzn-requestid") is None:
        given.append((b"x-amzn-requestid", request_id.encode("latin-1")))
    return given


def _exception(kind: str, message: str) -> bytes:
    name, status = _named(kind, 500)
    described: dict[str, Any] = {"message": _worded(message)}
    if name not in _IN_A_STREAM:
        name = "ModelStreamErrorException"
        described |= {"originalStatusCode": status, "originalMessage": message}
    headers = {
        ":exception-type": name[:1].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode(headers, msgspec.json.encode(described))


def _of_event(data: bytes) -> tuple[str, str]:
    try:
        error = msgspec.json.decode(data)["error"]
        return str(error.get("type") or "api_error"), str(error.get("message") or "")
    except (*MALFORMED, KeyError, TypeError, AttributeError):
        return "api_error", "The answer ended with an error."


def _counted(body: bytes) -> bytes:
    """Return the invocation that is to be counted."""
    try:
        encoded = Envelope.parse(body)["input"]["invokeModel"]["body"]
        return base64.b64decode(encoded, validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise InvalidRequestError(
            "input.invokeModel.body: Field required, an invocation's body in base64"
        ) from None


def _count(body: bytes) -> bytes:
    try:
        return msgspec.json.encode({"inputTokens": msgspec.json.decode(body)["input_tokens"]})
    except (*MALFORMED, KeyError, TypeError):
        return body
