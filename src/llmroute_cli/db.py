"""`llmroute db`: the database itself."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from llmroute_cli.options import ConfigFile, proxy_extra

__all__ = ["db"]

db = typer.Typer(
    name="db",
    help="Look after the database.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NONE = "the configuration has `database: none`: there is nothing on disk"


class What(StrEnum):
    """What can be exported."""

    CALLS = "calls"
    DAYS = "days"
    KEYS = "keys"
    TEAMS = "teams"
    BUDGETS = "budgets"
    SPEND = "spend"
    PAUSES = "pauses"
    AUDIT = "audit"


class Form(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"


@db.command()
def info(config: ConfigFile = None) -> None:
    """Print where the database is, and how much is in it."""
    with proxy_extra():
        from llmroute.database.copies import contents
        from llmroute_cli.data import opened
    with opened(config) as data:
        if data.database is None:
            typer.echo(_NONE)
            return
        found = data.database.read_now(contents)
        typer.echo(f"{'database:':<12}{data.database.address}")
        typer.echo(f"{'schema:':<12}{found.revision}, up to date")
        for name, count in found.rows.items():
            typer.echo(f"{name + ':':<12}{count:,}")


@db.command()
def upgrade(config: ConfigFile = None) -> None:
    """Bring the schema up to date; a proxy does so by itself when it starts."""
    with proxy_extra():
        from llmroute.database.upgrade import revision_of
        from llmroute_cli.data import opened
    with opened(config) as data:
        if data.database is None:
            typer.echo(_NONE)
            return
        typer.echo(f"{data.database.address} is at {data.database.read_now(revision_of)}")


@db.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    config: ConfigFile = None,
) -> None:
    """Copy a SQLite database into a file, while it is in use.

    The copy is a database like it: name it as `database` to go on from there. PostgreSQL has
    programs of its own for that, and this says which.
    """
    with proxy_extra():
        from llmroute.database.copies import back_up
        from llmroute_cli.configuration import fail, say
        from llmroute_cli.data import opened
    with opened(config) as data:
        if data.database is None:
            raise fail(_NONE, 1)
        if data.database.address.path is None:
            raise fail(
                f"{data.database.address} is PostgreSQL's; back it up with: "
                f"pg_dump --format=custom --table='llmroute_*' --file={file} DATABASE_URL",
                1,
            )
        data.database.read_now(lambda connection: back_up(connection, file))
        say(f"{data.database.address} is copied to {file}")


@db.command()
def export(
    what: Annotated[
        What,
        typer.Argument(
            metavar="WHAT",
            help="`calls`, `days` (their sums), `keys`, `teams`, `budgets`, `spend` (of budgets), "
            "`pauses` or `audit`.",
        ),
    ],
    *,
    form: Annotated[
        Form, typer.Option("--format", metavar="jsonl|csv", help="How to write it.")
    ] = Form.JSONL,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A new file; left out, stdout."),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Print what is kept, a line each: no key can be made of it.

    Times are microseconds since 1970 in UTC, money is millionths of a US dollar.
    """
    with proxy_extra():
        from llmroute.database.copies import rows
        from llmroute_cli.configuration import fail
        from llmroute_cli.data import opened
    write = _as_csv if form is Form.CSV else _as_lines
    with opened(config) as data:
        if data.database is None:
            raise fail(_NONE, 1)
        try:
            with output.open("x", encoding="utf-8", newline="") if output else _Stdout() as file:
                data.database.read_now(lambda it: write(rows(it, what.value), file))
        except OSError as error:
            raise fail(f"cannot write {output}: {error.strerror}", 1) from None


class _Stdout:
    """The standard output, which is not closed."""

    def __enter__(self) -> IO[str]:
        return sys.stdout

    def __exit__(self, *exception: object) -> None:
        sys.stdout.flush()


def _as_lines(found: Iterator[dict[str, Any]], file: IO[str]) -> None:
    for row in found:
        file.write(json.dumps(row) + "\n")


def _as_csv(found: Iterator[dict[str, Any]], file: IO[str]) -> None:
    with proxy_extra():
        from llmroute.usage.spreadsheet import cell
    writer = csv.writer(file)
    for number, row in enumerate(found):
        if number == 0:
            writer.writerow(row)
        writer.writerow([cell(value) for value in row.values()])
