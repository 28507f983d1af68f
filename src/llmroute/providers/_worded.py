"""What a cloud says of an error, in the Anthropic API's words: clients recover by them."""

from __future__ import annotations

import re
from typing import Any

from llmroute.errors import UpstreamError
from llmroute.messages.events import error_body, error_type
from llmroute.providers._base import decoded, native_error
from llmroute.wire.headers import Headers

__all__ = ["decoded", "is_native", "worded"]

_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context window|input is too long"
    r"|too many (?:input )?tokens|input token count|exceeds the maximum number of tokens",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"payload size exceeds|request (?:entity|body) (?:is )?too large", re.IGNORECASE
)


def is_native(described: dict[str, Any]) -> bool:
    """Whether an error has the Anthropic API's own shape."""
    error = described.get("error")
    return (
        described.get("type") == "error"
        and isinstance(error, dict)
        and isinstance(error.get("type"), str)
    )


def worded(status: int, headers: Headers, message: str) -> UpstreamError:
    """Return the error that the Anthropic API would have answered in its place."""
    if status in (400, 413, 422) and _TOO_LONG.search(message):
        # Claude Code compacts a conversation on these words.
        status, message = 400, f"prompt is too long: {message}"
    elif status == 400 and _TOO_LARGE.search(message):
        status = 413
    # A method that is not taken: the address is wrong, and not the request.
    kind = "not_found_error" if status == 405 else error_type(status)
    # Whatever the answer was, it is JSON now.
    kept = [header for header in headers if header[0] != b"content-type"]
    return native_error(status, [*kept, _JSON], error_body(kind, message))


_JSON = (b"content-type", b"application/json")
