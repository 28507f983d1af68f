"""Teams over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from pydantic import Field

from llmroute.accounts.model import Team
from llmroute.asgi import render
from llmroute.asgi.admin.configured import configured_teams, team_unconfigured
from llmroute.asgi.admin.reading import as_budgets, as_limits, as_name, bounded, read
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import budgets_shown
from llmroute.asgi.render import Rendered
from llmroute.config.accounts import TeamSettings

__all__ = ["ROUTES", "Changes", "NewTeam"]

_ALL = r"/llmroute/teams"
_ONE = rf"{_ALL}/(?P<name>[^/]+)"


class Changes(TeamSettings):
    """A team to be changed; what is left out stays, and what is null becomes what it is without."""

    name: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)


class NewTeam(Changes):
    """A team to be made."""

    name: str


async def _create(asking: Asking) -> Rendered:
    wanted = read(NewTeam, asking.body)
    bounded(wanted, wanted.metadata)
    team_unconfigured(asking.ledger, wanted.name)
    team = Team(
        id="",
        name=as_name(wanted.name, "team"),
        aliases=wanted.aliases,
        tags=wanted.tags,
        limits=as_limits(wanted.limits),
        budgets=as_budgets(wanted.budgets),
        blocked=wanted.blocked,
        metadata=wanted.metadata,
    )
    return await _answer(asking, await asking.ledger.directory.create_team(team, asking.actor))


async def _list(asking: Asking) -> Rendered:
    teams = [*configured_teams(asking.ledger), *await asking.ledger.directory.teams()]
    return render.plain(200, {"teams": await _shown(asking, teams)})


async def _show(asking: Asking) -> Rendered:
    name = asking.names["name"]
    fixed = [each for each in configured_teams(asking.ledger) if name in (each.id, each.name)]
    return await _answer(asking, fixed[0] if fixed else await asking.ledger.directory.team(name))


async def _update(asking: Asking) -> Rendered:
    wanted = read(Changes, asking.body)
    bounded(wanted, wanted.metadata)
    members = {name: getattr(wanted, name) for name in asking.body}
    if "name" in members:
        team_unconfigured(asking.ledger, as_name(members["name"], "team"))
    if "limits" in members:
        members["limits"] = as_limits(wanted.limits)
    if "budgets" in members:
        members["budgets"] = as_budgets(wanted.budgets)
    return await _changed(asking, "update", members)


async def _block(asking: Asking) -> Rendered:
    return await _changed(asking, "block", {"blocked": True})


async def _unblock(asking: Asking) -> Rendered:
    return await _changed(asking, "unblock", {"blocked": False})


async def _delete(asking: Asking) -> Rendered:
    team_unconfigured(asking.ledger, asking.names["name"])
    directory = asking.ledger.directory
    team = await directory.team(asking.names["name"])
    await directory.delete_team(team.id, asking.actor)
    return render.plain(200, {"type": "team_deleted", "id": team.id, "name": team.name})


async def _changed(asking: Asking, action: str, members: dict[str, Any]) -> Rendered:
    name = asking.names["name"]
    team_unconfigured(asking.ledger, name)
    team = await asking.ledger.directory.update_team(name, asking.actor, action, **members)
    await asking.take_effect()
    return await _answer(asking, team)


async def _answer(asking: Asking, team: Team) -> Rendered:
    (shown,) = await _shown(asking, [team])
    return render.plain(200, shown)


async def _shown(asking: Asking, teams: Sequence[Team]) -> list[dict[str, Any]]:
    budgets = await budgets_shown(asking.ledger, [each for team in teams for each in team.budgets])
    return [
        {
            "type": "team",
            "id": team.id,
            "name": team.name,
            "source": "config" if team.id.startswith("config:") else "database",
            "aliases": team.aliases,
            "tags": team.tags,
            "limits": asdict(team.limits),
            "budgets": [budgets[each.id] for each in team.budgets],
            "blocked": team.blocked,
            "metadata": team.metadata,
        }
        for team in teams
    ]


ROUTES: Final = (
    Route("GET", re.compile(_ALL), _list),
    Route("POST", re.compile(_ALL), _create),
    Route("GET", re.compile(_ONE), _show),
    Route("PATCH", re.compile(_ONE), _update),
    Route("DELETE", re.compile(_ONE), _delete),
    Route("POST", re.compile(rf"{_ONE}/block"), _block),
    Route("POST", re.compile(rf"{_ONE}/unblock"), _unblock),
)
