"""What was used, over HTTP: all of it for administrators, its own for any key."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from llmroute.asgi import render
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.render import Rendered
from llmroute.errors import InvalidRequestError, UnknownSubjectError
from llmroute.usage.conversations import agents, sessions
from llmroute.usage.period import span_of
from llmroute.usage.query import FILTERS, MOST, Query
from llmroute.usage.reports import find_call, latest_calls, report
from llmroute.usage.spreadsheet import report_csv, sessions_csv

__all__ = ["ROUTES"]

_ROWS: Final = 1000
_KNOWN: Final = frozenset({*FILTERS, "by", "since", "until", "limit", "format"})
_CSV: Final = [(b"content-type", b"text/csv; charset=utf-8")]


async def _all(asking: Asking) -> Rendered:
    return await _report(asking, _asked(asking))


async def _own(asking: Asking) -> Rendered:
    return await _report(asking, _asked_for_own(asking))


async def _all_sessions(asking: Asking) -> Rendered:
    return await _sessions(asking, _asked(asking))


async def _own_sessions(asking: Asking) -> Rendered:
    return await _sessions(asking, _asked_for_own(asking))


async def _report(asking: Asking, query: Query) -> Rendered:
    as_csv = _is_csv(asking)
    found = await asking.ledger.database.survey(lambda connection: report(connection, query))
    if as_csv:
        return Rendered(200, _CSV, report_csv(found).encode())
    return render.plain(200, found.as_json())


async def _sessions(asking: Asking, query: Query) -> Rendered:
    as_csv = _is_csv(asking)
    found = await asking.ledger.database.survey(lambda connection: sessions(connection, query))
    if as_csv:
        return Rendered(200, _CSV, sessions_csv(found).encode())
    return render.plain(200, {"sessions": [each.as_json() for each in found]})


async def _call(asking: Asking) -> Rendered:
    id_ = asking.names["id"]
    found = await asking.ledger.database.read(lambda connection: find_call(connection, id_))
    # Whose call it is, is not for others to know, nor that there is one.
    if found is None or not (asking.caller.is_admin or _is_own(asking, found)):
        raise UnknownSubjectError(f"there is no call {id_!r} of yours")
    return render.plain(200, found)


async def _all_agents(asking: Asking) -> Rendered:
    return await _agents(asking, _asked(asking, _named(asking)))


async def _own_agents(asking: Asking) -> Rendered:
    return await _agents(asking, _asked_for_own(asking, _named(asking)))


def _named(asking: Asking) -> Mapping[str, str]:
    return {"session": asking.names["session"]}


async def _agents(asking: Asking, query: Query) -> Rendered:
    found = await asking.ledger.database.survey(lambda connection: agents(connection, query))
    if not found:
        raise UnknownSubjectError("nothing is known of that conversation in that time")
    return render.plain(200, {**query.where, "agents": [each.as_json() for each in found]})


async def _all_calls(asking: Asking) -> Rendered:
    return await _calls(asking, _asked(asking))


async def _own_calls(asking: Asking) -> Rendered:
    return await _calls(asking, _asked_for_own(asking))


async def _calls(asking: Asking, query: Query) -> Rendered:
    if _is_csv(asking):
        raise InvalidRequestError("format: calls are written as json")
    found = await asking.ledger.database.survey(lambda connection: latest_calls(connection, query))
    return render.plain(200, {"calls": found})


def _is_own(asking: Asking, found: Mapping[str, Any]) -> bool:
    sender = asking.caller.sender
    own = getattr(sender.account, "id", None)
    return own is not None and bool(found["key_id"] == own)


def _asked(asking: Asking, where: Mapping[str, str] | None = None, key_id: str = "") -> Query:
    """Return what the address asks for.

    Raises:
        InvalidRequestError: It cannot be answered.
    """
    given = asking.query
    if unknown := sorted(given.keys() - _KNOWN):
        names = ", ".join(sorted(_KNOWN))
        raise InvalidRequestError(f"{unknown[0][:100]}: no such parameter; there are {names}")
    span = span_of(given.get("since", "7d"), given.get("until", ""), time.time())
    named = {name: given[name] for name in FILTERS if name in given}
    by = tuple(name for name in given.get("by", "").split(",") if name)
    return Query(span, by, named | dict(where or {}), key_id, asking.number("limit", _ROWS, MOST))


def _asked_for_own(asking: Asking, where: Mapping[str, str] | None = None) -> Query:
    sender = asking.caller.sender
    if "key" in asking.query:
        raise InvalidRequestError("key: this is about your own; leave it out")
    own = {**(where or {}), "key": sender.key}
    return _asked(asking, own, getattr(sender.account, "id", ""))


def _is_csv(asking: Asking) -> bool:
    form = asking.query.get("format", "json")
    if form not in ("csv", "json"):
        raise InvalidRequestError("format: must be json or csv")
    return form == "csv"


ROUTES: Final = (
    Route("GET", re.compile(r"/usage"), _all),
    Route("GET", re.compile(r"/usage/me"), _own, for_all=True),
    Route("GET", re.compile(r"/usage/sessions"), _all_sessions),
    Route("GET", re.compile(r"/usage/me/sessions"), _own_sessions, for_all=True),
    Route("GET", re.compile(r"/usage/sessions/(?P<session>[^/]+)"), _all_agents),
    Route("GET", re.compile(r"/usage/me/sessions/(?P<session>[^/]+)"), _own_agents, for_all=True),
    Route("GET", re.compile(r"/usage/calls"), _all_calls),
    Route("GET", re.compile(r"/usage/me/calls"), _own_calls, for_all=True),
    Route("GET", re.compile(r"/usage/calls/(?P<id>[^/]+)"), _call, for_all=True),
)
