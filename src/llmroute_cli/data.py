"""Where the program keeps what outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import typer

from llmroute import Config, ConfigError, RequestError
from llmroute.config import load_file
from llmroute.config.references import ABSENT_DATABASE
from llmroute.errors import StoreError
from llmroute_cli.configuration import fail, find, say_problems

if TYPE_CHECKING:
    from llmroute.database import Database

__all__ = ["Data", "data_directory", "database_shown", "database_url", "opened"]

_FILE = "llmroute.db"
_NONE = "none"
# Where a file says which database it means, in either dialect.
_PLACES = frozenset({"database", "general_settings.database_url"})


class Data(NamedTuple):
    """A database, and whose it is.

    Attributes:
        database: Its schema is up to date; `None` if the configuration wants none.
        config: The configuration; `None` if there is none, and the database is the usual one.
    """

    database: Database | None
    config: Config | None


def data_directory(environ: Mapping[str, str]) -> Path:
    """Return the folder of this person's data, which need not be there yet."""
    if named := environ.get("LLMROUTE_DATA_DIR"):
        return Path(named).expanduser().absolute()
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "llmroute"


def database_url(config: Config | None, environ: Mapping[str, str]) -> str:
    """Return the address of the database: the configuration's, else a file among the data."""
    if config is not None and config.database is not None:
        return config.database.get_secret_value()
    return f"sqlite:///{quote(str(data_directory(environ) / _FILE))}"


def database_shown(config: Config, environ: Mapping[str, str]) -> str:
    """Say where the database is, without whose it is and the password."""
    url = database_url(config, environ)
    if url == _NONE:
        return "none: in memory, and gone with the process"
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return unquote(parts.path.removeprefix("/"))
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{unquote(parts.path)}"


@contextmanager
def opened(path: Path | None) -> Iterator[Data]:
    """Open the database of a configuration, which is made and brought up to date if need be.

    No provider's credential has to exist for it.  What cannot be done with it is said, and ends
    the program.

    Raises:
        typer.Exit: The configuration or the database cannot be used; why has been printed.
    """
    # Here, for what else is in this module can do without its packages.
    from llmroute.database import open_database

    config = _configuration(path)
    url = database_url(config, os.environ)
    if url == _NONE:
        yield Data(None, config)
        return
    try:
        database = open_database(url)
    except ValueError as error:
        raise fail(f"database: {error}") from None
    try:
        database.upgrade_now()
        yield Data(database, config)
    except (RequestError, StoreError) as error:
        raise fail(str(error), 1) from None
    finally:
        database.dispose()


def _configuration(path: Path | None) -> Config | None:
    file = find(path)
    if file is None:
        return None
    try:
        config = load_file(file, credentials=False)
        if config.database is None or config.database.get_secret_value() != ABSENT_DATABASE:
            return config
        # Only now, for every other credential would have to exist as well.
        load_file(file)
    except ConfigError as error:
        about_it = [problem for problem in error.problems if problem.path in _PLACES]
        say_problems(about_it or error.problems)
        raise typer.Exit(2) from None
    return config
