"""A report as comma-separated values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from llmroute.usage.conversations import Session
from llmroute.usage.query import Sums
from llmroute.usage.reports import Report

__all__ = ["cell", "report_csv", "sessions_csv"]

# A spreadsheet takes a text that begins so for a formula, and clients choose some of the names.
_FORMULA: Final = ("=", "+", "-", "@")


def report_csv(report: Report) -> str:
    """Return a report's rows; money is in US dollars."""
    heads = [*report.query.by, *_heads()]
    rows = [[*map(_text, values), *_cells(sums)] for values, sums in report.rows]
    if not report.query.by:
        rows = [_cells(report.totals)]
    return _written(heads, rows)


def sessions_csv(sessions: Sequence[Session]) -> str:
    """Return conversations, a line each."""
    names = ("session", "key", "owner", "first", "last", "agents")
    rows = []
    for each in sessions:
        plain = each.as_json()
        texts = [_text(str(plain[name])) for name in names[:-1]]
        rows.append([*texts, each.agents, *_cells(each.sums)])
    return _written([*names, *_heads()], rows)


def cell(value: object) -> object:
    """Return a value as a spreadsheet may have it: a text is none of its formulas."""
    if value is None or isinstance(value, int | float):
        return value
    return _text(value if isinstance(value, str) else json.dumps(value))


def _heads() -> list[str]:
    return [name for name in Sums().as_json() if name not in ("cost", "saved")]


def _cells(sums: Sums) -> list[Any]:
    plain = sums.as_json()
    return [
        "" if plain[name] is None else _money(plain[name]) if name.endswith("_usd") else plain[name]
        for name in _heads()
    ]


def _money(dollars: float) -> str:
    return f"{dollars:.6f}"


def _text(text: str) -> str:
    if not text.isprintable():
        # A terminal would do as it is told.
        text = "".join(each if each.isprintable() else " " for each in text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _written(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(heads)
    writer.writerows(rows)
    return written.getvalue()
