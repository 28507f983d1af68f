"""From what is known of a call to the row that is kept of it, and to the sums of its day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import add, itemgetter
from typing import Any, Final, TypeAlias

import msgspec

from llmroute import pricing
from llmroute.observe import Attempt, Record, call_id

__all__ = ["DAY", "SUMS", "Row", "Sums", "row_of", "size_of", "sums_of"]

Row: TypeAlias = dict[str, Any]
"""A row of `llmroute_calls`."""
Sums: TypeAlias = dict[tuple[Any, ...], list[int]]
"""What calls add to `llmroute_days`: by the day and by whom, the figures of `SUMS`."""

DAY: Final = 86_400_000_000
"""Microseconds of a day."""
SUMS: Final = (
    *("calls", "errors", "unpriced", "input", "output", "cache_read", "cache_write", "cost"),
    "saved",
)
"""What is added up for each day."""

_MICROS = 1_000_000
# Clients and upstreams choose some of what is kept.
_LONGEST = 200  # characters of a name: six of them fit into one entry of an index
_LONGEST_LINE = 500
_LONGEST_ERROR = 2000
_MOST_LINES = 50
_MOST = 2**63 - 1
_MOST_SAVED = 10**13  # micro-dollars, as a call's cost

_encode = msgspec.json.Encoder().encode

# What Python needs to hold a row, but for what can be long.
_BARE = 4000  # bytes
_long = itemgetter("tags", "bill", "attempts", "losses", "why", "prefix", "error")

_added_to = itemgetter("key", "owner", "team", "alias", "deployment", "model")


def row_of(record: Record) -> Row:
    """Return the row of a call; this works out what it cost, and takes some microseconds.

    An id is drawn for what came to no call: a body that could not be read, a file sent on.
    """
    usage = record.usage
    cost, saved, bill = _priced(record)
    return {
        "id": record.id or call_id(),
        "at": int(record.at * _MICROS),
        "key_id": getattr(record.account, "id", None),
        "key": _name(record.key),
        "owner": _name(record.owner),
        "team": _name(record.team),
        "tags": _lines(record.tags),
        "session": _name(record.session),
        "agent": _name(record.agent),
        "parent": _name(record.parent),
        "kind": _name(record.kind),
        "client": _name(record.client),
        "endpoint": _name(record.endpoint),
        "stream": record.stream,
        "asked": _name(record.asked),
        "alias": _name(record.alias),
        "deployment": _name(record.deployment),
        "provider": _name(record.provider),
        "model": _name(record.model),
        "status": record.status,
        "outcome": record.outcome,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_input_tokens,
        "cache_write": usage.cache_creation_input_tokens,
        "cache_write_1h": _within(usage.data, "cache_creation", "ephemeral_1h_input_tokens"),
        "reasoning": _within(usage.data, "output_tokens_details", "thinking_tokens"),
        "cost": cost,
        "saved": saved,
        "estimated": record.estimated,
        "bill": bill,
        "first_byte": None if record.first_byte is None else int(record.first_byte * _MICROS),
        "duration": int(record.duration * _MICROS),
        "attempts": _attempts(record.attempts),
        "losses": _lines(record.losses),
        "why": _lines(record.why),
        "prefix": _object(record.prefix),
        "error": _text(record.error, _LONGEST_ERROR),
    }


def size_of(row: Row) -> int:
    """Return about how many bytes of memory a row takes."""
    return _BARE + sum(map(len, _long(row)))


def sums_of(rows: Iterable[Row]) -> Sums:
    """Return what rows add to the sums of their days.

    Counts of tokens, and what is sent on below `/anthropic/`, are no calls of a model.
    """
    sums: Sums = {}
    for row in rows:
        if row["endpoint"] != "messages":
            continue
        cost = row["cost"]
        added = (
            1,
            int(row["outcome"] in ("refused", "failed", "broken")),
            int(cost is None),
            row["input"],
            row["output"],
            row["cache_read"],
            row["cache_write"],
            cost or 0,
            row["saved"] or 0,
        )
        by = (row["at"] // DAY, *_added_to(row))
        found = sums.get(by)
        sums[by] = list(added) if found is None else list(map(add, found, added))
    return sums


def _name(text: str) -> str:
    # Cut first: what is kept below may be as long as a request.
    return _short(text[:_LONGEST])


# Most of a row's names are those of the row before.
@lru_cache(maxsize=4096)
def _short(text: str) -> str:
    return _text(text, _LONGEST)


def _text(text: str, longest: int) -> str:
    """Cut what is too long, and leave out what a database does not take."""
    if len(text) > longest:
        text = text[:longest]
    if not text.isascii():
        # A lone half of a surrogate pair.
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "") if "\0" in text else text


def _priced(record: Record) -> tuple[int | None, int | None, str]:
    """Return what a call cost, what caching saved, and the bill; `None` if nobody knows."""
    if not any(record.usage.counts):
        return 0, 0, "{}"
    tariff = record.tariff()
    cost = record.cost
    if tariff is None or cost is None:
        return None, None, "{}"
    saved = pricing.saved(tariff, record.usage)
    bill = pricing.itemised(tariff, record.usage)
    return cost, min(max(saved, -_MOST_SAVED), _MOST_SAVED), bill


def _object(members: Mapping[str, Any] | None) -> str:
    return _json(members) if members else "{}"


def _lines(lines: Sequence[str]) -> str:
    if not lines:
        return "[]"
    return _json([_text(line, _LONGEST_LINE) for line in lines[:_MOST_LINES]])


def _attempts(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return "[]"
    return _json(
        [
            {
                "deployment": _name(each.deployment),
                "error": _text(each.error, _LONGEST_LINE),
                "status": each.status,
                "seconds": round(each.seconds, 6),
            }
            for each in attempts[:_MOST_LINES]
        ]
    )


def _json(value: Any) -> str:
    return _encode(value).decode()


def _within(usage: Any, member: str, name: str) -> int:
    inner = usage.get(member)
    value = inner.get(name) if isinstance(inner, dict) else None
    return value if type(value) is int and 0 <= value <= _MOST else 0
