"""Teams, and the people whose keys they are, in LiteLLM's shapes."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

from llmroute.accounts.model import Key, Team
from llmroute.accounts.spending import spent_by
from llmroute.asgi import render
from llmroute.asgi.admin.configured import configured_keys, configured_teams, team_unconfigured
from llmroute.asgi.admin.litellm import names_in, route, text_in
from llmroute.asgi.admin.litellm_shown import infos, team_infos
from llmroute.asgi.admin.litellm_terms import Terms
from llmroute.asgi.admin.reading import as_name
from llmroute.asgi.admin.route import Asking
from llmroute.asgi.admin.shown import dollars
from llmroute.asgi.render import Rendered
from llmroute.errors import InvalidRequestError

__all__ = ["ROUTES"]

_LONGEST_ID: Final = 64  # characters, as the column has it
_OWN: Final = ("team_alias", "team_id")


async def _new(asking: Asking) -> Rendered:
    body = {name: value for name, value in asking.body.items() if name != "team_id"}
    terms = _terms(body)
    given = text_in(asking.body, "team_id")
    if given and (len(given) > _LONGEST_ID or not given.isprintable()):
        raise InvalidRequestError(f"team_id: must be printable text of {_LONGEST_ID} characters")
    name = text_in(asking.body, "team_alias") or given or f"team-{secrets.token_hex(4)}"
    team_unconfigured(asking.ledger, as_name(name, "team"))
    team = Team(id=given, name=name)
    made = replace(team, **terms.of_team(team))
    made = await asking.ledger.directory.create_team(made, asking.actor)
    return await _answer(asking, made, terms)


async def _info(asking: Asking) -> Rendered:
    given = asking.query.get("team_id", "")
    if not given:
        raise InvalidRequestError("team_id: required, and not given")
    team = await _found(asking, given)
    (info,) = await team_infos(asking.ledger, [team])
    keys = await infos(asking.ledger, await _keys_of(asking, team))
    told = {"team_id": team.id, "team_info": info, "keys": keys, "team_memberships": []}
    return render.plain(200, told)


async def _list(asking: Asking) -> Rendered:
    teams = [*configured_teams(asking.ledger), *await asking.ledger.directory.teams()]
    return render.plain(200, await team_infos(asking.ledger, teams))


async def _update(asking: Asking) -> Rendered:
    given = text_in(asking.body, "team_id")
    if not given:
        raise InvalidRequestError("team_id: required, and not given")
    body = {name: value for name, value in asking.body.items() if name != "team_id"}
    terms = _terms(body)
    team = await _changeable(asking, given)
    fixed: dict[str, Any] = {}
    if (name := text_in(asking.body, "team_alias")) and name != team.name:
        team_unconfigured(asking.ledger, as_name(name, "team"))
        fixed["name"] = name
    team = await asking.ledger.directory.alter_team(
        team.id, asking.actor, "update", lambda present: terms.of_team(present) | fixed
    )
    await asking.take_effect()
    (info,) = await team_infos(asking.ledger, [team])
    warned = {"warnings": terms.warnings} if terms.warnings else {}
    return render.plain(200, {"team_id": team.id, "data": info, **warned})


async def _delete(asking: Asking) -> Rendered:
    """Delete teams with their keys, as LiteLLM does."""
    given = names_in(asking.body, "team_ids")
    found = [await _changeable(asking, each) for each in given]
    for team in {team.id: team for team in found}.values():
        await asking.ledger.directory.delete_team(team.id, asking.actor, with_keys=True)
    await asking.take_effect()
    return render.plain(200, {"deleted_teams": given})


async def _block(asking: Asking) -> Rendered:
    return await _set_blocked(asking, "block", blocked=True)


async def _unblock(asking: Asking) -> Rendered:
    return await _set_blocked(asking, "unblock", blocked=False)


async def _set_blocked(asking: Asking, action: str, *, blocked: bool) -> Rendered:
    team = await _changeable(asking, text_in(asking.body, "team_id"))
    directory = asking.ledger.directory
    team = await directory.update_team(team.id, asking.actor, action, blocked=blocked)
    await asking.take_effect()
    return await _answer(asking, team)


async def _user(asking: Asking) -> Rendered:
    """Show a person: the owner of keys."""
    owner = asking.query.get("user_id", "")
    if not owner:
        raise InvalidRequestError("user_id: required, and not given")
    fixed = [key for key in configured_keys(asking.ledger) if key.owner == owner]
    keys = [*fixed, *await asking.ledger.directory.keys(owner=owner)]
    teams = {key.team.id: key.team for key in keys if key.team is not None}
    spent = await asking.ledger.database.read(lambda it: spent_by(it, "owner", [owner]))
    spend = dollars(spent.get(owner, 0))
    told = {
        "user_id": owner,
        "user_info": {"user_id": owner, "spend": spend, "max_budget": None, "models": []},
        "keys": await infos(asking.ledger, keys),
        "teams": await team_infos(asking.ledger, list(teams.values())),
    }
    return render.plain(200, told)


def _terms(body: dict[str, Any]) -> Terms:
    terms = Terms(body, _OWN)
    if body.get("model_max_budget"):
        terms.warnings.append("model_max_budget: holds for all keys of the team together")
    return terms


async def _found(asking: Asking, given: str) -> Team:
    named = (each for each in configured_teams(asking.ledger) if given in (each.id, each.name))
    return next(named, None) or await asking.ledger.directory.team(given)


async def _changeable(asking: Asking, given: str) -> Team:
    if not given:
        raise InvalidRequestError("team_id: required, and not given")
    team_unconfigured(asking.ledger, given)
    return await asking.ledger.directory.team(given)


async def _keys_of(asking: Asking, team: Team) -> list[Key]:
    fixed = [key for key in configured_keys(asking.ledger) if key.team and key.team.id == team.id]
    return [*fixed, *await asking.ledger.directory.keys(team=team.id)]


async def _answer(asking: Asking, team: Team, terms: Terms | None = None) -> Rendered:
    (info,) = await team_infos(asking.ledger, [team])
    warned = {"warnings": terms.warnings} if terms and terms.warnings else {}
    return render.plain(200, {**info, **warned})


ROUTES: Final = (
    route("POST", "/team/new", _new),
    route("GET", "/team/info", _info),
    route("GET", "/team/list", _list),
    route("POST", "/team/update", _update),
    route("POST", "/team/delete", _delete),
    route("POST", "/team/block", _block),
    route("POST", "/team/unblock", _unblock),
    route("GET", "/user/info", _user),
)
