"""The commands `keys` and `teams`, their arguments and their help."""

from __future__ import annotations

from typing import Annotated

import typer

from llmroute_cli.options import ConfigFile, proxy_extra

__all__ = ["keys", "teams"]

keys = typer.Typer(
    name="keys",
    help="Make keys for people and programs, and manage them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
teams = typer.Typer(
    name="teams",
    help="Make teams, whose keys share limits and budgets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Key = Annotated[str, typer.Argument(metavar="NAME", help="The name or the id of the key.")]
Team = Annotated[str, typer.Argument(metavar="NAME", help="The name or the id of the team.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")]

Aliases = Annotated[
    list[str] | None,
    typer.Option(
        "--alias",
        metavar="PATTERN",
        help="A model that may be asked for, or a pattern with a *; may be repeated. Left out, "
        "everything may be.",
    ),
]
NewAliases = Annotated[
    list[str] | None,
    typer.Option(
        "--alias",
        metavar="PATTERN",
        help="What may be asked for, in place of what was; may be repeated.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="What the usage is marked with; may be repeated."),
]
Rpm = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Requests a minute; 0 is no limit.")
]
Tpm = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Tokens a minute; 0 is no limit.")
]
Parallel = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Requests at once; 0 is no limit.")
]
Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="AMOUNT[/PERIOD][:PATTERN]",
        help="US dollars that may be spent in a day, week, month (as is meant where none is named) "
        "or in total, on every model or on those of a pattern: 50/month, 20/week:claude-opus-*. "
        "May be repeated; an amount of 0 takes a budget away.",
    ),
]
Message = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What who is over a budget is told: whom to ask, say."),
]
Owner = Annotated[
    str | None, typer.Option(metavar="PERSON", help="Whose it is; an e-mail address, say.")
]
OfTeam = Annotated[str | None, typer.Option("--team", metavar="NAME", help="The team it is of.")]
Expires = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="When it ends: 30d, 2027-01-31, a time with its zone, or never.",
    ),
]


@keys.command("create")
def create_key(  # noqa: PLR0913, PLR0917 - one for each option
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will call the key.")],
    config: ConfigFile = None,
    alias: Aliases = None,
    owner: Owner = None,
    team: OfTeam = None,
    tag: Tags = None,
    expires: Expires = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
    budget: Budgets = None,
    message: Message = None,
    *,
    trusted: Annotated[
        bool,
        typer.Option("--trusted", help="A gateway presents it that names the people behind it."),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: this once, for only a digest of it is kept.

    The key is all that goes to stdout.
    """
    with proxy_extra():
        from llmroute_cli.given import Given
        from llmroute_cli.keys import create
    create(
        config,
        name,
        Given(alias, tag, rpm, tpm, parallel, budget, message),
        owner=owner or "",
        team=team,
        expires=expires,
        trusted=trusted,
        quiet=quiet,
        as_json=as_json,
    )


@keys.command("list")
def list_keys(
    config: ConfigFile = None,
    team: Annotated[str | None, typer.Option(metavar="NAME", help="Those of a team only.")] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="PERSON", help="Those of a person only.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the keys, those of the configuration too."""
    with proxy_extra():
        from llmroute_cli.keys import listed
    listed(config, team, owner, as_json=as_json)


@keys.command("show")
def show_key(name: Key, config: ConfigFile = None, *, as_json: AsJson = False) -> None:
    """Show what one key may, and what is spent of its budgets."""
    with proxy_extra():
        from llmroute_cli.keys import show
    show(config, name, as_json=as_json)


@keys.command("update")
def update_key(  # noqa: PLR0913, PLR0917 - one for each option
    name: Key,
    config: ConfigFile = None,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What it is to be called.")
    ] = None,
    alias: NewAliases = None,
    owner: Owner = None,
    team: OfTeam = None,
    tag: Tags = None,
    expires: Expires = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
    budget: Budgets = None,
    message: Message = None,
    *,
    trusted: Annotated[
        bool | None,
        typer.Option(
            "--trusted/--untrusted",
            help="Whether a gateway presents it that names the people behind it.",
        ),
    ] = None,
) -> None:
    """Change a key: what is given, and nothing else.

    An empty text takes away what there is: --team '' the team, --alias '' every alias.
    """
    with proxy_extra():
        from llmroute_cli.given import Given
        from llmroute_cli.keys import update
    update(
        config,
        name,
        Given(alias, tag, rpm, tpm, parallel, budget, message),
        new_name=new_name,
        owner=owner,
        team=team,
        expires=expires,
        trusted=trusted,
    )


@keys.command("rotate")
def rotate_key(
    name: Key,
    config: ConfigFile = None,
    overlap: Annotated[
        str,
        typer.Option(metavar="TIME", help="How long the key before is taken too: 24h, say."),
    ] = "0",
    *,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Draw a key anew, and print it; what it may, and what it has used, stays."""
    with proxy_extra():
        from llmroute_cli.keys import rotate
    rotate(config, name, overlap, quiet=quiet, as_json=as_json)


@keys.command("block")
def block_key(name: Key, config: ConfigFile = None) -> None:
    """Have a key refused until it is unblocked."""
    with proxy_extra():
        from llmroute_cli.keys import block
    block(config, name, blocked=True)


@keys.command("unblock")
def unblock_key(name: Key, config: ConfigFile = None) -> None:
    """Have a blocked key taken again."""
    with proxy_extra():
        from llmroute_cli.keys import block
    block(config, name, blocked=False)


@keys.command("delete")
def delete_key(name: Key, config: ConfigFile = None) -> None:
    """Delete a key for good; what was used with it stays on record."""
    with proxy_extra():
        from llmroute_cli.keys import delete
    delete(config, name)


@keys.command("hash")
def hash_key(
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            help="Better left out, for others can see command lines: then it is asked for, or "
            "read from stdin.",
        ),
    ] = None,
) -> None:
    """Print the SHA-256 of a key, which stands for it in a configuration."""
    with proxy_extra():
        from llmroute_cli.keys import hashed
    hashed(key)


@teams.command("create")
def create_team(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people will call the team.")],
    config: ConfigFile = None,
    alias: Aliases = None,
    tag: Tags = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
    budget: Budgets = None,
    message: Message = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a team; limits and budgets hold for all its keys together."""
    with proxy_extra():
        from llmroute_cli.given import Given
        from llmroute_cli.teams import create
    create(config, name, Given(alias, tag, rpm, tpm, parallel, budget, message), as_json=as_json)


@teams.command("list")
def list_teams(config: ConfigFile = None, *, as_json: AsJson = False) -> None:
    """List the teams, and how many keys each has."""
    with proxy_extra():
        from llmroute_cli.teams import listed
    listed(config, as_json=as_json)


@teams.command("show")
def show_team(name: Team, config: ConfigFile = None, *, as_json: AsJson = False) -> None:
    """Show one team, its keys, and what is spent of its budgets."""
    with proxy_extra():
        from llmroute_cli.teams import show
    show(config, name, as_json=as_json)


@teams.command("update")
def update_team(  # noqa: PLR0913 - one for each option
    name: Team,
    config: ConfigFile = None,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What it is to be called.")
    ] = None,
    alias: NewAliases = None,
    tag: Tags = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
    budget: Budgets = None,
    message: Message = None,
    *,
    blocked: Annotated[
        bool | None, typer.Option("--block/--unblock", help="Whether its keys are refused.")
    ] = None,
) -> None:
    """Change a team: what is given, and nothing else."""
    with proxy_extra():
        from llmroute_cli.given import Given
        from llmroute_cli.teams import update
    given = Given(alias, tag, rpm, tpm, parallel, budget, message)
    update(config, name, given, new_name=new_name, blocked=blocked)


@teams.command("delete")
def delete_team(
    name: Team,
    config: ConfigFile = None,
    *,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Delete its keys too; it may not have any, else.")
    ] = False,
) -> None:
    """Delete a team for good; what it has used stays on record."""
    with proxy_extra():
        from llmroute_cli.teams import delete
    delete(config, name, with_keys=with_keys)
