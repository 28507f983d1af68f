"""`llmroute usage`: what was used, by whom, and what it cost."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from llmroute_cli.options import ConfigFile, Form, ProxyUrl, Written, proxy_extra

if TYPE_CHECKING:
    from llmroute.usage.query import Query

__all__ = ["usage"]

usage = typer.Typer(
    name="usage",
    invoke_without_command=True,
    no_args_is_help=False,
    rich_markup_mode=None,
)

By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHAT",
        help="What to divide by; several with commas between them, or repeated: key, owner, team, "
        "tag, alias, model, deployment, provider, session, agent, kind, client, outcome, day, "
        "hour. Left out, key.",
    ),
]
Since = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="From when on: 7d for the last seven days in UTC, today included, 24h, 30m, today, "
        "week, month, or a date or time.",
    ),
]
Until = Annotated[
    str, typer.Option(metavar="TIME", help="Until when, likewise; left out, until now.")
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="The most rows.")]


def _narrowing(name: str, what: str) -> Any:
    return typer.Option(metavar=name.upper(), help=f"Only {what}.")


Key = Annotated[str | None, _narrowing("name", "this key's")]
Owner = Annotated[str | None, _narrowing("owner", "this person's")]
Team = Annotated[str | None, _narrowing("name", "this team's")]
Tag = Annotated[str | None, _narrowing("tag", "what is marked with it")]
Alias = Annotated[str | None, _narrowing("alias", "what was asked for by it")]
Model = Annotated[str | None, _narrowing("model", "what this model of an upstream's answered")]
Deployment = Annotated[str | None, _narrowing("name", "what went there")]
SessionId = Annotated[str | None, _narrowing("id", "this conversation")]
Agent = Annotated[str | None, _narrowing("id", "this subagent of Claude Code's")]
Kind = Annotated[str | None, _narrowing("kind", "requests of this class: main or subagent, say")]


@usage.callback(invoke_without_command=True)
def report(  # noqa: PLR0913 - as many as there are options
    context: typer.Context,
    *,
    by: By = None,
    since: Since = "7d",
    until: Until = "",
    key: Key = None,
    owner: Owner = None,
    team: Team = None,
    tag: Tag = None,
    alias: Alias = None,
    model: Model = None,
    deployment: Deployment = None,
    session: SessionId = None,
    agent: Agent = None,
    kind: Kind = None,
    limit: Limit = 100,
    form: Written = Form.table,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Print what was used, by whom, and what it cost.

    Days are those of UTC. A call whose price nobody knows adds nothing to the cost, and is counted
    beside it. Counts of tokens are no calls.

    With --url and a key of one's own, that is what it has used itself.
    """
    if context.invoked_subcommand is not None:
        return
    where = {
        "key": key,
        "owner": owner,
        "team": team,
        "tag": tag,
        "alias": alias,
        "model": model,
        "deployment": deployment,
        "session": session,
        "agent": agent,
        "kind": kind,
    }
    with proxy_extra():
        from llmroute.usage.query import Query
        from llmroute.usage.reports import report
        from llmroute.usage.spreadsheet import report_csv
        from llmroute_cli import table
        from llmroute_cli.usage_asked import Pages, Source, asked_for, report_of
        from llmroute_cli.usage_shown import report_rows

    divided = ",".join(by or ["key"]).split(",")

    def asked() -> Query:
        named = {name: value for name, value in where.items() if value is not None}
        return Query(_span(since, until), tuple(divided), named, limit=limit)

    pages = Pages("/usage", "/usage/me", {**where, "by": ",".join(divided), "limit": limit})
    source = Source(config, url, since, until)
    found = asked_for(source, asked, report, pages, report_of)
    match form:
        case Form.json:
            typer.echo(json.dumps(found.as_json(), indent=1))
        case Form.csv:
            typer.echo(report_csv(found), nl=False)
        case _:
            table.show(*report_rows(found))


@usage.command("sessions")
def sessions(
    *,
    since: Since = "7d",
    until: Until = "",
    key: Key = None,
    owner: Owner = None,
    team: Team = None,
    limit: Limit = 20,
    form: Written = Form.table,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Print the conversations, those of late first."""
    with proxy_extra():
        from llmroute.usage.conversations import sessions as found_in
        from llmroute.usage.query import Query
        from llmroute.usage.spreadsheet import sessions_csv
        from llmroute_cli import table
        from llmroute_cli.usage_asked import Pages, Source, asked_for, sessions_of
        from llmroute_cli.usage_shown import session_rows

    where = {"key": key, "owner": owner, "team": team}

    def asked() -> Query:
        named = {name: value for name, value in where.items() if value is not None}
        return Query(_span(since, until), (), named, limit=limit)

    pages = Pages("/usage/sessions", "/usage/me/sessions", {**where, "limit": limit})
    found = asked_for(Source(config, url, since, until), asked, found_in, pages, sessions_of)
    match form:
        case Form.json:
            typer.echo(json.dumps([each.as_json() for each in found], indent=1))
        case Form.csv:
            typer.echo(sessions_csv(found), nl=False)
        case _:
            table.show(*session_rows(found))


@usage.command("agents")
def agents(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="The conversation's id, as `sessions` has it.")
    ],
    *,
    since: Since = "30d",
    until: Until = "",
    key: Key = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Print what a conversation's subagents used."""
    with proxy_extra():
        from llmroute.usage.conversations import agents as found_in
        from llmroute.usage.query import Query
        from llmroute_cli import table
        from llmroute_cli.configuration import fail
        from llmroute_cli.usage_asked import Pages, Source, agents_of, asked_for
        from llmroute_cli.usage_shown import agent_rows

    def asked() -> Query:
        named = {"session": session} | ({} if key is None else {"key": key})
        return Query(_span(since, until), (), named)

    below = f"sessions/{quote(session, safe='')}"
    pages = Pages(f"/usage/{below}", f"/usage/me/{below}", {"key": key})
    found = asked_for(Source(config, url, since, until), asked, found_in, pages, agents_of)
    if not found:
        raise fail(f"nothing is known of the conversation {session!r} in that time", 1)
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in found], indent=1))
    else:
        table.show(*agent_rows(found))


@usage.command("calls")
def calls(  # noqa: PLR0913 - one for each thing to narrow it to
    *,
    since: Since = "24h",
    until: Until = "",
    key: Key = None,
    owner: Owner = None,
    team: Team = None,
    alias: Alias = None,
    deployment: Deployment = None,
    session: SessionId = None,
    agent: Agent = None,
    limit: Limit = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all that is kept of them.")
    ] = False,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Print the latest calls, with their ids."""
    with proxy_extra():
        from llmroute.usage.query import Query
        from llmroute.usage.reports import latest_calls
        from llmroute_cli import table
        from llmroute_cli.usage_asked import Pages, Source, asked_for
        from llmroute_cli.usage_shown import call_rows

    where = {
        "key": key,
        "owner": owner,
        "team": team,
        "alias": alias,
        "deployment": deployment,
        "session": session,
        "agent": agent,
    }

    def asked() -> Query:
        named = {name: value for name, value in where.items() if value is not None}
        return Query(_span(since, until), (), named, limit=limit)

    pages = Pages("/usage/calls", "/usage/me/calls", {**where, "limit": limit})
    source = Source(config, url, since, until)
    found = asked_for(source, asked, latest_calls, pages, lambda told, _: told["calls"])
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        table.show(*call_rows(found))


@usage.command("explain")
def explain(
    call: Annotated[
        str, typer.Argument(metavar="CALL", help="The call's id, from a log or `x-llmroute-call`.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is kept of it.")] = False,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Explain what a call cost.

    Prints tokens by kind, times the rate, and where the rate is from; as well who made it, what
    was tried, what the upstream did not get to see, and why the call went where it did.
    """
    with proxy_extra():
        from llmroute.usage.reports import find_call
        from llmroute_cli.configuration import fail
        from llmroute_cli.usage_asked import Pages, Source, asked_for
        from llmroute_cli.usage_shown import call_shown

    pages = Pages(f"/usage/calls/{quote(call, safe='')}", "", {})
    source = Source(config, url, None, "")
    found = asked_for(source, lambda: call, find_call, pages, lambda told, _: told)
    if found is None:
        raise fail(f"there is no call {call!r}, or it is no longer kept", 1)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for line in call_shown(found):
        typer.echo(line)


def _span(since: str, until: str) -> Any:
    from llmroute.usage.period import span_of

    return span_of(since, until, time.time())
