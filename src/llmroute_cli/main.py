"""The commands, their arguments and their help; what they do is imported when they run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from llmroute_cli import accounts_commands, admin_commands, db, usage_cache
from llmroute_cli.options import ConfigFile, proxy_extra

__all__ = ["Log", "Shell", "app", "main"]

app = typer.Typer(
    name="llmroute",
    help="The gateway for Claude Code and for Python: one alias, many providers, every byte.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(accounts_commands.keys)
app.add_typer(accounts_commands.teams)
app.add_typer(admin_commands.budgets)
app.add_typer(usage_cache.usage)
app.add_typer(db.db)

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="The address of the proxy; left out, the configuration's own."
    ),
]


class Log(StrEnum):
    """How the line for each request is written."""

    console = "console"
    json = "json"


class Shell(StrEnum):
    """A shell to print settings for."""

    bash = "bash"
    zsh = "zsh"
    sh = "sh"
    fish = "fish"
    powershell = "powershell"
    cmd = "cmd"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"llmroute {version('llmroute')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


@app.command()
def serve(
    config: ConfigFile = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on; left out, server.host, which is 127.0.0.1.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            metavar="PORT",
            help="The port to listen on; left out, server.port, which is 4000. 0 takes a free one.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Processes that share the port.")
    ] = 1,
    log: Annotated[
        Log | None,
        typer.Option(
            metavar="console|json",
            help="How the line for each request is written; left out, server.log.",
        ),
    ] = None,
    *,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Load the configuration again when its files change, as SIGHUP does."
        ),
    ] = False,
) -> None:
    """Serve the configuration over HTTP.

    SIGHUP loads it again: a good one takes over for new calls, a bad one changes nothing.

    SIGTERM and Ctrl-C drain: no new calls, running ones finish, for at most server.drain seconds.
    """
    with proxy_extra():
        from llmroute_cli.serve import serve as command
    given = {"host": host, "port": port, "log": log.value if log else None}
    options = {name: value for name, value in given.items() if value is not None}
    command(config, options, workers=workers, watch=watch)


@app.command()
def check(
    config: ConfigFile = None,
    *,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Send one tiny request of Claude Code's shape to each deployment; it costs next "
            "to nothing.",
        ),
    ] = False,
) -> None:
    """Check the configuration, and with --live every deployment.

    Prints every problem at once, or a table of what it says, and who judges tool calls in auto
    mode where the upstream does not.

    With --live there are two more tables: how each deployment answered, and what of a request of
    Claude Code's it does not get to see, because its platform is known to refuse it or has just
    done so.

    The exit status is 2 if it cannot be used, and 1 if a deployment does not answer.
    """
    from llmroute_cli.check import check as command

    command(config, live=live)


@app.command("test-model")
def try_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model to ask for.")],
    config: ConfigFile = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Test a running proxy at this address instead of the configuration.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The key to present there. Better left out, for others can see command lines: "
            "then LLMROUTE_MASTER_KEY, LITELLM_MASTER_KEY or ANTHROPIC_AUTH_TOKEN is taken.",
        ),
    ] = None,
) -> None:
    """Try one model in the ways Claude Code uses it.

    That is a whole answer, a stream, a tool use, and count_tokens.

    The exit status is 1 if one of them fails.
    """
    from llmroute_cli.probe import probe as command

    command(name, config, url, key)


@app.command()
def explain(
    request: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST",
            help="A file with the body of a Messages request, or with a recorded request: "
            "`path`, `query`, `headers` and `body`, or a list of such as `requests`. "
            "`-` reads it from stdin.",
        ),
    ],
    config: ConfigFile = None,
    alias: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Ask for this model instead of the request's."),
    ] = None,
    deployment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Show this deployment alone, even if no alias leads there."
        ),
    ] = None,
    number: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Which request of a recording, counted from 1."),
    ] = 1,
    *,
    body: Annotated[
        bool, typer.Option("--body", help="Print each body whole, as it would be sent.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print everything as one JSON object; costs are in micro-dollars."
        ),
    ] = False,
) -> None:
    """Show what would become of a request, without sending it.

    Prints the alias, the deployments in the order in which they would be tried, and for each what
    it would be sent, what is changed or left out, and what that would cost.

    No credential has to exist, and none is shown. What the proxy knows of its deployments at the
    moment is not known here: all are taken to be well.
    """
    from llmroute_cli.explain import explain as command

    command(request, config, alias, deployment, number=number, whole=body, as_json=as_json)


@app.command()
def models(config: ConfigFile = None) -> None:
    """List the models that clients may ask for."""
    from llmroute_cli.models import models as command

    command(config)


@app.command()
def providers(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON list.")] = False,
) -> None:
    """List the providers, and whose keys the environment holds."""
    from llmroute_cli.providers import providers as command

    command(as_json=as_json)


@app.command()
def status(
    config: ConfigFile = None,
    url: Url = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what the proxy says, as it says it.")
    ] = False,
) -> None:
    """Show how the deployments of a running proxy are.

    Of several workers it is one that answers, and each knows its own, unless they share a store.

    The exit status is 1 if no proxy answers.
    """
    from llmroute_cli.status import status as command

    command(config, url, as_json=as_json)


@app.command()
def env(
    config: ConfigFile = None,
    url: Url = None,
    shell: Annotated[
        Shell | None,
        typer.Option(metavar="|".join(Shell), help="The shell to print for; left out, your own."),
    ] = None,
    *,
    show_key: Annotated[
        bool,
        typer.Option("--show-key", help="Print the master key itself, not the variable's name."),
    ] = False,
) -> None:
    """Print the environment that Claude Code needs.

    In bash: eval "$(llmroute env)"

    If nobody judges the tool calls of an alias, that has Claude Code check them itself in auto
    mode, and stderr says so.
    """
    from llmroute_cli.env import env as command

    command(config, url, shell.value if shell else None, show_key=show_key)


@app.command()
def claude(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="What Claude Code is given; put `--` before it."),
    ] = None,
    config: ConfigFile = None,
    url: Url = None,
) -> None:
    """Start Claude Code on the running proxy.

    Only its environment is set; no file is touched.
    """
    from llmroute_cli.claude import claude as command

    command(config, url, arguments or [])


@app.command()
def demo(
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            metavar="PORT",
            help="The port; left out, 4000, and with --once any free one.",
        ),
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first answer.")] = False,
) -> None:
    """Show the whole proxy at work, without an account.

    The model is a stand-in. One request goes through the proxy; then the proxy goes on serving,
    and what else to try is printed.
    """
    with proxy_extra():
        from llmroute_cli.demo import demo as command
    command(port, once=once)


for _command in (admin_commands.pause, admin_commands.resume, admin_commands.audit):
    app.command()(_command)


def main() -> None:
    """Run the command line's command; the process ends with its status."""
    app()
