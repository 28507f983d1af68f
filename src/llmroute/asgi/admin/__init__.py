"""What is managed over HTTP: keys, teams, budgets, and what was used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.client import ClientGoneError, Receive
from llmroute.asgi.render import Rendered, not_allowed
from llmroute.errors import (
    ForbiddenError,
    InvalidRequestError,
    RequestError,
    StoreError,
    UnavailableError,
)
from llmroute.ledger import Ledger
from llmroute.router import Router

__all__ = ["admin_page"]

# Each module lists its own.
_ROUTES: Final[Sequence[Route]] = ()
_LARGEST: Final = 1_048_576  # bytes of a body


async def admin_page(
    ledger: Ledger, router: Router, caller: Caller, scope: dict[str, Any], receive: Receive
) -> Rendered | None:
    """Answer what is managed here; `None` if the path is none of these.

    Raises:
        ClientGoneError: The client went away before the end of its request.
    """
    path, method = scope["path"], scope["method"]
    method = "GET" if method == "HEAD" else method
    found = {
        route.method: (route, match)
        for route in _ROUTES
        if (match := route.path.fullmatch(path)) is not None
    }
    if not found:
        return None
    if method not in found:
        return not_allowed(", ".join(found))
    route, match = found[method]
    try:
        if not (route.for_all or caller.is_admin):
            raise ForbiddenError(_MASTERS)
        asking = Asking(
            ledger,
            router,
            caller,
            {name: unquote(value) for name, value in match.groupdict().items() if value},
            {
                name: values[-1]
                for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()
            },
            await _body(receive) if method != "GET" else {},
        )
        return await route.handler(asking)
    except StoreError as error:
        return route.failure(UnavailableError(str(error)))
    except RequestError as error:
        return route.failure(error)


_MASTERS = "This takes the master key: the key that was sent may not manage keys or see others' use"


async def _body(receive: Receive) -> dict[str, Any]:
    """Read a body that is a JSON object; none at all is an empty one.

    Raises:
        InvalidRequestError: It is something else.
    """
    data = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        data += message.get("body", b"")
        if len(data) > _LARGEST:
            raise InvalidRequestError(f"the body is over {_LARGEST} bytes")
        if not message.get("more_body", False):
            break
    try:
        decoded = msgspec.json.decode(data or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return decoded
