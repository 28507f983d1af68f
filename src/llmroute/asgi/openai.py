"""What OpenAI's two doors share: where they are, and how OpenAI words an error.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.asgi import render
from llmroute.asgi.door import call_of
from llmroute.asgi.identity import LONGEST_NAME
from llmroute.errors import InvalidRequestError, RequestError, UpstreamError
from llmroute.messages.call import Call, Endpoint, Format, Spoken
from llmroute.router import Answer, Head
from llmroute.translate.asked import Asked
from llmroute.translate.to_openai_error import openai_error_object
from llmroute.wire.envelope import Envelope
from llmroute.wire.headers import upward

__all__ = [
    "MODELS",
    "OPENAI_PATHS",
    "PREFIX",
    "answer_headers",
    "named_model",
    "openai_call",
    "openai_failure",
    "openai_last",
    "openai_refusal",
]

PREFIX: Final = r"(?:/openai)?(?:/v1){0,2}"
"""What may stand before a path of OpenAI's: Azure has `/openai`, and a base URL that ends in `/v1`
makes some clients ask for `/v1/v1/…`."""

OPENAI_PATHS: Final = re.compile(
    r"/openai(?:/.*)?"
    r"|(?:/v1){0,2}/(?:chat|responses|completions|embeddings|moderations|images|audio"
    r"|conversations|realtime|assistants|threads|vector_stores|fine_tuning)(?:/.*)?"
)
"""The paths below which an error is worded as OpenAI words it, served or not."""

MODELS: Final = re.compile(PREFIX + r"/models(?:/(?P<name>.*))?")
"""The paths of the models, in one shape for all clients."""

_JSON = (b"content-type", b"application/json")
_FINAL = (b"x-should-retry", b"false")
# Anthropic's statuses that OpenAI's API does not have. Its clients know a bill that was not paid by
# the code of a 429.
_STATUSES: Final = {529: 503, 402: 429}


def openai_call(
    spoken: Format,
    said: Envelope,
    asked: Asked,
    scope: dict[str, Any],
    caller: Caller,
    *,
    endpoint: Endpoint = "messages",
) -> Call:
    """Make the call that a request in one of OpenAI's formats asks for.

    Args:
        spoken: The request's format.
        said: The request.
        asked: Its translation.
        scope: Of the HTTP request.
        caller: Who makes it.
        endpoint: What of the Messages API answers it.

    Raises:
        InvalidRequestError: It asks for a timeout that is none.
    """
    call = call_of(
        endpoint,
        Envelope.of(asked.body),
        named_model(said),
        scope,
        caller,
        stream=endpoint == "messages" and said.is_true("stream"),
        headers=upward(scope["headers"]),
        client_auth=caller.client_auth,
        spoken=Spoken(spoken, said, asked.losses, asked.obstacle),
    )
    session = said.get("prompt_cache_key")
    if isinstance(session, str) and not call.session:
        return dataclasses.replace(call, session=session[:LONGEST_NAME])
    return call


def named_model(said: Envelope) -> str:
    """Return the model that a request names.

    Raises:
        InvalidRequestError: It names none.
    """
    model = said.string("model")
    if not model:
        raise InvalidRequestError("model: a non-empty string is required")
    return model


def openai_failure(error: RequestError | UpstreamError) -> render.Rendered:
    """Word an error in place of an answer; what is in one of OpenAI's formats stays as it came."""
    rendered = render.failure(error)
    if isinstance(error, UpstreamError) and error.format != "messages" and _is_told(error):
        return rendered
    status = _STATUSES.get(error.status, error.status)
    headers = _named([header for header in rendered.headers if header[0] != _JSON[0]])
    if error.status == 402 and not any(name == _FINAL[0] for name, _ in headers):
        headers.append(_FINAL)
    kind, message = render.described(error)
    body = msgspec.json.encode(openai_error_object(kind, message, error.status))
    return render.Rendered(status, [_JSON, *headers], body)


def _is_told(error: UpstreamError) -> bool:
    return bool(error.event or error.body)


def openai_last(error: RequestError | UpstreamError) -> bytes:
    """Word an error as the last of a stream that has begun; it has no name among events."""
    if isinstance(error, UpstreamError) and error.format != "messages":
        if error.event:
            return error.event
        if error.body:
            return b"data: " + b" ".join(error.body.splitlines()) + b"\n\n"
    kind, message = render.described(error)
    body = openai_error_object(kind, message, error.status)
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def openai_refusal(status: int, message: str, *headers: tuple[bytes, bytes]) -> render.Rendered:
    """Answer what is not served: no retry mends it."""
    error = {"message": message, "type": "invalid_request_error", "param": None}
    return render.final(status, {"error": {**error, "code": "unknown_url"}}, *headers)


def answer_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers but its content type, the request's id under OpenAI's name."""
    head: Head = answer.head
    given = [header for header in head.headers if header[0] != _JSON[0]]
    return [*_named(given), *render.own_headers(head)]


def _named(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = dict(headers)
    if b"request-id" in names and b"x-request-id" not in names:
        return [*headers, (b"x-request-id", names[b"request-id"])]
    return headers
