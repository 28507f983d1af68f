"""The headers of W3C Trace Context: which trace a request belongs to."""

from __future__ import annotations

import re

from llmroute.wire.headers import Headers

__all__ = ["traceparent", "tracestate"]

# A later version may have more behind it, which whoever knows only this one leaves alone.
_FORM = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=\Z|-)"
)
_LENGTH = 55
_FIRST_VERSION = b"00"
# What everybody has to carry on, and nobody more.
_LONGEST_STATE = 512


def traceparent(value: bytes | None) -> str:
    """Return the first 55 characters of a header that is one, else nothing.

    >>> traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> traceparent(b"00-1-1-01")
    ''
    """
    if value is None or _FORM.match(value) is None:
        return ""
    if value.startswith(_FIRST_VERSION) and len(value) != _LENGTH:
        return ""
    return value[:_LENGTH].decode("ascii")


def tracestate(headers: Headers) -> str:
    """Return what the systems of a trace say of it, from however many headers there are.

    Nothing, where that is too long to be carried on.

    >>> tracestate([(b"tracestate", b"one=1"), (b"tracestate", b"two=2")])
    'one=1,two=2'
    """
    state = b",".join(value for name, value in headers if name == b"tracestate")
    return state.decode("latin-1") if len(state) <= _LONGEST_STATE else ""
