"""The keys and teams that commands are about: a database's, and those of the configuration."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import anyio

from llmroute import Config
from llmroute.accounts.configured import configured_keys, configured_teams
from llmroute.accounts.directory import Directory
from llmroute.accounts.model import Key, Team
from llmroute.config.accounts import Accounts, name_problem
from llmroute.database import Database
from llmroute_cli.configuration import fail
from llmroute_cli.data import opened

__all__ = ["ACTOR", "NO_DATABASE", "Register", "keys_of", "named", "register_of", "registered"]

T = TypeVar("T")

ACTOR: Final = "cli"
"""Who the audit trail says it was."""


class Register(NamedTuple):
    """The keys and teams that there are.

    Attributes:
        directory: Those of the database.
        database: Itself.
        configured: The keys of the configuration.
        teams: Its teams, by name.
        source: The configuration's name.
    """

    directory: Directory
    database: Database
    configured: tuple[Key, ...]
    teams: dict[str, Team]
    source: str

    def refuse_configured(self, name: str) -> None:
        """Make sure that a key is none of the configuration.

        Raises:
            typer.Exit: It is.
        """
        if any(name in (key.name, key.id) for key in self.configured):
            raise fail(f"the key {name!r} stands in {self.source}; change it there", 1)

    def refuse_configured_team(self, name: str) -> None:
        """Make sure that a team is none of the configuration.

        Raises:
            typer.Exit: It is.
        """
        if any(name in (team.name, team.id) for team in self.teams.values()):
            raise fail(f"the team {name!r} stands in {self.source}; change it there", 1)


def registered(path: Path | None, work: Callable[[Register], Awaitable[T]]) -> T:
    """Return what `work` makes of the database of a configuration.

    Raises:
        typer.Exit: It cannot be done; why has been printed.
    """
    with opened(path) as (database, config):
        if database is None:
            raise fail(NO_DATABASE)
        return anyio.run(work, register_of(database, config))


def register_of(database: Database, config: Config | None) -> Register:
    """Return the keys and teams of a database and of a configuration."""
    accounts = Accounts() if config is None else config.accounts
    source = "" if config is None else config.source
    directory = Directory(database, time.time)
    return Register(directory, database, keys_of(config), configured_teams(accounts), source)


NO_DATABASE: Final = (
    "`database: none` keeps keys in the memory of a proxy, where this command does not reach: "
    "write them into the configuration (`keys`), use the proxy's own POST /llmroute/keys, or name "
    "a database"
)


def keys_of(config: Config | None) -> tuple[Key, ...]:
    """Return the keys of a configuration, by name."""
    accounts = Accounts() if config is None else config.accounts
    return tuple(sorted(configured_keys(accounts).values(), key=lambda key: key.name))


def named(name: str, kind: str) -> str:
    """Return the name of a new key or team.

    Raises:
        typer.Exit: It cannot have that name; why has been printed.
    """
    if problem := name_problem(name):
        raise fail(f"the name of a {kind} {problem}")
    return name
