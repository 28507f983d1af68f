"""Errors of OpenAI's APIs, and of servers that speak their formats."""

from __future__ import annotations

import math

import msgspec

from llmroute.errors import UpstreamError
from llmroute.messages.events import error_body
from llmroute.providers._base import native_error
from llmroute.translate.openai_errors import OpenAIProblem, delay_in, problem_of
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.headers import Headers, first

__all__ = ["openai_error", "raised"]

_JSON = (b"content-type", b"application/json")
_TOLD = (b"retry-after", b"retry-after-ms")
_LIMITED = ("requests", "tokens")
_SHOWN = 500


def openai_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Read an error; its `body` is what the Anthropic API would have answered in its place.

    https://platform.openai.com/docs/guides/error-codes
    """
    try:
        data = msgspec.json.decode(body)
    except MALFORMED:
        data = body[:_SHOWN].decode("utf-8", "replace")
    return raised(problem_of(data, status), headers)


def raised(problem: OpenAIProblem, headers: Headers) -> UpstreamError:
    """Return an error of that kind; `code` is the server's own, for rules to be made about it."""
    kept = [_JSON, *(header for header in headers if header[0] != _JSON[0])]
    if problem.status in (429, 503, 529) and not any(first(headers, name) for name in _TOLD):
        wait = _wait(problem.message, headers)
        if wait is not None:
            kept.append((b"retry-after", str(math.ceil(wait)).encode()))
    error = native_error(problem.status, kept, error_body(problem.kind, problem.message))
    error.code = error.code or problem.code
    return error


def _wait(message: str, headers: Headers) -> float | None:
    """Return the seconds until all limits that are used up are lifted."""
    if (told := delay_in(message)) is not None:
        return told
    waits = [
        delay_in(first(headers, f"x-ratelimit-reset-{each}".encode()) or "")
        for each in _LIMITED
        if first(headers, f"x-ratelimit-remaining-{each}".encode()) == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)
