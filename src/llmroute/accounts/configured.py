"""The keys that stand in the configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from llmroute.accounts.model import Budget, Key, Limits, Team
from llmroute.accounts.secrets import digest_of
from llmroute.config.accounts import Accounts, BudgetSettings, LimitSettings

__all__ = ["configured_budgets", "configured_keys", "configured_teams"]

_MICROS = 1_000_000
_LONGEST_ID = 64  # characters, as the columns of the database have them


def configured_teams(accounts: Accounts) -> dict[str, Team]:
    """Return the teams of a configuration by name, those without a key too."""
    return {
        name: Team(
            id=_identifier(f"config:{name}"),
            name=name,
            aliases=team.aliases,
            tags=team.tags,
            limits=_limits(team.limits),
            budgets=configured_budgets("team", name, team.budgets),
            blocked=team.blocked,
        )
        for name, team in accounts.teams.items()
    }


def configured_keys(accounts: Accounts) -> dict[bytes, Key]:
    """Return the keys of a configuration by digest, each with its team."""
    teams = configured_teams(accounts)
    keys = {}
    for name, key in accounts.keys.items():
        secret = key.key and key.key.get_secret_value()
        digest = digest_of(secret) if secret else bytes.fromhex(key.sha256 or "")
        keys[digest] = Key(
            id=_identifier(f"config:{name}"),
            name=name,
            aliases=key.aliases,
            owner=key.owner,
            tags=key.tags,
            limits=_limits(key.limits),
            budgets=configured_budgets("key", name, key.budgets),
            team=teams[key.team] if key.team else None,
            trusted=key.trusted,
            blocked=key.blocked,
            expires=key.expires,
            created_by="config",
        )
    return keys


def configured_budgets(
    kind: str, name: str, budgets: Iterable[BudgetSettings]
) -> tuple[Budget, ...]:
    """Return budgets of a configuration; what they are known by stays the same over restarts."""
    return tuple(
        Budget(
            id=_identifier(f"config:{kind}:{name}:{budget.period}:{budget.alias}"),
            amount=round(budget.amount * _MICROS),
            period=budget.period,
            alias=budget.alias,
            message=budget.message,
        )
        for budget in budgets
    )


def _identifier(place: str) -> str:
    """Return an id that a column has room for; two places never share one."""
    if len(place) <= _LONGEST_ID:
        return place
    return f"config:{hashlib.sha256(place.encode()).hexdigest()[:32]}"


def _limits(settings: LimitSettings) -> Limits:
    return Limits(settings.requests_per_minute, settings.tokens_per_minute, settings.parallel)
