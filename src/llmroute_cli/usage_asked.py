"""What was used: read in the database, or asked of a running proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from llmroute import InvalidRequestError
from llmroute.usage.conversations import Agent, Session
from llmroute.usage.query import Query, Sums
from llmroute.usage.reports import Report
from llmroute_cli.configuration import fail
from llmroute_cli.data import opened
from llmroute_cli.proxy import Proxy

__all__ = ["Pages", "Source", "agents_of", "asked_for", "report_of", "sessions_of"]

T = TypeVar("T")

_MICROS = 1_000_000


class Source(NamedTuple):
    """What is asked: the database of a configuration, or a proxy.

    Attributes:
        path: The configuration.
        url: The address of the proxy; `None` for the database.
        since: From when on; `None` where no time is asked for.
        until: Until when; empty for now.
    """

    path: Path | None
    url: str | None
    since: str | None
    until: str


class Pages(NamedTuple):
    """Where a proxy has it.

    Attributes:
        page: The path for the master key, or for any key where there is no other.
        own: The path for other keys.
        query: What is asked for, but for the time.
    """

    page: str
    own: str
    query: Mapping[str, Any]


def asked_for(
    source: Source,
    asked: Callable[[], Any],
    read: Callable[[Connection, Any], T],
    pages: Pages,
    made: Callable[[Any, Any], T],
) -> T:
    """Return what the database has to say, or the proxy.

    Args:
        source: Which of them.
        asked: Returns what is asked of the database.
        read: Reads it there.
        pages: Where the proxy has it.
        made: Makes the same of what the proxy answers, and of what was asked.

    Raises:
        typer.Exit: It cannot be asked; why has been printed.
    """
    try:
        query = asked()
    except InvalidRequestError as error:
        raise fail(str(error)) from None
    if source.url is None:
        with opened(source.path) as (database, _):
            if database is not None:
                return database.read_now(lambda connection: read(connection, query))
    # What there is with `database: none` is in the memory of the proxy.
    span = {"since": source.since, "until": source.until or None}
    told = Proxy(source.path, source.url).get(pages.page, pages.own, {**pages.query, **span})
    return made(told, query)


def report_of(told: Mapping[str, Any], query: Query) -> Report:
    """Return the report that a proxy has answered `query` with."""
    rows = [(tuple(row[name] for name in query.by), _sums(row)) for row in told["rows"]]
    return Report(query, rows, _sums(told["totals"]))


def sessions_of(told: Mapping[str, Any], _query: Query) -> list[Session]:
    """Return the conversations that a proxy has answered with."""
    return [
        Session(
            each["session"],
            each["key"],
            each["owner"],
            _micros(each["first"]),
            _micros(each["last"]),
            each["agents"],
            _sums(each),
        )
        for each in told["sessions"]
    ]


def agents_of(told: Mapping[str, Any], _query: Query) -> list[Agent]:
    """Return the agents of a conversation that a proxy has answered with."""
    return [
        Agent(each["agent"], each["depth"], _sums(each["own"]), _sums(each["with_those_below"]))
        for each in told["agents"]
    ]


def _sums(told: Mapping[str, Any]) -> Sums:
    return Sums(
        calls=told["calls"],
        errors=told["errors"],
        input=told["input_tokens"],
        output=told["output_tokens"],
        cache_read=told["cache_read_tokens"],
        cache_write=told["cache_write_tokens"],
        cost=told["cost"],
        unpriced=told["unpriced_calls"],
        saved=told["saved"],
    )


def _micros(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp()) * _MICROS
