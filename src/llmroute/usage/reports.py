"""What was used, added up by key, team, model, session, day and the like; and single calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, RowMapping, select

from llmroute.database.schema import calls
from llmroute.usage.query import (
    OfCalls,
    Query,
    Sums,
    source_of,
    sums_of,
    total_of,
    value_of,
    written,
)

__all__ = ["Report", "find_call", "latest_calls", "report"]


class Report(NamedTuple):
    """What was found.

    Attributes:
        query: What was asked for.
        rows: The values of `query.by` with their sums: by time where that comes first, else the
            most expensive first.
        totals: Of all, those beyond the limit included; a call with several tags counts once.
    """

    query: Query
    rows: Sequence[tuple[tuple[str, ...], Sums]]
    totals: Sums

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "from": written(self.query.span.since),
            "to": written(self.query.span.until),
            "by": list(self.query.by),
            "rows": [
                {**dict(zip(self.query.by, values, strict=True)), **sums.as_json()}
                for values, sums in self.rows
            ],
            "totals": self.totals.as_json(),
        }


def report(connection: Connection, query: Query) -> Report:
    """Return what was used."""
    source = source_of(query, connection.dialect.name)
    if not query.by:
        return Report(query, (), sums_of(connection.execute(source.totals()).one()))
    columns = source.columns()
    size = len(columns)
    asked = source.narrowed(select(*columns, *source.sums())).group_by(*columns)
    asked = asked.order_by(*source.order(columns)).limit(query.limit)
    rows = [
        (tuple(map(value_of, query.by, row[:size])), sums_of(row[size:]))
        for row in connection.execute(asked)
    ]
    if len(rows) < query.limit and "tag" not in query.by:
        return Report(query, rows, total_of(sums for _, sums in rows))
    return Report(query, rows, sums_of(connection.execute(source.totals()).one()))


_LISTS: Final = ("tags", "attempts", "losses", "why", "bill", "prefix")


def find_call(connection: Connection, id_: str) -> dict[str, Any] | None:
    """Return all that is kept of a call; `None` if there is none of that id.

    Times are in microseconds, money in micro-dollars.
    """
    found = connection.execute(select(calls).where(calls.c.id == id_)).mappings().one_or_none()
    return None if found is None else _call(found)


def latest_calls(connection: Connection, query: Query) -> list[dict[str, Any]]:
    """Return the latest calls of a time, counts of tokens left out; `query.by` is left aside."""
    asked = OfCalls(query, connection.dialect.name).narrowed(select(calls))
    asked = asked.order_by(calls.c.at.desc()).limit(query.limit)
    return [_call(row) for row in connection.execute(asked).mappings()]


def _call(row: RowMapping) -> dict[str, Any]:
    return {name: msgspec.json.decode(v) if name in _LISTS else v for name, v in row.items()}
