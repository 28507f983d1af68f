"""What servers that speak OpenAI's formats say of an error, in the Anthropic API's words.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from llmroute.messages.events import error_type

__all__ = ["OpenAIProblem", "delay_in", "overflow", "problem_of"]

_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context (?:window|length|size)"
    r"|(?:input|prompt) is too long|too many (?:input )?tokens|input token count"
    r"|exceeds? the maximum (?:number of tokens|allowed input|input length)"
    r"|reduce the length of (?:the|your) (?:messages|prompt|input)|exceeds the available context",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:context (?:length|window|size|limit)|maximum)\D{0,60}?(\d[\d,]{2,})", re.IGNORECASE
)
_FIGURE = re.compile(r"(?<![\d.,])\d[\d,]{2,}(?!\d|\.\d)")
# The prompt would fit, were it not for the answer that was asked for.
_PARTS = re.compile(r"\((\d+) in the messages?, (\d+) in the completion\)")
_GIVEN = re.compile(r"request has (\d+) input tokens")
_ASKED = re.compile(r"max_(?:completion_)?tokens\W+is too large: (\d+)")
# llama.cpp's server calls it a fault of its own.
_UNSEEN = re.compile(r"(?:image|audio|video) input is not supported", re.IGNORECASE)
_TOO_LARGE = re.compile(r"(?:request|payload|body)[^.]{0,40}too large", re.IGNORECASE)
_BY_CODE = {
    "insufficient_quota": 402,
    "billing_hard_limit_reached": 402,
    "billing_not_active": 402,
    "rate_limit_exceeded": 429,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "deploymentnotfound": 404,
    "server_error": 500,
    "internal_server_error": 500,
    "slow_down": 529,
    "server_is_overloaded": 529,
    "engine_overloaded": 529,
    "overloaded": 529,
    "overloaded_error": 529,
    "server_overloaded": 529,
}
# Inside a stream, where no status tells.
_CALLERS_KINDS = frozenset({"invalid_request_error", "invalid_prompt"})
_POLICY = re.compile(
    r"content_policy|content_filter|policy_violation|(?:bio|cyber|safety)_policy|^invalid_prompt$"
)
_FOREIGN_REASONING = re.compile(
    r"encrypted content .{0,80}could not be (?:verified|decrypted)", re.IGNORECASE
)
# Keys stand in messages half hidden; whose they are is nobody's business either.
_KEY = re.compile(r"\b(?:sk|sess|pk)-[\w*.-]*[\w*-]")
_OWNER = re.compile(r"\b(?:org|proj|user)[-_][A-Za-z0-9]{8,}")
_WAIT = re.compile(r"try again in ((?:[\d.]+\s*(?:ms|[dhms])\s*)+)", re.IGNORECASE)
_DURATION = re.compile(r"(?:[\d.]+(?:ms|[dhms]))+")
_PART = re.compile(r"([\d.]+)\s*(ms|[dhms])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_NO_BILL = re.compile(r"insufficient (?:balance|credits?|quota|funds)|exceeded your current quota")
_CALLERS = range(400, 500)
# Of a request to which the answer was that a part of it has failed.
_FAILED_DEPENDENCY = 424


class OpenAIProblem(NamedTuple):
    """An error.

    Attributes:
        status: The HTTP status that the Anthropic API would have answered with.
        code: The server's own word for it, perhaps empty.
        message: For people, and for clients that recover by it.
    """

    status: int
    code: str
    message: str

    @property
    def kind(self) -> str:
        """Anthropic's name for it."""
        # A method that is not taken: the address is wrong, and not the request.
        return "not_found_error" if self.status == 405 else error_type(self.status)


def problem_of(data: Any, status: int = 0) -> OpenAIProblem:
    """Read an error's body, or the error that stands in a stream.

    Args:
        data: Decoded.
        status: That of the answer; 0 for a stream's, which says it itself if at all.
    """
    code, kind, message, told = _said(data)
    message = _redacted(message)
    name = code.lower()
    if not status:
        is_callers = name in _CALLERS_KINDS or kind in _CALLERS_KINDS or _POLICY.search(name)
        status = told or (400 if is_callers else 500)
    too_long = status in (400, 413, 422, 500) and (
        name == "context_length_exceeded" or _TOO_LONG.search(message)
    )
    if too_long and name != "rate_limit_exceeded":
        return OpenAIProblem(400, code, overflow(message))
    if _NO_BILL.search(message.lower()):
        status = 402
    elif status == 500 and _UNSEEN.search(message):
        status = 400
    elif name in _BY_CODE or kind in _BY_CODE:
        meant = _BY_CODE.get(name) or _BY_CODE[kind]
        # What the server says of itself is for its faults only.
        if status not in _CALLERS or meant in _CALLERS:
            status = meant
    elif status == _FAILED_DEPENDENCY:
        status = 500
    elif status == 400 and _TOO_LARGE.search(message):
        status = 413
    shown = message or code or f"The server answered {status}"
    if code and not code.isdecimal() and code.lower() not in shown.lower():
        shown = f"{code}: {shown}"
    if name == "invalid_encrypted_content" or _FOREIGN_REASONING.search(message):
        # By these words a conversation goes on without the reasoning.
        shown = f"Invalid `signature` in `thinking` block: {shown}"
    elif status in (400, 422) and _POLICY.search(name) and "content_policy_violation" not in shown:
        shown = f"content_policy_violation: {shown}"
    return OpenAIProblem(status, code, shown)


def delay_in(text: str) -> float | None:
    """Return the seconds that a duration comes to, or that a message tells one to wait.

    >>> delay_in("6m0s"), delay_in("Please try again in 1.5s."), delay_in("soon")
    (360.0, 1.5, None)
    """
    waits = _WAIT.search(text)
    if waits is None and not _DURATION.fullmatch(text.strip()):
        return None
    try:
        parts = _PART.findall(waits[1] if waits else text)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    except ValueError:
        return None


def _redacted(text: str) -> str:
    """Take out what a client has no business to know.

    >>> _redacted("Incorrect API key provided: sk-pro***x1. In organization org-aBc123def4")
    'Incorrect API key provided: (key). In organization (owner)'
    """
    return _OWNER.sub("(owner)", _KEY.sub("(key)", text))


def overflow(message: str) -> str:
    """Word an overflow of the context window so that Claude Code compacts the conversation."""
    limit = _LIMIT.search(message)
    if limit is not None:
        most = _number(limit[1])
        given, asked = _parts(message)
        if 0 < given < most:
            return (
                "input length and `max_tokens` exceed context limit:"
                f" {given} + {asked} > {most} ({message})"
            )
        longest = max(map(_number, _FIGURE.findall(message)), default=0)
        if longest > most:
            return f"prompt is too long: {longest} tokens > {most} maximum ({message})"
    return f"prompt is too long: {message or 'it is over the context window'}"


def _parts(message: str) -> tuple[int, int]:
    """Return how long the prompt is and how long the answer may be, if both are told."""
    if (parts := _PARTS.search(message)) is not None:
        return int(parts[1]), int(parts[2])
    given, asked = _GIVEN.search(message), _ASKED.search(message)
    return (int(given[1]), int(asked[1])) if given and asked else (0, 0)


def _number(figure: str) -> int:
    return int(figure.replace(",", ""))


def _said(data: Any) -> tuple[str, str, str, int]:
    """Return code, type, message and status, from whichever members hold them."""
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, Mapping):
        return "", "", _text(data), 0
    error = data.get("error")
    source = error if isinstance(error, Mapping) else data
    inner = source.get("innererror")
    code = _text(source.get("code"))
    if not code and isinstance(inner, Mapping):
        code = _text(inner.get("code"))
    message = _text(source.get("message")) or _text(error) or _detail(source.get("detail"))
    metadata = source.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw']}" if message else metadata["raw"]
    status = source.get("status_code") or source.get("status") or code
    told = int(status) if str(status).isdecimal() and 400 <= int(status) < 600 else 0
    return code, _text(source.get("type")).lower(), message, told


def _detail(detail: Any) -> str:
    """Read what FastAPI says of a request."""
    if isinstance(detail, list):
        return "; ".join(
            f"{'.'.join(map(str, each.get('loc') or ()))}: {_text(each.get('msg'))}"
            for each in detail
            if isinstance(each, Mapping)
        )
    if isinstance(detail, Mapping):
        return _text(detail.get("message"))
    return _text(detail)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)
