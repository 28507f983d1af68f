"""The `traceparent` header: which trace a request belongs to (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import re

__all__ = ["traceparent"]

# A later version may have more behind it, which whoever knows only this one leaves alone.
_FORM = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=\Z|-)"
)
_LENGTH = 55
_FIRST_VERSION = b"00"


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
