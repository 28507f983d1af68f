"""The commands `audit`, `budgets`, `pause` and `resume`, their arguments and their help."""

from __future__ import annotations

from typing import Annotated

import typer

from llmroute_cli.options import ConfigFile, Form, ProxyUrl, Written, proxy_extra

__all__ = ["audit", "budgets", "pause", "resume"]

budgets = typer.Typer(
    name="budgets",
    invoke_without_command=True,
    no_args_is_help=False,
    rich_markup_mode=None,
)


def audit(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SUBJECT",
            help="A key, a team or a limit, by its name or id, or a person, or what was paused; "
            "left out, all changes.",
        ),
    ] = None,
    *,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="From when on: 7d, 24h, today, week, month or a date."),
    ] = "30d",
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="The most changes.")
    ] = 100,
    form: Written = Form.table,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Print who has changed what, the last change first.

    That is every change of a key, a team, a budget or a pause.
    """
    with proxy_extra():
        from llmroute_cli.audit import audit as command
    command(config, url, subject, since, limit, form)


@budgets.callback(invoke_without_command=True)
def list_budgets(
    context: typer.Context,
    *,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only those of this key, team, person or tag."),
    ] = None,
    form: Written = Form.table,
    url: ProxyUrl = None,
    config: ConfigFile = None,
) -> None:
    """Print how budgets stand, and set them.

    `reserved` is what proxies have set aside for calls under way and to come. With a key of one's
    own, and --url, those that hold for it.
    """
    if context.invoked_subcommand is not None:
        return
    with proxy_extra():
        from llmroute_cli.budgets import listed
    listed(config, url, name, form)


@budgets.command("set")
def set_budget(
    budget: Annotated[
        str,
        typer.Argument(
            metavar="AMOUNT[/PERIOD][:PATTERN]",
            help="As `keys create --budget` has it: 50/month, 20/week:claude-opus-*. An amount of "
            "0 takes it away.",
        ),
    ],
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Of this key.")] = None,
    team: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this team, for all its keys together.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="PERSON", help="Of a person, whichever keys it uses.")
    ] = None,
    message: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What who is over it is told.")
    ] = None,
    config: ConfigFile = None,
    *,
    each_person: Annotated[
        bool, typer.Option("--each-person", help="Of each person who has none of their own.")
    ] = False,
) -> None:
    """Set one budget, higher or lower; what was spent of it stays.

    Budgets that stand in the configuration are changed there.
    """
    with proxy_extra():
        from llmroute_cli.budgets import put
    whose = {"key": key, "team": team, "person": person, "each_person": each_person}
    put(config, budget, whose, message)


def pause(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY|SESSION",
            help="A key, by its name or id (`master` for the master key), or the id of a session, "
            "which Claude Code's /status shows; left out, what is paused is listed.",
        ),
    ] = None,
    config: ConfigFile = None,
    length: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="For how long: 30m, 1h, 2d. Left out, until it is resumed.",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="What whoever is refused is told.")
    ] = "",
    url: ProxyUrl = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Have a key or a session make no calls until it is resumed.

    Every proxy with the same database refuses it within a second or two; answers that have begun
    go on. Where the configuration says `database: none`, the running proxy is asked.
    """
    with proxy_extra():
        from llmroute_cli.pause import pause as command
        from llmroute_cli.pause import paused
    if subject is None:
        paused(config, url, as_json=as_json)
    else:
        command(config, url, subject, length, reason)


def resume(
    subject: Annotated[
        str,
        typer.Argument(metavar="KEY|SESSION", help="What was paused, or stopped by a guard."),
    ],
    config: ConfigFile = None,
    url: ProxyUrl = None,
) -> None:
    """Let a key or a session that was paused go on.

    A session that a guard has stopped goes on as well: what it has spent until now counts no more
    for the guards.
    """
    with proxy_extra():
        from llmroute_cli.pause import resume as command
    command(config, url, subject)
