"""Who is calling: the key a client presents, and what of its credentials is its own."""

from __future__ import annotations

import functools
import hmac
import ipaddress
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from llmroute.accounts.keyring import Keyring
from llmroute.accounts.model import Key
from llmroute.accounts.secrets import PREFIX, digest_of
from llmroute.errors import ForbiddenError, StoreError, UnauthorizedError, UnavailableError
from llmroute.messages.call import Sender
from llmroute.wire.headers import Headers

__all__ = ["Caller", "Keys", "check_usable"]

# `x-litellm-api-key` comes first: a client that uses it keeps the others for the upstream.
_HEADERS = (b"x-litellm-api-key", b"authorization", b"x-api-key", b"api-key")
# No deployment that forwards its caller's own credential takes it in one of these: the last is how
# clients of Azure OpenAI present a key.
_OURS_ALONE = (b"x-litellm-api-key", b"api-key")
# For each the database may be asked, and nobody has more.
_MOST_PRESENTED = 8
# One that is deleted or was drawn anew is nobody's now, and all the same no business of others.
_MADE_HERE = PREFIX.encode()

_MASTER = Sender("master")
_LOCAL = Sender("local")


class Caller(NamedTuple):
    """Who is calling.

    Attributes:
        sender: Who that is, for the record.
        client_auth: The caller's credential headers that are no key of ours: a claude.ai login,
            say, for deployments that forward it.
        is_admin: Whether it may manage keys and see what others use: the master key may, and
            whoever is on this machine where there is none.
    """

    sender: Sender
    client_auth: Headers
    is_admin: bool = False

    @property
    def key(self) -> Key | None:
        """The key that was presented; `None` for the master key, and where there is none."""
        account = self.sender.account
        return account if isinstance(account, Key) else None


class Keys:
    """The keys this proxy knows.  Only a digest of each is kept."""

    __slots__ = ("_clock", "_keyring", "_master")

    def __init__(
        self,
        master_key: SecretStr | None,
        keyring: Keyring | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            master_key: Its holder may do everything.  Without it, and without keys in the
                configuration, whoever is on this machine is let in, and no web page there.
            keyring: The other keys; `None` if there are none.
            clock: Seconds since 1970.
        """
        self._master = None if master_key is None else digest_of(master_key.get_secret_value())
        self._keyring = keyring
        self._clock = clock

    def is_ours(self, header: tuple[bytes, bytes]) -> bool:
        """Tell whether a header, whatever its name, holds a key of this proxy's.

        One of the database is known that was used of late, or that shows that it was made here.
        """
        if _MADE_HERE in header[1]:
            return True
        digest = digest_of(_value(header))
        if self._master is not None and hmac.compare_digest(digest, self._master):
            return True
        return self._keyring is not None and self._keyring.find(digest) is not None

    async def authenticate(self, headers: Headers) -> Caller:
        """Return who is calling.

        A key may come as `Authorization: Bearer`, `x-api-key`, `api-key` or `x-litellm-api-key`;
        one that is ours is enough.  Comparing takes the same time whatever is presented.

        Raises:
            UnauthorizedError: No key was presented, or none that is known, or one that has ended;
                or more than anybody has.
            ForbiddenError: The key is blocked.  Or there is no key to present, and the request
                names another host than this machine, or comes from another host's page in a
                browser on it.
            UnavailableError: The database that may know the key is away.
        """
        presented = [header for header in headers if header[0] in _HEADERS and _holds_one(header)]
        if len(presented) > _MOST_PRESENTED:
            raise UnauthorizedError(_TOO_MANY)
        found: Key | None = None
        is_master = False
        away: StoreError | None = None
        others: list[tuple[bytes, bytes]] = []
        for header in presented:
            digest = digest_of(_value(header))
            if self._master is not None and hmac.compare_digest(digest, self._master):
                is_master = True
                continue
            try:
                key = await self._known(digest)
            except StoreError as error:
                # It may be a login beside a key that is known, and stops nobody then.
                key, away = None, error
            if key is not None:
                found = found or key
            elif header[0] not in _OURS_ALONE and _MADE_HERE not in header[1]:
                others.append(header)
        if is_master:
            return Caller(_MASTER, others, is_admin=True)
        if found is not None:
            check_usable(found, self._clock())
            return Caller(found.sender, others)
        if self._is_open:
            _stay_local(headers)
            return Caller(_LOCAL, others, is_admin=True)
        if away is not None:
            raise UnavailableError(_AWAY) from away
        raise UnauthorizedError(_REFUSED if presented else _MISSING)

    @property
    def _is_open(self) -> bool:
        """Whether there is no key that everybody would have to present."""
        return self._master is None and not (self._keyring and self._keyring.is_configured)

    async def _known(self, digest: bytes) -> Key | None:
        if self._keyring is None:
            return None
        return self._keyring.find(digest) or await self._keyring.load(digest)


def check_usable(key: Key, now: float) -> None:
    """Check that a key may be used at all.

    Args:
        key: The key.
        now: Seconds since 1970.

    Raises:
        UnauthorizedError: It has ended.
        ForbiddenError: It is blocked, or its team is.
    """
    if key.expires is not None and key.expires.timestamp() <= now:
        ended = f"{key.expires:%Y-%m-%d %H:%M} UTC"
        raise UnauthorizedError(
            f"The key {key.name!r} ended on {ended}. Ask for a new one, or have it prolonged "
            f"(`llmroute keys update {key.name} --expires …`)."
        )
    if key.blocked:
        raise ForbiddenError(f"The key {key.name!r} is blocked. {_ASK}")
    if key.team is not None and key.team.blocked:
        raise ForbiddenError(f"The team {key.team.name!r} of this key is blocked. {_ASK}")


def _stay_local(headers: Headers) -> None:
    # A page can make a browser send requests to loopback, under a name of its own at that.
    for name, value in headers:
        if name in (b"host", b"origin") and not _is_local(value):
            raise ForbiddenError(_FOREIGN)
        # It names no origin where it asks for a picture, say.
        if name == b"sec-fetch-site" and value == b"cross-site":
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
# Neither names `x-api-key`: of such an error Claude Code says "Not logged in", and no more.
_MISSING = (
    "No key was sent to this llmroute proxy. Send its master key, or one that `llmroute keys "
    "create` made, as `Authorization: Bearer KEY` (for Claude Code: set ANTHROPIC_AUTH_TOKEN)."
)
_ASK = "Ask whoever runs this llmroute proxy."
_AWAY = (
    "The database that knows this llmroute proxy's keys does not answer, and this key was not used "
    "here of late. Try again in a moment."
)
_TOO_MANY = f"More than {_MOST_PRESENTED} keys were sent to this llmroute proxy. Send one."
_REFUSED = (
    "The key that was sent is not one of this llmroute proxy's. Send its master key, or one that "
    "`llmroute keys create` made, as `Authorization: Bearer KEY` (for Claude Code: set "
    "ANTHROPIC_AUTH_TOKEN)."
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
