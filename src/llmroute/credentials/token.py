"""Credentials that are a token with an end, fetched when it is needed and again before it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import NamedTuple

import anyio
from anyio import to_thread

from llmroute.errors import MisconfiguredError, UpstreamError
from llmroute.providers import UpstreamRequest
from llmroute.wire.headers import Headers

__all__ = ["Fetch", "Token", "TokenCredential"]

# How long before its end a token is fetched anew, in seconds; Google's and Azure's own libraries
# take as much. Of a token that lives but shortly, the last quarter.
_EARLY = 300.0
# A token service may hand out the same token until just before its end: it is not asked more often.
_PAUSE = 30.0
# If a token is refused that was fetched because the last one was, the next is not fetched sooner.
_BETWEEN_REFUSALS = 10.0

# The token that the current task was given last.
_USED: ContextVar[Token | None] = ContextVar("_USED", default=None)


class Token(NamedTuple):
    """A token, and when it ends: seconds since 1970, or infinity."""

    value: str
    ends_at: float = math.inf


Fetch = Callable[[], Token]
"""Fetches a token, on a thread of its own; raises `UpstreamError`."""


class TokenCredential:
    """A bearer token.

    Fetched by one call at a time, however many need it.  A token that is about to end is replaced
    by the first call to notice, while the others go on with the old one.
    """

    __slots__ = (
        "_clock",
        "_error",
        "_fetch",
        "_headers",
        "_lock",
        "_renew_at",
        "_renewed_at",
        "_rounds",
        "_token",
    )

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = anyio.Lock()
        self._rounds = 0
        self._error: UpstreamError | None = None
        self._token: Token | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._renew_at = self._renewed_at = -math.inf

    async def completed(self, request: UpstreamRequest) -> UpstreamRequest:
        """Return the request as it is."""
        return request

    async def headers(self, request: UpstreamRequest) -> Headers:  # noqa: ARG002 - any request's
        """Return the one header, after a wait if there is no token.

        Raises:
            MisconfiguredError: The token service refused what is configured.
            UnreachableError: It did not answer.
        """
        now = self._clock()
        if self._token is None or now >= self._token.ends_at:
            await self._replace()
        elif now >= self._renew_at and not self._lock.locked():
            self._renew_at = now + _PAUSE
            # If it fails, the old one is good for a while yet.
            with suppress(UpstreamError):
                await self._replace()
        _USED.set(self._token)
        return self._headers

    async def renew(self) -> bool:
        """Fetch another token than the one this task was given, unless another call has done so.

        Where tokens are refused one after the other, it is not the token's fault: there is none.
        """
        if self._token is not None and self._token is not _USED.get():
            return True
        now = self._clock()
        if not self._lock.locked():
            if now < self._renewed_at + _BETWEEN_REFUSALS:
                return False
            self._renewed_at = now
        try:
            await self._replace()
        except UpstreamError:
            return False
        return True

    async def _replace(self) -> None:
        rounds = self._rounds
        async with self._lock:
            if self._rounds == rounds:
                # A call that is given up must not take the token of the others with it.
                with anyio.CancelScope(shield=True):
                    await self._fetch_once()
            if self._error is not None:
                # Everyone who waited learns of it, each with an error of its own.
                raise type(self._error)(str(self._error), status=self._error.status)

    async def _fetch_once(self) -> None:
        self._error = None
        try:
            token = await to_thread.run_sync(self._fetch)
        except UpstreamError as error:
            self._error = error
        else:
            if not (token.value.isascii() and token.value.isprintable() and token.value):
                self._error = MisconfiguredError("the token service answered without a token")
            else:
                self._keep(token)
        finally:
            self._rounds += 1

    def _keep(self, token: Token) -> None:
        now = self._clock()
        early = min(_EARLY, (token.ends_at - now) / 4)
        self._token = token
        self._headers = [(b"authorization", b"Bearer " + token.value.encode())]
        self._renew_at = max(token.ends_at - early, now + _PAUSE)
