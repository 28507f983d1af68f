"""The keys that this process knows, looked up by digest."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from llmroute.accounts.directory import Directory, Found
from llmroute.accounts.model import Key

__all__ = ["Keyring"]

# How long a key that nobody knows stays unknown without the database being asked again, and how
# many are remembered: whoever tries keys out must not keep it busy.
_UNKNOWN_FOR: Final = 5.0  # seconds
_MOST_UNKNOWN: Final = 10_000
_MOST_KNOWN: Final = 200_000


class Keyring:
    """Keys by the digest of what a client presents.

    The keys of the configuration are known from the start.  One of the database is read when it is
    first presented, and kept until it changes, which `work()` finds out.

    Args:
        configured: The keys of the configuration, by digest.
        directory: Those of the database; `None` if there is none.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        configured: Mapping[bytes, Key],
        directory: Directory | None,
        clock: Callable[[], float],
    ) -> None:
        """Prepare; nothing is read yet."""
        self._configured = configured
        self._directory = directory
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()
        self._digests: dict[str, set[bytes]] = {}
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._revision = 0

    @property
    def is_configured(self) -> bool:
        """Whether the configuration has keys."""
        return bool(self._configured)

    def find(self, digest: bytes) -> Key | None:
        """Return a key if it is known by now."""
        if (known := self._known.get(digest)) is not None and self._clock() < known[1]:
            return known[0]
        return self._configured.get(digest)

    async def load(self, digest: bytes) -> Key | None:
        """Return a key, and ask the database for it if need be; `None` if nobody knows it.

        Raises:
            StoreError: The database cannot be had.
        """
        found = self.find(digest)
        if found is not None or self._directory is None:
            return found
        until = self._unknown.get(digest)
        if until is not None and self._clock() < until:
            return None
        presented = await self._directory.find_key(digest)
        if presented is None:
            self._unknown[digest] = self._clock() + _UNKNOWN_FOR
            if len(self._unknown) > _MOST_UNKNOWN:
                self._unknown.popitem(last=False)
            return None
        self._unknown.pop(digest, None)
        self._keep(digest, presented)
        return presented.key

    def _keep(self, digest: bytes, found: Found) -> None:
        until = math.inf if found.until is None else found.until.timestamp()
        self._known[digest] = found.key, until
        self._digests.setdefault(found.key.id, set()).add(digest)
        if len(self._known) > _MOST_KNOWN:
            oldest, (key, _) = self._known.popitem(last=False)
            self._digests[key.id].discard(oldest)

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
        self._revision = changes.revision
        self._unknown.clear()
        for key in changes.ids:
            for digest in self._digests.pop(key, ()):
                self._known.pop(digest, None)
