"""The keys that this process knows, looked up by digest."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from llmroute.accounts.directory import Directory, Found
from llmroute.accounts.model import Key
from llmroute.errors import StoreError

__all__ = ["Keyring"]

# How long a key that nobody knows stays unknown without the database being asked again: whoever
# tries one again and again must not keep it busy.
_UNKNOWN_FOR: Final = 5.0  # seconds
# And whoever tries many shall not have all of it: so many are looked for at a time.
_ASKING: Final = 2
# While it is away, each would wait for it as long as it may take.
_AWAY_FOR: Final = 1.0  # seconds


class Keyring:
    """Keys by the digest of what a client presents.

    The keys of the configuration are known from the start.  One of the database is read when it is
    first presented, and kept until it changes, which `work()` finds out.  Of a digest that is in
    both, the configuration's key is meant.

    Args:
        configured: The keys of the configuration, by digest.
        directory: Those of the database; `None` if there is none.
        clock: Seconds since 1970.
        most_known: Digests that are kept; the oldest goes first.
        most_unknown: Digests of which it is remembered that nobody knows them.
    """

    def __init__(
        self,
        configured: Mapping[bytes, Key],
        directory: Directory | None,
        clock: Callable[[], float],
        *,
        most_known: int = 200_000,
        most_unknown: int = 10_000,
    ) -> None:
        """Prepare; nothing is read yet."""
        self._configured = configured
        self._directory = directory
        self._clock = clock
        self._most_known = most_known
        self._most_unknown = most_unknown
        self._known: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()
        # A key has several digests for as long as one before its rotation is taken.
        self._digests: dict[str, set[bytes]] = {}
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._revision = 0
        # Counts what was forgotten: a key that was read before may have changed since.
        self._forgotten = 0
        self._asking = anyio.CapacityLimiter(_ASKING)
        self._away_until = -math.inf
        # `work()` is called in another thread than the rest.
        self._changing = threading.Lock()

    @property
    def configured(self) -> Mapping[bytes, Key]:
        """The keys of the configuration, by digest."""
        return self._configured

    @property
    def is_configured(self) -> bool:
        """Whether the configuration has keys."""
        return bool(self._configured)

    def find(self, digest: bytes) -> Key | None:
        """Return a key if it is known by now."""
        if (key := self._configured.get(digest)) is not None:
            return key
        known = self._known.get(digest)
        return known[0] if known is not None and self._clock() < known[1] else None

    async def load(self, digest: bytes) -> Key | None:
        """Return a key, and ask the database for it if need be; `None` if nobody knows it.

        Raises:
            StoreError: The database cannot be had.
        """
        found = self.find(digest)
        if found is not None or self._directory is None or self._is_unknown(digest):
            return found
        async with self._asking:
            # Somebody else may have asked for it meanwhile.
            found = self.find(digest)
            if found is not None or self._is_unknown(digest):
                return found
            if self._clock() < self._away_until:
                raise StoreError("the database did not answer a moment ago")
            return await self._ask(self._directory, digest)

    def _is_unknown(self, digest: bytes) -> bool:
        until = self._unknown.get(digest)
        return until is not None and self._clock() < until

    async def _ask(self, directory: Directory, digest: bytes) -> Key | None:
        before = self._forgotten
        try:
            presented = await directory.find_key(digest)
        except StoreError:
            self._away_until = self._clock() + _AWAY_FOR
            raise
        with self._changing:
            if before == self._forgotten:
                if presented is None:
                    self._keep_unknown(digest)
                else:
                    self._keep(digest, presented)
        return None if presented is None else presented.key

    def _keep_unknown(self, digest: bytes) -> None:
        self._forget(digest)
        self._unknown[digest] = self._clock() + _UNKNOWN_FOR
        if len(self._unknown) > self._most_unknown:
            self._unknown.popitem(last=False)

    def _keep(self, digest: bytes, found: Found) -> None:
        self._forget(digest)
        self._unknown.pop(digest, None)
        until = math.inf if found.until is None else found.until.timestamp()
        self._known[digest] = found.key, until
        self._digests.setdefault(found.key.id, set()).add(digest)
        if len(self._known) > self._most_known:
            self._forget(next(iter(self._known)))

    def _forget(self, digest: bytes) -> None:
        """Forget one of a key's digests, and that it had any with the last."""
        known = self._known.pop(digest, None)
        if known is not None:
            others = self._digests[known[0].id]
            others.discard(digest)
            if not others:
                del self._digests[known[0].id]

    def configure(self, configured: Mapping[bytes, Key]) -> None:
        """Know the keys of another configuration from now on, and those of this one no more."""
        self._configured = configured

    def work(self) -> None:
        """Forget the keys that have changed since the last time, here or in another process.

        Raises:
            StoreError: The database cannot be had; those that are known stay as they are.
        """
        if self._directory is None:
            return
        changes = self._directory.changes(self._revision)
        if changes.revision == self._revision:
            return
        with self._changing:
            self._revision = changes.revision
            self._forgotten += 1
            self._unknown.clear()
            for key in changes.ids:
                for digest in tuple(self._digests.get(key, ())):
                    self._forget(digest)
