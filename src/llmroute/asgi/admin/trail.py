"""The audit trail over HTTP."""

from __future__ import annotations

import re
from typing import Final

from llmroute.accounts.trail import Sought
from llmroute.asgi import render
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import shown_time
from llmroute.asgi.render import Rendered
from llmroute.usage.period import span_of

__all__ = ["ROUTES"]

_PAGE: Final = 100  # changes
_MOST: Final = 1000


async def _list(asking: Asking) -> Rendered:
    limit = asking.number("limit", _PAGE, _MOST)
    subject = asking.query.get("subject") or None
    since = asking.query.get("since")
    began = span_of(since, "", asking.ledger.directory.now().timestamp()).since if since else 0
    trail = await asking.ledger.directory.audit(Sought(limit, subject, began))
    changes = [{**change._asdict(), "at": shown_time(change.at)} for change in trail]
    return render.plain(200, {"changes": changes})


ROUTES: Final = (Route("GET", re.compile(r"/llmroute/audit"), _list),)
