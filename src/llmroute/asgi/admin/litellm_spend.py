"""What was spent, in LiteLLM's shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from llmroute.accounts.model import Key
from llmroute.accounts.spending import Asked, Daily, daily, rows, spent_by
from llmroute.asgi import render
from llmroute.asgi.admin.configured import configured_keys, configured_teams
from llmroute.asgi.admin.litellm import found_key, route, tokens
from llmroute.asgi.admin.route import Asking
from llmroute.asgi.admin.shown import dollars, shown_time
from llmroute.asgi.render import Rendered
from llmroute.errors import InvalidRequestError

__all__ = ["ROUTES"]

_MICROS: Final = 1_000_000
_MOST_ROWS: Final = 1000
_MOST_DAYS: Final = 3660


async def _logs(asking: Asking) -> Rendered:
    """Sum up by day if two dates are named; list the latest calls if not, or if told to."""
    query = asking.query
    first, last = _day(query, "start_date"), _day(query, "end_date")
    key = await found_key(asking.ledger, query["api_key"]) if query.get("api_key") else None
    asked = Asked(
        key=None if key is None else key.name,
        owner=query.get("user_id") or None,
        first=first,
        last=last,
        id=query.get("request_id") or None,
    )
    database = asking.ledger.database
    summarize = query.get("summarize", "true").lower() != "false"
    if first is not None and last is not None and summarize and asked.id is None:
        if not timedelta() <= last - first <= timedelta(days=_MOST_DAYS):
            raise InvalidRequestError(f"end_date: must be 0 to {_MOST_DAYS} days after start_date")
        sums = await database.read(lambda it: daily(it, asked))
        return render.plain(200, _by_day(sums, await _tokens_by_name(asking), last))
    limit = asking.number("page_size", _MOST_ROWS, _MOST_ROWS)
    found = await database.read(lambda it: rows(it, asked, limit))
    known, teams = await _tokens_by_name(asking), await _teams_by_name(asking)
    return render.plain(200, [_row(row, known, teams) for row in found])


def _day(query: Mapping[str, str], name: str) -> date | None:
    given = query.get(name)
    if not given:
        return None
    try:
        return datetime.fromisoformat(given).date()
    except ValueError:
        raise InvalidRequestError(f"{name}: must be a date, 2027-01-31") from None


def _by_day(sums: Sequence[Daily], known: Mapping[str, str], last: date) -> list[dict[str, Any]]:
    """Return a summary of each day on which something was spent, and of all days after those."""
    found: dict[date, dict[str, Any]] = {}
    for day, key, owner, model, cost in sums:
        of_day = found.setdefault(day, _empty(day))
        token = known.get(key, key)
        spend = dollars(cost)
        of_day["spend"] += spend
        of_day[token] = of_day.get(token, 0.0) + spend
        for member, name in (("users", owner), ("models", model)):
            of_day[member][name] = of_day[member].get(name, 0.0) + spend
    for of_day in found.values():
        _round(of_day)
    if found:
        day = max(found)
        while day < last:
            day += timedelta(days=1)
            found[day] = _empty(day)
    return list(found.values())


def _round(sums: dict[str, Any]) -> None:
    """Round sums of dollars to the micro-dollars that they are made of, those of members too."""
    for name, value in sums.items():
        if isinstance(value, dict):
            _round(value)
        elif isinstance(value, float):
            sums[name] = round(value, 6)


def _empty(day: date) -> dict[str, Any]:
    return {"startTime": day.isoformat(), "spend": 0.0, "users": {}, "models": {}}


def _row(
    row: Mapping[str, Any], known: Mapping[str, str], teams: Mapping[str, str]
) -> dict[str, Any]:
    first_byte = row["first_byte"]
    prompt = row["input"] + row["cache_read"] + row["cache_write"]
    return {
        "request_id": row["id"],
        "call_type": row["endpoint"],
        "api_key": known.get(row["key"], row["key"]),
        "spend": None if row["cost"] is None else dollars(row["cost"]),
        "total_tokens": prompt + row["output"],
        "prompt_tokens": prompt,
        "completion_tokens": row["output"],
        "startTime": _time(row["at"]),
        "endTime": _time(row["at"] + row["duration"]),
        "completionStartTime": None if first_byte is None else _time(row["at"] + first_byte),
        "model": row["model"],
        "model_id": row["deployment"],
        "model_group": row["alias"],
        "custom_llm_provider": row["provider"],
        "user": row["owner"],
        "team_id": teams.get(row["team"], row["team"]) or None,
        "request_tags": json.loads(row["tags"]),
        "session_id": row["session"] or None,
        "status": "success" if row["outcome"] == "answered" else "failure",
        "metadata": {
            "user_api_key_alias": row["key"],
            "user_api_key_team_alias": row["team"] or None,
            "status": row["outcome"],
            "cache_read_input_tokens": row["cache_read"],
            "cache_creation_input_tokens": row["cache_write"],
        },
        # None of it is kept.
        "messages": {},
        "response": {},
    }


def _time(micros: int) -> str | None:
    return shown_time(datetime.fromtimestamp(micros / _MICROS, UTC))


async def _everyone(asking: Asking) -> list[Key]:
    return [*configured_keys(asking.ledger), *await asking.ledger.directory.keys()]


async def _tokens_by_name(asking: Asking) -> dict[str, str]:
    keys = await _everyone(asking)
    known = await tokens(asking.ledger, keys)
    return {key.name: known[key.id] for key in keys if key.id in known}


async def _teams_by_name(asking: Asking) -> dict[str, str]:
    teams = [*configured_teams(asking.ledger), *await asking.ledger.directory.teams()]
    return {team.name: team.id for team in teams}


async def _total(asking: Asking) -> Rendered:
    spent = await asking.ledger.database.read(lambda it: spent_by(it, "key"))
    return render.plain(200, {"spend": dollars(sum(spent.values())), "max_budget": None})


async def _by_key(asking: Asking) -> Rendered:
    limit = asking.number("limit", 100, _MOST_ROWS)
    spent = await asking.ledger.database.read(lambda it: spent_by(it, "key"))
    keys = {key.name: key for key in await _everyone(asking)}
    known = await _tokens_by_name(asking)
    shown = [
        {
            "api_key": known.get(name, name),
            "key_alias": name,
            "key_name": f"sk-...{keys[name].hint[-4:]}" if name in keys else None,
            "total_spend": dollars(cost),
        }
        for name, cost in _most(spent)[:limit]
    ]
    return render.plain(200, shown)


async def _by_team(asking: Asking) -> Rendered:
    spent = await asking.ledger.database.read(lambda it: spent_by(it, "team"))
    ids = await _teams_by_name(asking)
    spent.pop("", None)
    shown = [
        {"team_id": ids.get(name, name), "team_alias": name, "total_spend": dollars(cost)}
        for name, cost in _most(spent)
    ]
    return render.plain(200, {"teams": sorted(spent), "total_spend_per_team": shown})


async def _by_model(asking: Asking) -> Rendered:
    limit = asking.number("limit", 100, _MOST_ROWS)
    spent = await asking.ledger.database.read(lambda it: spent_by(it, "model"))
    shown = [{"model": name, "total_spend": dollars(cost)} for name, cost in _most(spent)[:limit]]
    return render.plain(200, shown)


def _most(spent: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(spent.items(), key=lambda each: (-each[1], each[0]))


ROUTES: Final = (
    route("GET", "/spend/logs", _logs),
    route("GET", "/global/spend", _total),
    route("GET", "/global/spend/keys", _by_key),
    route("GET", "/global/spend/teams", _by_team),
    route("GET", "/global/spend/models", _by_model),
)
