"""What the proxy itself says: errors in Anthropic's shape, the list of models, its own headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from llmroute.errors import (
    MisconfiguredError,
    RequestError,
    UntranslatableError,
    UpstreamError,
)
from llmroute.messages.events import error_body, error_event, error_type
from llmroute.router import Head
from llmroute.wire.headers import downward

__all__ = [
    "HEADERS",
    "Rendered",
    "as_event",
    "described",
    "failure",
    "final",
    "not_allowed",
    "not_found",
    "own_headers",
    "plain",
    "refusal",
]

HEADERS = {
    "deployment": b"x-llmroute-deployment",
    "model": b"x-llmroute-model",
    "attempts": b"x-llmroute-attempts",
    "call": b"x-llmroute-call",
    "estimated": b"x-llmroute-estimated",
    "losses": b"x-llmroute-losses",
}
"""Our own response headers: which deployment answered, its model, after how many attempts, the
call's id in the records, whether a token count is an estimate, and what of the request the upstream
did not get to see."""

# What no header may hold becomes a question mark.
_PRINTABLE = bytes.maketrans(bytes([*range(32), 127]), b"?" * 33)
_LONGEST = 200  # characters of a name in a header
_LONGEST_LOSSES = 1000  # characters; a request of Claude Code's may have twenty lines

_JSON = (b"content-type", b"application/json")
_FINAL = (b"x-should-retry", b"false")


class Rendered(NamedTuple):
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def own_headers(head: Head) -> list[tuple[bytes, bytes]]:
    """Say which deployment and model answered, and what they did not get to see."""
    headers = [
        (HEADERS["deployment"], _value(head.deployment)),
        (HEADERS["model"], _value(head.model)),
        (HEADERS["attempts"], str(head.attempts).encode()),
    ]
    if head.call:
        headers.append((HEADERS["call"], head.call.encode()))
    if head.losses:
        headers.append((HEADERS["losses"], _losses(head.losses)))
    return headers


def _losses(lines: Sequence[str]) -> bytes:
    """Write lines into one, as many as there is room for; the number of all of them is first."""
    return _value(f"{len(lines)}; " + "; ".join(lines), _LONGEST_LOSSES)


def _value(text: str, longest: int = _LONGEST) -> bytes:
    """Write a header's value; the caller may have chosen it, where an alias has a `*`."""
    return text[:longest].encode("utf-8", "replace").translate(_PRINTABLE)


def plain(status: int, data: Any) -> Rendered:
    """Answer with JSON."""
    return Rendered(status, [_JSON], msgspec.json.encode(data))


def final(status: int, data: Any, *headers: tuple[bytes, bytes]) -> Rendered:
    """Answer with JSON, and say that asking again will not help."""
    return Rendered(status, [_JSON, _FINAL, *headers], msgspec.json.encode(data))


def not_found(message: str) -> Rendered:
    """Answer a path that is not served."""
    return Rendered(404, [_JSON, _FINAL], error_body("not_found_error", message))


def not_allowed(methods: str) -> Rendered:
    """Answer a method that a path does not take."""
    body = error_body("invalid_request_error", f"Method not allowed; this path takes {methods}")
    return Rendered(405, [_JSON, _FINAL, (b"allow", methods.encode())], body)


def refusal(error: RequestError) -> Rendered:
    """Answer a request that cannot be done.

    Where no retry mends it, that is said: Claude Code would repeat a 401 for three minutes.
    """
    final = [_FINAL] if error.is_final else []
    body = error_body(error.type, str(error))
    return Rendered(error.status, [_JSON, *final, *error.headers], body)


def failure(error: RequestError | UpstreamError) -> Rendered:
    """Answer with what the upstream said, as it said it, or say why it said nothing.

    Claude Code recovers from errors by their wording and believes `retry-after`, so neither is
    touched. One thing is added: where the upstream refused the credential that is configured here,
    or was not asked at all, the client need not try ten times more.
    """
    if isinstance(error, RequestError):
        return refusal(error)
    headers = [*downward(error.headers), *_origin(error)]
    ours = isinstance(error, MisconfiguredError) and not error.is_the_callers
    refused = ours and error.status in (401, 403)
    final = refused or isinstance(error, UntranslatableError)
    if final and not any(name == b"x-should-retry" for name, _ in headers):
        headers.append(_FINAL)
    if error.event:
        return Rendered(200, headers, error.event)
    if error.body:
        if not any(name == b"content-type" for name, _ in headers):
            headers.append(_JSON)
        return Rendered(error.status, headers, error.body)
    headers = [header for header in headers if header[0] != b"content-type"]
    return Rendered(error.status, [_JSON, *headers], _composed(error))


def as_event(error: RequestError | UpstreamError) -> bytes:
    """Word an error as the last event of a stream that has been answered 200 already."""
    if isinstance(error, RequestError):
        return error_event(error_body(error.type, str(error)))
    if error.event:
        return error.event
    return error_event(error.body if _is_error(error.body) else _composed(error))


def described(error: RequestError | UpstreamError) -> tuple[str, str]:
    """Return Anthropic's name for an error, and what it says, to be told in other words."""
    if isinstance(error, RequestError):
        return error.type, str(error)
    body = error.body if _is_error(error.body) else _composed(error)
    inner = msgspec.json.decode(body)["error"]
    return str(inner.get("type") or error_type(error.status)), str(inner.get("message") or error)


def _is_error(body: bytes) -> bool:
    try:
        error = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(error, dict) and isinstance(error.get("error"), dict)


def _composed(error: UpstreamError) -> bytes:
    where = f"deployment {error.deployment!r}: " if error.deployment else ""
    return error_body(error_type(error.status), where + str(error))


def _origin(error: UpstreamError) -> list[tuple[bytes, bytes]]:
    if not error.deployment:
        return []
    return [
        (HEADERS["deployment"], _value(error.deployment)),
        (HEADERS["attempts"], str(error.attempts).encode()),
    ]
