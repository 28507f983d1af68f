"""`llmroute usage cache`: why prompt caches were not read, and what that cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from llmroute_cli.options import ConfigFile, proxy_extra
from llmroute_cli.usage import usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["cache", "usage"]

T = TypeVar("T")


@usage.command("cache")
def cache(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="The session, to be told of turn by turn; left out, those that lost most.",
        ),
    ] = None,
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Without a session: from when on, 7d for the last seven days in UTC, 24h, or a "
            "date.",
        ),
    ] = "7d",
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="The most sessions.")
    ] = 20,
    breaks: Annotated[
        bool, typer.Option("--breaks", help="Of a session, only the turns that lost something.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigFile = None,
) -> None:
    """Print why prompt caches were not read.

    The cache sentinel looks at the prompts of each session while a proxy runs, and writes down with
    each call what became of the cache; this reads it.
    """
    if session is None:
        _worst(config, since, limit, as_json=as_json)
    else:
        _session(config, session, breaks=breaks, as_json=as_json)


def _worst(config: Path | None, since: str, limit: int, *, as_json: bool) -> None:
    with proxy_extra():
        from llmroute import InvalidRequestError
        from llmroute.usage.cache_report import worst_sessions
        from llmroute.usage.period import span_of
        from llmroute_cli import table
        from llmroute_cli.configuration import fail, say
        from llmroute_cli.usage_cache_shown import worst_rows
    try:
        span = span_of(since, "", time.time())
    except InvalidRequestError as error:
        raise fail(str(error)) from None
    found = _read(config, lambda connection: worst_sessions(connection, span, limit=limit))
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in found], indent=1))
    elif found:
        table.show(*worst_rows(found))
    else:
        say(f"no session has lost any of its prompt cache (--since {since})")


def _session(config: Path | None, session: str, *, breaks: bool, as_json: bool) -> None:
    with proxy_extra():
        from llmroute.usage.cache_report import session_cache
        from llmroute_cli import table
        from llmroute_cli.configuration import fail
        from llmroute_cli.usage_cache_shown import cause_rows, summary, turn_rows
    found = _read(config, lambda connection: session_cache(connection, session))
    if found is None:
        raise fail(f"there is no session {session!r}, or it is no longer kept", 1)
    turns = [turn for turn in found.turns if turn.lost or not breaks]
    if as_json:
        turned = [turn.as_json() for turn in turns]
        typer.echo(json.dumps(found.as_json() | {"turns": turned}, indent=1))
        return
    if turns:
        table.show(*turn_rows(turns))
        typer.echo()
    typer.echo(summary(found))
    if found.causes:
        typer.echo()
        table.show(*cause_rows(found))


def _read(path: Path | None, read: Callable[[Connection], T]) -> T:
    """Return what the database has to say.

    Raises:
        typer.Exit: It cannot be asked; why has been printed.
    """
    from llmroute_cli.configuration import fail
    from llmroute_cli.data import opened

    with opened(path) as (database, _):
        if database is None:
            raise fail(
                "`database: none` keeps what was used in the memory of a proxy, where this command "
                "does not reach: ask the proxy for `GET /usage/cache`, or name a database"
            )
        return database.read_now(read)
