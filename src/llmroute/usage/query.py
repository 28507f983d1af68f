"""What is asked of the records, of which of the two tables, and what it adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, case, cast, func, literal, select, true
from sqlalchemy.dialects.postgresql import JSONB

from llmroute.database.schema import calls, days
from llmroute.errors import InvalidRequestError
from llmroute.usage.period import DAY, HOUR, Span

__all__ = [
    "DIMENSIONS",
    "FILTERS",
    "MOST",
    "OfCalls",
    "OfDays",
    "Query",
    "Sums",
    "source_of",
    "sums_of",
    "total_of",
    "value_of",
    "written",
]

_OF_DAYS: Final = ("key", "owner", "team", "alias", "deployment", "model")
_OF_CALLS: Final = ("provider", "session", "agent", "kind", "client", "outcome")
FILTERS: Final = (*_OF_DAYS, *_OF_CALLS, "tag")
"""What a report may be narrowed to."""
DIMENSIONS: Final = (*FILTERS, "day", "hour")
"""What it may be divided by."""
MOST: Final = 10_000
"""The most rows that one may have."""

_FAILED: Final = ("refused", "failed", "broken")
_FORMS: Final = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00Z"}


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for.

    Attributes:
        span: The time.
        by: What to divide by, some of `DIMENSIONS`; nothing for the totals alone.
        where: What to narrow it to: some of `FILTERS`, each with its value.
        key_id: The key's own id, where one asks for its own: its name may have been another's.
        limit: The most rows.
    """

    span: Span
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    key_id: str = ""
    limit: int = 1000

    def __post_init__(self) -> None:
        for name in self.by:
            if name not in DIMENSIONS:
                raise InvalidRequestError(f"a report is divided by {', '.join(DIMENSIONS)}")
        for name in self.where:
            if name not in FILTERS:
                raise InvalidRequestError(f"a report is narrowed to {', '.join(FILTERS)}")
        if not 0 < self.limit <= MOST:
            raise InvalidRequestError(f"a report has 1 to {MOST} rows")


class Sums(NamedTuple):
    """What calls add up to.

    Attributes:
        calls: How many there were; counts of tokens are none.
        errors: Those that were refused, that failed, or whose answer broke off.
        input: Tokens of prompts that were neither read from a cache nor written to one.
        output: Tokens of answers.
        cache_read: Tokens read from the prompt cache.
        cache_write: Tokens written to it.
        cost: In micro-dollars, of the calls whose price is known.
        unpriced: Those whose price is not.
        saved: What caching saved, in micro-dollars; below zero, what it cost.
    """

    calls: int = 0
    errors: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: int = 0
    unpriced: int = 0
    saved: int = 0

    @property
    def hit_share(self) -> float | None:
        """The share of the prompts' tokens that was read from the cache; `None` without any."""
        prompts = self.input + self.cache_read + self.cache_write
        return self.cache_read / prompts if prompts else None

    def as_json(self) -> dict[str, Any]:
        """Return them as JSON has them: money in micro-dollars, and in dollars besides."""
        share = self.hit_share
        return {
            "calls": self.calls,
            "errors": self.errors,
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cache_read_tokens": self.cache_read,
            "cache_write_tokens": self.cache_write,
            "cache_hit_share": None if share is None else round(share, 4),
            "cost": self.cost,
            "cost_usd": self.cost / 1_000_000,
            "unpriced_calls": self.unpriced,
            "saved": self.saved,
            "saved_usd": self.saved / 1_000_000,
        }


def source_of(query: Query, dialect: str) -> OfDays | OfCalls:
    """Return what is asked: the sums of the days, for there are few, or else the calls."""
    named = {*query.by, *query.where} - {"day"}
    if query.span.is_days and named <= {*_OF_DAYS} and not query.key_id:
        return OfDays(query)
    return OfCalls(query, dialect)


class OfDays:
    """The sums of the days."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def columns(self) -> list[ColumnElement[Any]]:
        """Return what it is divided by."""
        return [days.c[name] for name in self._query.by]

    def sums(self) -> list[ColumnElement[Any]]:
        """Return the sums, as `Sums` has them."""
        return [func.sum(days.c[name]) for name in Sums._fields]

    def totals(self) -> Select[Any]:
        """Return what asks for the sums of all."""
        return self.narrowed(select(*self.sums()))

    def narrowed(self, asked: Select[Any]) -> Select[Any]:
        """Return a statement that asks no further than the query does."""
        span, where = self._query.span, self._query.where
        asked = asked.where(days.c.day >= span.since // DAY, days.c.day < span.until // DAY)
        return asked.where(*(days.c[name] == value for name, value in where.items()))

    def order(self, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        """Return what the rows are sorted by."""
        return _order(self._query, columns, func.sum(days.c.cost), func.sum(days.c.calls))


class OfCalls:
    """The calls themselves."""

    def __init__(self, query: Query, dialect: str) -> None:
        self._query = query
        self._tags = _tags(dialect) if "tag" in query.by else None

    def columns(self) -> list[ColumnElement[Any]]:
        """Return what it is divided by."""
        return [self._column(name) for name in self._query.by]

    def _column(self, name: str) -> ColumnElement[Any]:
        match name:
            case "day":
                return calls.c.at // literal(DAY, literal_execute=True)
            case "hour":
                return calls.c.at // literal(HOUR, literal_execute=True)
            case "tag":
                assert self._tags is not None  # noqa: S101 - the constructor saw to it
                return func.coalesce(self._tags.c.value, literal("", literal_execute=True))
            case _:
                return calls.c[name]

    def sums(self) -> list[ColumnElement[Any]]:
        """Return the sums, as `Sums` has them."""
        made = {
            "calls": func.count(),
            "errors": func.sum(case((calls.c.outcome.in_(_FAILED), 1), else_=0)),
            "unpriced": func.sum(case((calls.c.cost.is_(None), 1), else_=0)),
        }
        return [
            made[name] if name in made else func.sum(func.coalesce(calls.c[name], 0))
            for name in Sums._fields
        ]

    def totals(self) -> Select[Any]:
        """Return what asks for the sums of all."""
        return self._where(select(*self.sums()).select_from(calls))

    def narrowed(self, asked: Select[Any]) -> Select[Any]:
        """Return a statement that asks no further than the query does."""
        source: FromClause = calls
        if self._tags is not None:
            source = calls.outerjoin(self._tags, true())
        return self._where(asked.select_from(source))

    def _where(self, asked: Select[Any]) -> Select[Any]:
        query = self._query
        asked = asked.where(calls.c.at >= query.span.since, calls.c.at < query.span.until)
        asked = asked.where(calls.c.endpoint == "messages")
        if query.key_id:
            asked = asked.where(calls.c.key_id == query.key_id)
        for name, value in query.where.items():
            if name == "tag":
                # A list of texts is kept as JSON.
                asked = asked.where(calls.c.tags.contains(_quoted(value), autoescape=True))
            else:
                asked = asked.where(calls.c[name] == value)
        return asked

    def order(self, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        """Return what the rows are sorted by."""
        return _order(self._query, columns, func.sum(calls.c.cost), func.count())


def _quoted(text: str) -> str:
    """Write a text as it stands in a list that is kept as JSON."""
    return msgspec.json.encode(text).decode()


def _tags(dialect: str) -> Any:
    """Return the tags of a call, a row each."""
    if dialect == "postgresql":
        return func.jsonb_array_elements_text(cast(calls.c.tags, JSONB)).table_valued("value")
    return func.json_each(calls.c.tags).table_valued("value")


def _order(
    query: Query,
    columns: Sequence[ColumnElement[Any]],
    cost: ColumnElement[Any],
    count: ColumnElement[Any],
) -> list[ColumnElement[Any]]:
    if query.by[0] in _FORMS:
        return [*columns]
    return [func.coalesce(cost, 0).desc(), count.desc(), *columns]


def value_of(dimension: str, value: Any) -> str:
    """Write what a row is about."""
    if dimension in _FORMS:
        seconds = int(value) * (86_400 if dimension == "day" else 3_600)
        return datetime.fromtimestamp(seconds, UTC).strftime(_FORMS[dimension])
    return str(value)


def sums_of(row: Sequence[Any]) -> Sums:
    """Read figures; PostgreSQL's sums are decimal numbers, and nothing adds up to null."""
    return Sums(*(int(figure or 0) for figure in row))


def total_of(sums: Iterable[Sums]) -> Sums:
    """Add sums up."""
    return Sums(*map(sum, zip(*sums, strict=True)))


def written(at: int) -> str:
    """Write a time, which is in microseconds since 1970."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
