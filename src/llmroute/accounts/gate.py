"""Gates: each says of a call whether it may be made, and holds what it takes until it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from llmroute.accounts.model import Key
from llmroute.messages.call import Call
from llmroute.observe import Record
from llmroute.wire.headers import Headers

__all__ = ["Asked", "Gate", "Hold"]


class Asked(NamedTuple):
    """A call at a gate.

    Attributes:
        call: From either door.
        alias: What it resolved to, as the configuration spells it.
        quote: Returns what the call may cost, in micro-dollars; `None` if nobody knows.
    """

    call: Call
    alias: str
    quote: Callable[[], int | None]

    @property
    def key(self) -> Key | None:
        """The key it was made with; `None` for the master key, and in process."""
        account = self.call.sender.account
        return account if isinstance(account, Key) else None


class Hold(Protocol):
    """What a gate has set aside for a call."""

    def headed(self, headers: Headers) -> Headers:
        """Return what the client gets to see of an answer's headers."""

    def settle(self, record: Record | None) -> None:
        """Take what the call used in place of it; `None` if it was not made after all."""


class Gate(Protocol):
    """Says whether a call may be made."""

    async def admit(self, asked: Asked) -> Hold | None:
        """Let a call through; `None` if nothing is set aside for it.

        Raises:
            RequestError: It may not be made.
        """
