"""What is managed over HTTP: keys, teams, budgets, and what was used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

import msgspec

from llmroute.accounts.caller import Caller
from llmroute.asgi.admin import (
    budgets,
    cache,
    keys,
    litellm,
    litellm_keys,
    litellm_models,
    litellm_spend,
    litellm_teams,
    oauth_usage,
    pauses,
    spend_limits,
    teams,
    trail,
    usage,
)
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.client import ClientGoneError, Receive
from llmroute.asgi.render import Rendered, failure, not_allowed
from llmroute.errors import (
    ForbiddenError,
    InvalidRequestError,
    RequestError,
    RequestTooLargeError,
    StoreError,
    UnavailableError,
)
from llmroute.ledger import Ledger
from llmroute.router import Router
from llmroute.wire.headers import Headers, first

__all__ = ["MASTERS_ALONE", "admin_failure", "admin_page"]

# Each module lists its own; of two that match, the first one counts.
_ROUTES: Final[Sequence[Route]] = (
    *keys.ROUTES,
    *teams.ROUTES,
    *trail.ROUTES,
    *pauses.ROUTES,
    *budgets.ROUTES,
    *oauth_usage.ROUTES,
    *spend_limits.ROUTES,
    *usage.ROUTES,
    *cache.ROUTES,
    *litellm_keys.ROUTES,
    *litellm_teams.ROUTES,
    *litellm_spend.ROUTES,
    *litellm_models.ROUTES,
    *litellm.ROUTES,
)
_LARGEST: Final = 1_048_576  # bytes of a body
# There may be a key in an answer.
_PRIVATE: Final = (b"cache-control", b"no-store")
_DEEPEST: Final = 64  # levels
# What a database can hold of a number.
_LEAST, _MOST = -(2**63), 2**63 - 1


async def admin_page(
    ledger: Ledger, router: Router, caller: Caller, scope: dict[str, Any], receive: Receive
) -> Rendered | None:
    """Answer what is managed here; `None` if the path is none of these.

    Raises:
        ClientGoneError: The client went away before the end of its request.
    """
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    found: dict[str, tuple[Route, dict[str, str]]] = {}
    for route, parts in _matching(scope):
        found.setdefault(route.method, (route, parts))
    if not found:
        return None
    if method not in found:
        return not_allowed(", ".join(found))
    route, parts = found[method]
    try:
        if not (route.for_all or caller.is_admin):
            raise ForbiddenError(MASTERS_ALONE)
        body = {}
        if method != "GET":
            _refuse_pages(scope["headers"])
            body = await _body(receive, scope["headers"])
        names = {name: unquote(value) for name, value in parts.items()}
        query = _query(scope)
        _refuse_unstorable([names, query, body])
        answer = await route.handler(Asking(ledger, router, caller, names, query, body))
        return answer._replace(headers=[*answer.headers, _PRIVATE])
    except StoreError as error:
        # Where the database is, and what ails it, is nobody else's business.
        return route.failure(UnavailableError(str(error) if caller.is_admin else _AWAY))
    except RequestError as error:
        return route.failure(error)


def admin_failure(scope: dict[str, Any]) -> Callable[[RequestError], Rendered] | None:
    """Return how an error is worded at a path of these; `None` if it is as everywhere else."""
    worded = next((route.failure for route, _ in _matching(scope)), None)
    return None if worded is failure else worded


def _matching(scope: dict[str, Any]) -> list[tuple[Route, dict[str, str]]]:
    # As it was sent, for a name may hold a slash; unless the app is mounted below another path.
    path = (scope.get("raw_path") or b"").decode("latin-1")
    if unquote(path) != scope["path"]:
        path = quote(scope["path"])
    return [
        (route, {name: value for name, value in match.groupdict().items() if value})
        for route in _ROUTES
        if (match := route.path.fullmatch(path)) is not None
    ]


_AWAY = "The database of this llmroute proxy does not answer; try again in a moment"
MASTERS_ALONE: Final = (
    "This takes the master key: the key that was sent may not manage keys or see others' use; "
    "its own is at /usage/me and /llmroute/budgets/me"
)
"""Why a key may not see a page."""


def _query(scope: dict[str, Any]) -> dict[str, str]:
    asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    # Anthropic's lists come as `period[]=daily&period[]=weekly`.
    return {
        name: ",".join(values) if name.endswith("[]") else values[-1]
        for name, values in asked.items()
    }


def _refuse_pages(headers: Headers) -> None:
    """Make sure that it is no web page that changes anything, in the browser of an administrator.

    A browser says where a request comes from if a page makes it, and asks before it sends JSON to
    another site, which is never granted here.

    Raises:
        ForbiddenError: It comes from a page.
    """
    site = first(headers, b"sec-fetch-site") or "none"
    if first(headers, b"origin") is not None or site != "none":
        raise ForbiddenError("Nothing is changed here at the request of a web page")


async def _body(receive: Receive, headers: Headers) -> dict[str, Any]:
    """Read a body that is a JSON object; none at all is an empty one.

    Raises:
        InvalidRequestError: It is something else.
        RequestTooLargeError: It is too large.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > _LARGEST:
            raise RequestTooLargeError(f"the body is over {_LARGEST} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if not size:
        return {}
    kind = (first(headers, b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidRequestError("the body must be JSON: send `content-type: application/json`")
    try:
        decoded = msgspec.json.decode(b"".join(chunks))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise InvalidRequestError("the body is not valid JSON") from None
    if not isinstance(decoded, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return decoded


def _refuse_unstorable(values: list[Any]) -> None:
    """Look through all that was sent for what no database would take.

    Raises:
        InvalidRequestError: There is a NUL, a number over 64 bits, or more
            levels than anybody can mean.
    """
    level = values
    for _ in range(_DEEPEST):
        inside: list[Any] = []
        for value in level:
            match value:
                case str(text):
                    if "\0" in text:
                        raise InvalidRequestError("the request holds a character that no text has")
                case dict(members):
                    inside += members.keys()
                    inside += members.values()
                case list(items):
                    inside += items
                case int(number) if not _LEAST <= number <= _MOST:
                    raise InvalidRequestError("the request holds a number that is too large")
        level = inside
    if level:
        raise InvalidRequestError("the request is nested too deeply")
