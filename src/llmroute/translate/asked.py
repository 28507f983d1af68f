"""What a client of another format asks for, as the Messages API would have it said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from llmroute.errors import InvalidRequestError
from llmroute.translate.names import digest
from llmroute.translate.target import Losses

__all__ = ["Asked", "sampling", "served", "unread"]

_Members = dict[str, Any]

_LONGEST_USER = 256  # characters of `metadata.user_id`
_LEAST_TOP_P = 0.95  # with thinking


class Asked(NamedTuple):
    """A request of another format, translated.

    Attributes:
        body: The Messages request.
        losses: What has no place in it, a line each: the place in the client's request, and why.
        obstacle: Why it cannot be said in Messages at all, so that only an upstream of the client's
            own format can be asked; empty if it can.
    """

    body: dict[str, Any]
    losses: tuple[str, ...] = ()
    obstacle: str = ""


def sampling(body: Mapping[str, Any], losses: Losses, *, thinks: bool) -> _Members:
    """Return how tokens are drawn; what says the default says nothing.

    Raises:
        InvalidRequestError: A figure is none.
    """
    found = {name: body.get(name) for name in ("temperature", "top_p", "top_k")}
    for name, value in found.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidRequestError(f"{name}: must be a number")
    heat, share = found["temperature"], found["top_p"]
    if heat is not None and heat > 1:
        losses.note("temperature", "sent as 1, the most that Messages takes")
        heat = 1
    if thinks and heat not in (None, 1):
        losses.note("temperature", "left out: not together with reasoning")
        heat = None
    if thinks and share is not None and share < _LEAST_TOP_P:
        losses.note("top_p", "left out: not together with reasoning")
        share = None
    # Both at once are refused, and 1 is what either is by itself.
    if share == 1:
        share = None
    if share is not None and heat == 1:
        heat = None
    if heat is not None and share is not None:
        losses.note("top_p", "left out: not together with temperature")
        share = None
    found |= {"temperature": heat, "top_p": share}
    return {name: value for name, value in found.items() if value is not None}


def served(body: Mapping[str, Any], users: Iterable[Any], losses: Losses) -> _Members:
    """Return for whom the answer is, the first name in `users`, how it is served and streamed."""
    made: _Members = {}
    user = next((name for name in users if isinstance(name, str) and name), "")
    if user:
        made["metadata"] = {"user_id": user if len(user) <= _LONGEST_USER else digest(user)}
    match body.get("service_tier"):
        case None:
            pass
        case "auto":
            made["service_tier"] = "auto"
        case "default":
            made["service_tier"] = "standard_only"
        case _:
            losses.note("service_tier", "left out: not one that Messages knows")
    if body.get("stream") is True:
        made["stream"] = True
    return made


def unread(
    body: Mapping[str, Any],
    read: Collection[str],
    idle: Mapping[str, Collection[Any]],
    losses: Losses,
) -> None:
    """Tell which members are not among those `read`; `idle` are values that ask for nothing."""
    for name, value in body.items():
        if name not in read and value is not None and value not in idle.get(name, ()):
            losses.note(name, "left out: Messages has no place for it")
