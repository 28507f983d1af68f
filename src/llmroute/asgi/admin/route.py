"""What a page is, and what it is asked with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from llmroute.accounts.caller import Caller
from llmroute.asgi.render import Rendered, failure
from llmroute.errors import RequestError
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


class Route(NamedTuple):
    """A page.

    Attributes:
        method: Its HTTP method; `GET` answers `HEAD` too.
        path: Matches its path.
        handler: Answers; it may raise a `RequestError` or a `StoreError`.
        for_all: Whether any key may ask for it, and not only the master key.
        failure: Words an error.
    """

    method: str
    path: re.Pattern[str]
    handler: Callable[[Asking], Awaitable[Rendered]]
    for_all: bool = False
    failure: Callable[[RequestError], Rendered] = failure
