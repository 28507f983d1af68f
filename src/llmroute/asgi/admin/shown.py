"""How budgets and times are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from llmroute.accounts.model import Budget, window_of
from llmroute.accounts.spending import spent_of
from llmroute.ledger import Ledger

__all__ = ["budgets_shown", "dollars", "shown_time"]

_MICROS: Final = 1_000_000


async def budgets_shown(ledger: Ledger, budgets: Sequence[Budget]) -> dict[str, dict[str, Any]]:
    """Return budgets by id, in dollars, with what is spent of each in its present window."""
    if not budgets:
        return {}
    now = ledger.directory.now()
    spent = await ledger.database.read(lambda it: spent_of(it, budgets, now))
    return {
        budget.id: {
            "id": budget.id,
            "amount": dollars(budget.amount),
            "period": budget.period,
            "alias": budget.alias,
            "message": budget.message,
            "spent": dollars(spent.get(budget.id, 0)),
            "resets": shown_time(window_of(budget.period, now)[1]),
        }
        for budget in budgets
    }


def dollars(micros: int) -> float:
    """Return micro-dollars in US dollars."""
    return micros / _MICROS


def shown_time(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 has it, in UTC."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
