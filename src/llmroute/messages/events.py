"""Messages events: as bytes for the wire, and as objects for Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from llmroute.wire.envelope import MALFORMED
from llmroute.wire.sse import Frame, encode

__all__ = ["PING", "Event", "error_body", "error_event", "error_type"]

PING = encode(b"ping", b'{"type": "ping"}')

# https://docs.claude.com/en/api/errors: what the API itself answers with for each status.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type(status: int) -> str:
    """Return Anthropic's name for the error that `status` stands for."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def error_body(kind: str, message: str) -> bytes:
    """Write an error as the Anthropic API words it."""
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def error_event(body: bytes) -> bytes:
    """Write an error body, as `error_body` makes it, as the last event of a stream."""
    return encode(b"error", b" ".join(body.splitlines()))


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a streamed answer.

    Attributes:
        type: `message_start`, `content_block_start`, `content_block_delta`, `content_block_stop`,
            `message_delta`, `message_stop`, `ping`, or whatever the API has come up with since.
        data: The event as it came, decoded.
    """

    type: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, frame: Frame) -> Event | None:
        """Read a frame; `None` for one that carries no event, such as a comment."""
        if not frame.data:
            return None
        try:
            data = msgspec.json.decode(frame.data)
        except MALFORMED:
            return None
        if not isinstance(data, dict):
            return None
        return cls(str(data.get("type") or frame.event.decode("latin-1")), data)

    @property
    def index(self) -> int:
        """The content block it belongs to; -1 for events of the message as a whole."""
        value = self.data.get("index")
        return value if isinstance(value, int) else -1

    @property
    def delta(self) -> Mapping[str, Any]:
        """What a `content_block_delta` or `message_delta` adds; else empty."""
        value = self.data.get("delta")
        return value if isinstance(value, dict) else {}

    @property
    def text(self) -> str:
        """The text that a `text_delta` adds; else empty."""
        value = self.delta.get("text")
        return value if isinstance(value, str) else ""
