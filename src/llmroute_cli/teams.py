"""`llmroute teams`: teams in the database of the configuration, whether a proxy runs or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from llmroute import ConflictError
from llmroute.accounts.model import Team
from llmroute.accounts.spending import spent_of
from llmroute_cli import table
from llmroute_cli.configuration import fail, say
from llmroute_cli.given import Given
from llmroute_cli.keys_shown import budget_as_json, budgets_shown, is_configured, limits_shown
from llmroute_cli.keys_shown import spending as spending_of
from llmroute_cli.register import ACTOR, Register, named, registered

__all__ = ["create", "delete", "listed", "show", "update"]

_HEADS = ("name", "keys", "may ask for", "limits", "budgets", "state")


def create(path: Path | None, name: str, given: Given, *, as_json: bool) -> None:
    """Make a team."""
    team = Team("", named(name, "team"))
    made = replace(team, **given.members(team))

    async def work(register: Register) -> Team:
        register.refuse_configured_team(name)
        return await register.directory.create_team(made, ACTOR)

    _print(registered(path, work), as_json=as_json)


def listed(path: Path | None, *, as_json: bool) -> None:
    """Print the teams of the database and of the configuration."""

    async def work(register: Register) -> list[tuple[Team, int]]:
        keys = [*register.configured, *await register.directory.keys()]
        teams = [*register.teams.values(), *await register.directory.teams()]
        of = [key.team.id for key in keys if key.team is not None]
        return [(team, of.count(team.id)) for team in teams]

    found = registered(path, work)
    if as_json:
        typed = [{**_as_json(team), "keys": count} for team, count in found]
        typer.echo(json.dumps(typed, indent=1))
        return
    table.show(_HEADS, [_row(team, str(count)) for team, count in found])
    if not found:
        say("there is no team; `llmroute teams create NAME` makes one")


def show(path: Path | None, name: str, *, as_json: bool) -> None:
    """Print one team with its keys, and what is spent of its budgets."""

    async def work(register: Register) -> tuple[Team, list[str], dict[str, int]]:
        team = register.teams.get(name) or await register.directory.team(name)
        every = [*register.configured, *await register.directory.keys()]
        keys = sorted(key.name for key in every if key.team and key.team.id == team.id)
        now = datetime.now(UTC)
        spent = await register.database.read(lambda it: spent_of(it, team.budgets, now))
        return team, keys, spent

    team, keys, spent = registered(path, work)
    if as_json:
        typer.echo(json.dumps({**_as_json(team, spent), "keys": keys}, indent=1))
        return
    cells = dict(zip(_HEADS, _row(team, " ".join(keys)), strict=True))
    del cells["budgets"]
    for head, cell in (*cells.items(), ("tags", " ".join(team.tags))):
        if cell:
            typer.echo(f"{head + ':':<15}{cell}")
    for budget in team.budgets:
        typer.echo(f"{'budget:':<15}{spending_of(budget, spent.get(budget.id, 0))}")


def update(
    path: Path | None, name: str, given: Given, *, new_name: str | None, blocked: bool | None
) -> None:
    """Change what is given, and nothing else."""
    members: dict[str, Any] = {} if blocked is None else {"blocked": blocked}
    if new_name is not None:
        members["name"] = named(new_name, "team")

    async def work(register: Register) -> Team:
        register.refuse_configured_team(name)
        if new_name is not None:
            register.refuse_configured_team(new_name)
        return await register.directory.alter_team(
            name, ACTOR, "update", lambda now: {**members, **given.members(now)}
        )

    _print(registered(path, work), as_json=False)


def delete(path: Path | None, name: str, *, with_keys: bool) -> None:
    """Delete a team."""

    async def work(register: Register) -> None:
        register.refuse_configured_team(name)
        try:
            await register.directory.delete_team(name, ACTOR, with_keys=with_keys)
        except ConflictError as error:
            raise fail(f"{error}; --with-keys deletes them too", 1) from None

    registered(path, work)
    say(f"team {name!r} is deleted; what it has used stays on record")


def _row(team: Team, keys: str) -> tuple[str, ...]:
    state = ["config"] if is_configured(team) else []
    state += ["blocked"] if team.blocked else []
    return (
        team.name,
        keys,
        " ".join(team.aliases) or "everything",
        limits_shown(team.limits),
        budgets_shown(team.budgets),
        ", ".join(state) or "ok",
    )


def _print(team: Team, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_json(team), indent=1))
    else:
        table.show(
            [head for head in _HEADS if head != "keys"], [_row(team, "")[:1] + _row(team, "")[2:]]
        )


def _as_json(team: Team, spent: Mapping[str, int] | None = None) -> dict[str, Any]:
    return {
        "id": team.id,
        "name": team.name,
        "source": "config" if is_configured(team) else "database",
        "aliases": list(team.aliases),
        "tags": list(team.tags),
        "limits": asdict(team.limits),
        "budgets": [budget_as_json(each, spent) for each in team.budgets],
        "blocked": team.blocked,
        "metadata": team.metadata,
    }
