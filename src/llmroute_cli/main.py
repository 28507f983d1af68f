"""The commands, their arguments and their help; what they do is imported when they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Log", "Shell", "app", "main"]

app = typer.Typer(
    name="llmroute",
    help="The gateway for Claude Code and for Python: one alias, many providers, every byte.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration, native or LiteLLM's. Left out: LLMROUTE_CONFIG or "
        "CONFIG_FILE_PATH, else ./llmroute.yaml or ./config.yaml, else the provider keys in the "
        "environment.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="The address of the proxy; left out, the configuration's own."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The key to present. Better left out, for others see command lines: then "
        "LLMROUTE_MASTER_KEY, LITELLM_MASTER_KEY or ANTHROPIC_AUTH_TOKEN is taken.",
    ),
]


class Log(str, Enum):
    """How the line for each request is written."""

    console = "console"
    json = "json"


class Shell(str, Enum):
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
        typer.Option(help="The address to listen on; left out, server.host, which is 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="The port to listen on; left out, server.port, which is 4000. 0 takes a free one.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    log: Annotated[
        Log | None,
        typer.Option(help="How the line for each request is written; left out, server.log."),
    ] = None,
) -> None:
    """Serve the configuration over HTTP, for Claude Code and other clients.

    SIGTERM and Ctrl-C drain: no new calls, running ones finish, for at most server.drain seconds.
    """
    with _proxy_extra():
        from llmroute_cli import serve as command
    command.serve(config, host, port, workers, log.value if log else None)


@contextmanager
def _proxy_extra() -> Iterator[None]:
    """Say how to install what serving needs, if it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("httptools", "uvicorn"):
            raise
        typer.echo(
            f"Serving needs {error.name}, which is not installed: pip install 'llmroute[proxy]'",
            err=True,
        )
        raise typer.Exit(2) from None


def main() -> None:
    """Run the command line's command; the process ends with its status."""
    app()
