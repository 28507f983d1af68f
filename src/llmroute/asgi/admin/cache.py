"""What became of prompt caches, over HTTP: all of it for administrators, its own for any key."""

from __future__ import annotations

import re
import time
from typing import Final

from llmroute.asgi import render
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.render import Rendered
from llmroute.errors import UnknownSubjectError
from llmroute.usage.cache_report import session_cache, worst_sessions
from llmroute.usage.period import span_of

__all__ = ["ROUTES"]

_USUAL: Final = 20
_MOST: Final = 1000


async def _worst(asking: Asking) -> Rendered:
    span = span_of(asking.query.get("since", "7d"), asking.query.get("until", ""), time.time())
    limit, key_id = asking.number("limit", _USUAL, _MOST), _whose(asking)
    found = await asking.ledger.database.read(
        lambda connection: worst_sessions(connection, span, key_id=key_id, limit=limit)
    )
    return render.plain(200, {"sessions": [each.as_json() for each in found]})


async def _session(asking: Asking) -> Rendered:
    session, key_id = asking.names["session"], _whose(asking)
    found = await asking.ledger.database.read(
        lambda connection: session_cache(connection, session, key_id=key_id)
    )
    if found is None:
        raise UnknownSubjectError(f"there is no session {session[:100]!r} of yours")
    return render.plain(200, found.as_json() | {"turns": [each.as_json() for each in found.turns]})


def _whose(asking: Asking) -> str | None:
    """Return the id of the key whose calls may be seen; `None` for all."""
    if asking.caller.is_admin:
        return None
    return getattr(asking.caller.sender.account, "id", "")


ROUTES: Final = (
    Route("GET", re.compile(r"/usage/cache"), _worst, for_all=True),
    Route("GET", re.compile(r"/usage/cache/(?P<session>[^/]+)"), _session, for_all=True),
)
