"""Which headers go up to an upstream, which come down to the client, and which stop here.

One table for both directions, of open prefixes: a header that Anthropic invents tomorrow passes.
Headers are pairs of bytes with the name in lower case, as ASGI has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

__all__ = ["Headers", "downward", "first", "upward"]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

# Telemetry that an upstream may want and that identifies no one: `user-agent` and `x-stainless-*`
# tell an operator which client is behind a gateway, `x-app` is Claude Code's.
_UP_PREFIXES = (b"anthropic-", b"x-claude-code-", b"x-stainless-", b"x-claude-1p-")
_UP_NAMES = frozenset({b"user-agent", b"x-app", b"idempotency-key", b"traceparent", b"tracestate"})

_DOWN_PREFIXES = (b"anthropic-", b"x-ratelimit-", b"cf-ray")
_DOWN_NAMES = frozenset(
    {
        b"content-type",
        b"request-id",
        b"x-request-id",
        b"apim-request-id",
        b"x-amzn-requestid",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    }
)


def upward(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Keep what an Anthropic-format upstream gets to see of a client's headers."""
    return [
        header for header in headers if header[0].startswith(_UP_PREFIXES) or header[0] in _UP_NAMES
    ]


def downward(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Keep what a client gets to see of an upstream's headers."""
    return [
        header
        for header in headers
        if header[0].startswith(_DOWN_PREFIXES) or header[0] in _DOWN_NAMES
    ]


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the value of the first header called `name` (lower case), or `None`."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None
