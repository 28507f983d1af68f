"""What a client of another format asks for, as the Messages API would have it said."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Asked"]


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
