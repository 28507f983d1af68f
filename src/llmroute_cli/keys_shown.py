"""How keys, limits and budgets are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from llmroute.accounts.model import Budget, Key, Limits, Team, window_of

__all__ = [
    "KEY_HEADS",
    "budget_as_json",
    "budgets_shown",
    "is_configured",
    "key_as_json",
    "key_row",
    "limits_shown",
    "spending",
    "state_of",
]

_MICROS: Final = 1_000_000
KEY_HEADS: Final = (
    *("name", "key", "owner", "team", "may ask for"),
    *("limits", "budgets", "ends", "state"),
)
"""The heads of a table of keys."""


def key_row(key: Key) -> tuple[str, ...]:
    """Return the cells of a key in a table of `KEY_HEADS`."""
    return (
        key.name,
        key.hint,
        key.owner,
        key.team.name if key.team else "",
        " ".join(key.aliases) or "everything",
        limits_shown(key.limits),
        budgets_shown(key.budgets),
        f"{key.expires:%Y-%m-%d}" if key.expires else "never",
        state_of(key),
    )


def state_of(key: Key) -> str:
    """Say whether a key is taken, and whose it is."""
    words = ["config"] if is_configured(key) else []
    if key.blocked:
        words.append("blocked")
    elif key.team is not None and key.team.blocked:
        words.append("team blocked")
    if key.expires is not None and key.expires <= datetime.now(UTC):
        words.append("ended")
    return ", ".join(words) or "ok"


def is_configured(key: Key | Team) -> bool:
    """Tell whether a key or a team stands in the configuration."""
    return key.id.startswith("config:")


def limits_shown(limits: Limits) -> str:
    """Write limits in a word each."""
    each = (
        ("rpm", limits.requests_per_minute),
        ("tpm", limits.tokens_per_minute),
        ("parallel", limits.parallel),
    )
    return " ".join(f"{name}={limit}" for name, limit in each if limit is not None)


def budgets_shown(budgets: Iterable[Budget]) -> str:
    """Write budgets as `--budget` has them."""
    return " ".join(map(_budget_shown, budgets))


def _budget_shown(budget: Budget) -> str:
    alias = f":{budget.alias}" if budget.alias else ""
    return f"{_dollars(budget.amount)}/{budget.period}{alias}"


def _dollars(micros: int) -> str:
    return f"{micros / _MICROS:.6f}".rstrip("0").rstrip(".")


def spending(budget: Budget, spent: int | None) -> str:
    """Say how much of a budget is spent, if that is known, and when it begins anew."""
    end = window_of(budget.period, datetime.now(UTC))[1]
    resets = "" if end is None else f", begins anew at {end:%Y-%m-%d %H:%M} UTC"
    amount = f"${_dollars(budget.amount)}"
    sums = amount if spent is None else f"${_dollars(spent)} of {amount} spent"
    return f"{_budget_shown(budget)}: {sums}{resets}"


def key_as_json(key: Key, spent: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return a key as `--json` prints it."""
    return {
        "id": key.id,
        "name": key.name,
        "source": "config" if is_configured(key) else "database",
        "hint": key.hint,
        "owner": key.owner,
        "team": key.team.name if key.team else None,
        "aliases": list(key.aliases),
        "tags": list(key.tags),
        "limits": asdict(key.limits),
        "budgets": [budget_as_json(each, spent) for each in key.budgets],
        "trusted": key.trusted,
        "blocked": key.blocked,
        "expires": key.expires.isoformat() if key.expires else None,
        "created": key.created.isoformat() if key.created else None,
        "created_by": key.created_by,
        "metadata": key.metadata,
    }


def budget_as_json(budget: Budget, spent: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return a budget in dollars, with what is spent of it if that is known."""
    shown: dict[str, Any] = {"amount": budget.amount / _MICROS, "period": budget.period}
    shown |= {"alias": budget.alias, "message": budget.message}
    return shown if spent is None else shown | {"spent": spent.get(budget.id, 0) / _MICROS}
