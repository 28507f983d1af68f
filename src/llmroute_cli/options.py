"""What several commands take, and need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

__all__ = ["ConfigFile", "Form", "ProxyUrl", "Written", "proxy_extra"]

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

ProxyUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Ask the proxy at this address, not the configuration's database. The key is taken "
        "from LLMROUTE_MASTER_KEY, LITELLM_MASTER_KEY or ANTHROPIC_AUTH_TOKEN.",
    ),
]


class Form(StrEnum):
    """How a report is written."""

    table = "table"
    csv = "csv"
    json = "json"


Written = Annotated[Form, typer.Option("--format", metavar="table|csv|json", help="How to print.")]

_OF_THE_EXTRA: Final = frozenset({"alembic", "httptools", "sqlalchemy", "uvicorn"})


@contextmanager
def proxy_extra() -> Iterator[None]:
    """Say how to install what serving and its database need, if it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _OF_THE_EXTRA:
            raise
        typer.echo(
            f"This needs {name}, which is not installed: pip install 'llmroute[proxy]'", err=True
        )
        raise typer.Exit(2) from None
