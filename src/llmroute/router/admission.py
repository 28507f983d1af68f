"""Which calls may be made: the one place where a call is refused before anybody is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from llmroute.messages.call import Call
from llmroute.observe import Record
from llmroute.wire.headers import Headers

__all__ = ["Admission", "Grant"]


class Grant(Protocol):
    """A call that may be made; what was set aside for it is given back when it is over."""

    def headed(self, headers: Headers) -> Headers:
        """Return what the client gets to see of an answer's headers, and of the budget."""

    def bare(self, headers: Headers) -> Headers:
        """Return what the client gets to see of an error's headers."""

    def settle(self, record: Record) -> None:
        """Take what the call cost in place of what was set aside; called once, must not block."""


class Admission(Protocol):
    """Says which calls may be made."""

    async def admit(self, call: Call, alias: str, quote: Callable[[], int | None]) -> Grant | None:
        """Let a call through; `None` if nothing need be settled after it.

        Args:
            call: From either door.
            alias: What it resolved to, as the configuration spells it.
            quote: Returns what the call may cost, in micro-dollars, or `None` if nobody knows; it
                takes some microseconds, so ask only if it matters.

        Raises:
            RequestError: It may not be made.
        """
