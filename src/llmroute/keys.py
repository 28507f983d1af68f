"""Who is calling: the key a client presents, and what of its credentials is its own."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from pydantic import SecretStr

from llmroute.errors import UnauthorizedError
from llmroute.wire.headers import Headers

__all__ = ["Caller", "Keys"]

# `x-litellm-api-key` comes first: a client that uses it keeps the other two for the upstream.
_HEADERS = (b"x-litellm-api-key", b"authorization", b"x-api-key")


class Caller(NamedTuple):
    """Who is calling.

    Attributes:
        key: The name of the key that was presented.
        client_auth: The caller's credential headers that are no key of ours: a claude.ai login,
            say, for deployments that forward it.
    """

    key: str
    client_auth: Headers


class Keys:
    """The keys this proxy knows.  Only a digest of each is kept."""

    __slots__ = ("_master",)

    def __init__(self, master_key: SecretStr | None) -> None:
        """Know the master key; `None` lets everyone in, for a proxy that only loopback reaches."""
        self._master = None if master_key is None else _digest(master_key.get_secret_value())

    def authenticate(self, headers: Headers) -> Caller:
        """Return who is calling.

        A key may come as `Authorization: Bearer`, `x-api-key` or `x-litellm-api-key`; one that is
        ours is enough.  Comparing takes the same time whatever is presented.

        Raises:
            UnauthorizedError: No key was presented, or none that is known.
        """
        presented = [header for header in headers if header[0] in _HEADERS and header[1].strip()]
        if self._master is None:
            return Caller("local", [h for h in presented if h[0] != b"x-litellm-api-key"])
        ours = [hmac.compare_digest(_digest(_value(h)), self._master) for h in presented]
        if not any(ours):
            raise UnauthorizedError(_REFUSED if presented else _MISSING)
        return Caller(
            "master",
            [
                header
                for header, own in zip(presented, ours, strict=True)
                if not own and header[0] != b"x-litellm-api-key"
            ],
        )


# Not worded like the API's own `invalid x-api-key`, upon which Claude Code says "Not logged in".
_MISSING = (
    "No key was sent to this llmroute proxy. Send its master key as `Authorization: Bearer KEY` or "
    "`x-api-key: KEY` (for Claude Code: set ANTHROPIC_AUTH_TOKEN)."
)
_REFUSED = (
    "The key that was sent is not one of this llmroute proxy's. Send its master key as "
    "`Authorization: Bearer KEY` or `x-api-key: KEY` (for Claude Code: set ANTHROPIC_AUTH_TOKEN)."
)


def _value(header: tuple[bytes, bytes]) -> bytes:
    value = header[1].strip()
    if value[:7].lower() == b"bearer ":
        return value[7:].strip()
    return value


def _digest(key: str | bytes) -> bytes:
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()
