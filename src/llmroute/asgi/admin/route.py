"""What a page is, and what it is asked with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import anyio.to_thread

from llmroute.accounts.caller import Caller
from llmroute.asgi.render import Rendered, failure
from llmroute.errors import InvalidRequestError, RequestError, StoreError
from llmroute.ledger import Ledger
from llmroute.router import Router

__all__ = ["Asking", "Route"]


class Asking(NamedTuple):
    """One request for a page.

    Attributes:
        ledger: What is managed.
        router: Whose models and prices hold.
        caller: Who asks.
        names: The named parts of the path.
        query: Of the address; of a parameter that comes twice, the last value.
        body: The JSON object that was sent; empty if there was none.
    """

    ledger: Ledger
    router: Router
    caller: Caller
    names: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, Any]

    @property
    def actor(self) -> str:
        """Who asks, for the audit trail."""
        return self.caller.sender.key

    def number(self, name: str, otherwise: int, most: int) -> int:
        """Return a whole number of the query, `most` at the most.

        Raises:
            InvalidRequestError: It is none, or negative.
        """
        given = self.query.get(name) or str(otherwise)
        if not (given.isascii() and given.isdigit() and len(given) < 20):
            raise InvalidRequestError(f"{name}: must be a whole number")
        return min(int(given), most)

    async def take_effect(self) -> None:
        """Have what was changed hold in this process at once; others see to it within a second."""
        try:
            await anyio.to_thread.run_sync(self.ledger.keyring.work)
        except StoreError:
            # It is written down, and the ledger's thread tries again.
            return


class Route(NamedTuple):
    """A page.

    Attributes:
        method: Its HTTP method; `GET` answers `HEAD` too.
        path: Matches its path, as it was sent: the named parts are decoded afterwards.
        handler: Answers; it may raise a `RequestError` or a `StoreError`.
        for_all: Whether any key may ask for it, and not only the master key.
        failure: Words an error.
    """

    method: str
    path: re.Pattern[str]
    handler: Callable[[Asking], Awaitable[Rendered]]
    for_all: bool = False
    failure: Callable[[RequestError], Rendered] = failure
