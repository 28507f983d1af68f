"""What was spent, as the management of keys shows it: sums by key, team, day; budgets; rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from llmroute.accounts.model import Budget, window_of
from llmroute.database.schema import calls, days, spend

__all__ = ["Asked", "Daily", "daily", "rows", "spent_by", "spent_of"]

_EPOCH: Final = date(1970, 1, 1).toordinal()
_A_DAY: Final = 86_400_000_000  # microseconds
# So many values a statement may have, at the least, in every version of SQLite.
_MOST_VALUES: Final = 500


class Asked(NamedTuple):
    """Whose calls are meant; what is `None` is not looked at.

    Attributes:
        key: The name of a key.
        owner: Whose it is.
        first: The first day, in UTC.
        last: The last day.
        id: The id of one call.
    """

    key: str | None = None
    owner: str | None = None
    first: date | None = None
    last: date | None = None
    id: str | None = None


class Daily(NamedTuple):
    """What was spent in a day, with one key, by one owner, on one model; in micro-dollars."""

    day: date
    key: str
    owner: str
    model: str
    cost: int


def spent_of(connection: Connection, budgets: Sequence[Budget], now: datetime) -> dict[str, int]:
    """Return what is spent of each budget in its present window, in micro-dollars, by id."""
    windows = {budget.id: window_of(budget.period, now)[0] for budget in budgets}
    ids = sorted(windows)
    found: dict[str, int] = {}
    for start in range(0, len(ids), _MOST_VALUES):
        asked = select(spend).where(spend.c.budget_id.in_(ids[start : start + _MOST_VALUES]))
        for row in connection.execute(asked):
            if row.window == windows[row.budget_id]:
                found[row.budget_id] = row.spent
    return found


def spent_by(
    connection: Connection, what: str, names: Collection[str] | None = None
) -> dict[str, int]:
    """Return all that was ever spent, in micro-dollars.

    Args:
        connection: Of the transaction.
        what: `key`, `team`, `owner`, `model` or `alias`: a column of the sums by day.
        names: Of these only.
    """
    column: ColumnElement[str] = days.c[what]
    if names is None:
        return _spent(connection, column, [])
    ordered, found = sorted(set(names)), dict[str, int]()
    for start in range(0, len(ordered), _MOST_VALUES):
        found |= _spent(connection, column, [column.in_(ordered[start : start + _MOST_VALUES])])
    return found


def _spent(
    connection: Connection, column: ColumnElement[str], conditions: Sequence[ColumnElement[bool]]
) -> dict[str, int]:
    asked = select(column, func.sum(days.c.cost)).where(*conditions).group_by(column)
    # PostgreSQL adds whole numbers up to a decimal one.
    return {name: int(cost or 0) for name, cost in connection.execute(asked)}


def daily(connection: Connection, asked: Asked) -> list[Daily]:
    """Return what was spent by day, the first day first."""
    conditions = []
    if asked.key is not None:
        conditions.append(days.c.key == asked.key)
    if asked.owner is not None:
        conditions.append(days.c.owner == asked.owner)
    if asked.first is not None:
        conditions.append(days.c.day >= asked.first.toordinal() - _EPOCH)
    if asked.last is not None:
        conditions.append(days.c.day <= asked.last.toordinal() - _EPOCH)
    by = (days.c.day, days.c.key, days.c.owner, days.c.model)
    statement = select(*by, func.sum(days.c.cost)).where(*conditions).group_by(*by).order_by(*by)
    return [
        Daily(date.fromordinal(day + _EPOCH), key, owner, model, int(cost or 0))
        for day, key, owner, model, cost in connection.execute(statement)
    ]


def rows(connection: Connection, asked: Asked, limit: int) -> list[Mapping[str, Any]]:
    """Return the calls themselves, the latest first."""
    conditions = []
    if asked.id is not None:
        conditions.append(calls.c.id == asked.id)
    if asked.key is not None:
        conditions.append(calls.c.key == asked.key)
    if asked.owner is not None:
        conditions.append(calls.c.owner == asked.owner)
    if asked.first is not None:
        conditions.append(calls.c.at >= (asked.first.toordinal() - _EPOCH) * _A_DAY)
    if asked.last is not None:
        conditions.append(calls.c.at < (asked.last.toordinal() - _EPOCH + 1) * _A_DAY)
    statement = select(calls).where(*conditions).order_by(calls.c.at.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(statement)]
