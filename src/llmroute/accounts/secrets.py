"""Keys as clients present them: drawn, digested, shown once."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, NamedTuple

__all__ = ["PREFIX", "Secret", "digest_of", "drawn", "identifier"]

PREFIX: Final = "sk-llmr-"
"""What every key begins with that is made here; LiteLLM's users are used to `sk-`."""
_SHOWN = 4  # characters of its end


class Secret(NamedTuple):
    """A key that was just drawn."""

    key: str

    @property
    def hint(self) -> str:
        """Return what can be shown of it: its beginning, which is nobody's secret, and its end."""
        beginning = next((each for each in (PREFIX, "sk-") if self.key.startswith(each)), "")
        return f"{beginning}…{self.key[-_SHOWN:]}"

    def __repr__(self) -> str:
        return "Secret(…)"


def drawn() -> Secret:
    """Draw a key of 256 bits."""
    return Secret(PREFIX + secrets.token_urlsafe(32))


def digest_of(key: str | bytes) -> bytes:
    """Return the SHA-256 of a key: all that is kept of it.

    Keys are drawn, and nobody's choice, so a slow digest would guard nothing.
    """
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()


def identifier(kind: str) -> str:
    """Draw the id of a new thing, `key_…` say."""
    return f"{kind}_{secrets.token_hex(10)}"
