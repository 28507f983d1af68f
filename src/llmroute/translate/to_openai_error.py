"""An error in OpenAI's words.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["openai_error_object"]

_BY_STATUS: Final = {
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    408: ("timeout", None),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    504: ("timeout", None),
}
# Within a stream, where no status tells.
_BY_KIND: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
# A member of the request that an error begins with, in the spelling of either API; before it may
# stand which deployment says so.
_PLACE = re.compile(r"(?:deployment '[^']*': )?([a-z_]+(?:\.\d+|\[\d*\]|\.[a-z_]+)*): ")
_TOO_LONG = "prompt is too long"


def openai_error_object(kind: str, message: str, status: int = 0) -> dict[str, Any]:
    """Word an error as OpenAI does.

    Args:
        kind: Anthropic's name for it.
        message: What it says.
        status: What the Messages API answers with, a 529 say; 0 where only the kind tells.

    >>> openai_error_object("invalid_request_error", "n: one answer is all there is", 400)["error"]
    {'message': 'n: one answer is all there is', 'type': 'invalid_request_error', 'param': 'n',
     'code': None}
    """
    status = status or _BY_KIND.get(kind, 500)
    if status in _BY_STATUS:
        shown, code = _BY_STATUS[status]
    elif status >= 500:
        shown, code = "server_error", "overloaded" if kind == "overloaded_error" else None
    else:
        shown, code = "invalid_request_error", None
    place = None
    if status in (400, 413, 422):
        found = _PLACE.match(message)
        place = found[1] if found else None
        if _TOO_LONG in message:
            place, code = "messages", "context_length_exceeded"
    return {"error": {"message": message, "type": shown, "param": place, "code": code}}
