"""Who is calling: the key a client presents, and what of its credentials is its own."""

from __future__ import annotations

import functools
import hashlib
import hmac
import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from llmroute.errors import ForbiddenError, UnauthorizedError
from llmroute.wire.headers import Headers

__all__ = ["Caller", "Keys"]

# `x-litellm-api-key` comes first: a client that uses it keeps the others for the upstream.
_HEADERS = (b"x-litellm-api-key", b"authorization", b"x-api-key", b"api-key")
# No deployment that forwards its caller's own credential takes it in one of these: the last is how
# clients of Azure OpenAI present a key.
_OURS_ALONE = (b"x-litellm-api-key", b"api-key")


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
        """Know the master key; `None` lets in whoever is on this machine, and no web page there."""
        self._master = None if master_key is None else _digest(master_key.get_secret_value())

    def is_ours(self, header: tuple[bytes, bytes]) -> bool:
        """Tell whether a header, whatever its name, holds a key of this proxy's."""
        if self._master is None:
            return False
        return hmac.compare_digest(_digest(_value(header)), self._master)

    def authenticate(self, headers: Headers) -> Caller:
        """Return who is calling.

        A key may come as `Authorization: Bearer`, `x-api-key`, `api-key` or `x-litellm-api-key`;
        one that is ours is enough.  Comparing takes the same time whatever is presented.

        Raises:
            UnauthorizedError: No key was presented, or none that is known.
            ForbiddenError: There is no key to present, and the request names another host than
                this machine, or comes from another host's page in a browser on it.
        """
        presented = [header for header in headers if header[0] in _HEADERS and _holds_one(header)]
        if self._master is None:
            _stay_local(headers)
            return Caller("local", [h for h in presented if h[0] not in _OURS_ALONE])
        ours = [self.is_ours(header) for header in presented]
        if not any(ours):
            raise UnauthorizedError(_REFUSED if presented else _MISSING)
        return Caller(
            "master",
            [
                header
                for header, own in zip(presented, ours, strict=True)
                if not own and header[0] not in _OURS_ALONE
            ],
        )


def _stay_local(headers: Headers) -> None:
    # A page can make a browser send requests to loopback, under a name of its own at that.
    for name, value in headers:
        if name in (b"host", b"origin") and not _is_local(value):
            raise ForbiddenError(_FOREIGN)


@functools.lru_cache(maxsize=64)
def _is_local(value: bytes) -> bool:
    """Tell whether a `Host` or an `Origin` is this machine."""
    text = value.decode("latin-1")
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname
        if host == "localhost":
            return True
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


_FOREIGN = (
    "This llmroute proxy has no master key, so it answers requests to this machine's own address "
    "only. Set LLMROUTE_MASTER_KEY to serve others."
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


def _holds_one(header: tuple[bytes, bytes]) -> bool:
    """A signature for Amazon tells us nothing, and nobody else: it goes no further."""
    value = header[1].strip()
    return value != b"" and not value.startswith(b"AWS4-")


def _value(header: tuple[bytes, bytes]) -> bytes:
    value = header[1].strip()
    if value[:7].lower() == b"bearer ":
        return value[7:].strip()
    return value


def _digest(key: str | bytes) -> bytes:
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()
