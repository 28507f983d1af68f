"""Keys and teams as LiteLLM shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from llmroute.accounts.model import Budget, Key, Team, window_of
from llmroute.accounts.spending import spent_by, spent_of
from llmroute.asgi.admin.litellm import tokens
from llmroute.asgi.admin.litellm_terms import DURATIONS
from llmroute.asgi.admin.shown import dollars, shown_time
from llmroute.ledger import Ledger

__all__ = ["infos", "team_infos"]


async def infos(ledger: Ledger, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Return keys, in the order they are given."""
    known = await tokens(ledger, keys)
    spent = await _spent(ledger, "key", keys)
    now = ledger.directory.now()
    return [
        {
            "token": known.get(key.id, ""),
            "key_name": f"sk-...{key.hint[-4:]}" if key.hint else None,
            "key_alias": key.name,
            "user_id": key.owner or None,
            "team_id": key.team.id if key.team else None,
            "expires": shown_time(key.expires),
            **_common(key, spent, now),
            "aliases": {},
            "config": {},
            "permissions": {},
            "created_at": shown_time(key.created),
            "created_by": key.created_by or None,
        }
        for key in keys
    ]


async def team_infos(ledger: Ledger, teams: Sequence[Team]) -> list[dict[str, Any]]:
    """Return teams, in the order they are given."""
    spent = await _spent(ledger, "team", teams)
    now = ledger.directory.now()
    return [
        {
            "team_id": team.id,
            "team_alias": team.name,
            "organization_id": None,
            **_common(team, spent, now),
            "admins": [],
            "members": [],
            "members_with_roles": [],
        }
        for team in teams
    ]


async def _spent(ledger: Ledger, kind: str, them: Sequence[Key | Team]) -> dict[str, int]:
    """Return what was spent: of a budget in its window, of a key or a team ever; by id or name."""
    budgets = [each for it in them for each in it.budgets]
    now = ledger.directory.now()
    of_budgets = await ledger.database.read(lambda it: spent_of(it, budgets, now))
    # What was spent of a budget is known; only the rest takes sums.
    names = [it.name for it in them if all(each.alias for each in it.budgets)]
    return of_budgets | await ledger.database.read(lambda it: spent_by(it, kind, names))


def _common(it: Key | Team, spent: Mapping[str, int], now: datetime) -> dict[str, Any]:
    whole = [each for each in it.budgets if not each.alias]
    first = next(iter(whole), None)
    spend = spent.get(it.name, 0) if first is None else spent.get(first.id, 0)
    return {
        "spend": dollars(spend),
        "models": it.aliases,
        "max_budget": None if first is None else dollars(first.amount),
        "budget_duration": None if first is None else DURATIONS[first.period],
        "budget_reset_at": None if first is None else _reset(first, now),
        "budget_limits": [_window(each, spent, now) for each in whole],
        "model_max_budget": {
            each.alias: {"budget_limit": dollars(each.amount), "time_period": _length(each)}
            for each in it.budgets
            if each.alias
        },
        "rpm_limit": it.limits.requests_per_minute,
        "tpm_limit": it.limits.tokens_per_minute,
        "max_parallel_requests": it.limits.parallel,
        "blocked": it.blocked,
        "tags": it.tags,
        "metadata": it.metadata,
    }


def _window(budget: Budget, spent: Mapping[str, int], now: datetime) -> dict[str, Any]:
    return {
        "max_budget": dollars(budget.amount),
        "budget_duration": _length(budget),
        "reset_at": _reset(budget, now),
        "spend": dollars(spent.get(budget.id, 0)),
    }


def _length(budget: Budget) -> str | None:
    return DURATIONS[budget.period]


def _reset(budget: Budget, now: datetime) -> str | None:
    return shown_time(window_of(budget.period, now)[1])
