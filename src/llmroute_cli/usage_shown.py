"""How what was used is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from llmroute.usage.conversations import Agent, Session
from llmroute.usage.query import Sums
from llmroute.usage.reports import Report

__all__ = ["agent_rows", "call_rows", "call_shown", "report_rows", "session_rows"]

_FIGURES: Final = (
    *("calls", "errors", "input", "output", "cache read", "cache write", "hits"),
    *("cost", "saved"),
)
_DEEPEST: Final = 20  # levels of agents that are shown as such
_LONGEST: Final = 60  # characters of a name
_MICROS: Final = 1_000_000


def report_rows(report: Report) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return a report's heads and rows, the totals last."""
    by = report.query.by
    rows = [(*map(_name, values), *_cells(sums)) for values, sums in report.rows]
    total = ("total", *("" for _ in by[1:])) if by else ()
    return (*by, *_FIGURES), [*rows, (*total, *_cells(report.totals))]


def session_rows(sessions: Sequence[Session]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the heads and rows of conversations, of whose figures only some have room."""
    figures = ("calls", "hits", "cost", "saved")
    heads = ("session", "key", "last call (UTC)", "agents", *figures)
    rows = []
    for each in sessions:
        cells = dict(zip(_FIGURES, _cells(each.sums), strict=True))
        known = (*map(_name, (each.session, each.key)), _time(each.last)[:16], str(each.agents))
        rows.append((*known, *(cells[name] for name in figures)))
    return heads, rows


def agent_rows(agents: Sequence[Agent]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the heads and rows of a conversation's agents."""
    rows = [
        (
            "  " * min(each.depth, _DEEPEST) + (_name(each.agent) if each.agent else "main"),
            *_cells(each.own),
            _dollars(each.below.cost),
        )
        for each in agents
    ]
    return ("agent", *_FIGURES, "in all"), rows


def call_rows(
    calls: Sequence[Mapping[str, Any]],
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the heads and rows of calls."""
    heads = ("call", "at (UTC)", "key", "asked", "deployment", "outcome", "cost")
    rows = [
        (
            *(each["id"], _time(each["at"])),
            *map(_name, (each["key"], each["asked"], each["deployment"])),
            f"{each['outcome']} {each['status']}",
            "unknown" if each["cost"] is None else _dollars(each["cost"], 4),
        )
        for each in calls
    ]
    return heads, rows


def _cells(sums: Sums) -> Sequence[str]:
    share = sums.hit_share
    cost = _dollars(sums.cost)
    if sums.unpriced:
        cost += f" + {sums.unpriced:,} of unknown price" if sums.cost else " (price unknown)"
    return (
        f"{sums.calls:,}",
        f"{sums.errors:,}",
        f"{sums.input:,}",
        f"{sums.output:,}",
        f"{sums.cache_read:,}",
        f"{sums.cache_write:,}",
        "" if share is None else f"{share:.1%}",
        cost,
        _dollars(sums.saved),
    )


def _name(text: str) -> str:
    """Make a name fit into a cell: clients choose some, and a terminal obeys some characters."""
    plain = "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
    return plain or "-"


def _dollars(micro: int, digits: int = 2) -> str:
    if 0 < abs(micro) < _MICROS // 10**digits:
        digits = 6  # a call of a small model: it was not for nothing
    return f"{'-' if micro < 0 else ''}${abs(micro) / _MICROS:,.{digits}f}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / _MICROS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def call_shown(call: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that explain a call: who made it, where it went, and what it cost."""
    bill = call["bill"]
    yield from _head(call)
    yield ""
    if call["cost"] is None:
        yield from _unpriced(call)
        return
    lines = bill.get("lines") or []
    rows = [("kind", "count", "rate", "amount", "model", "why"), *map(_line, lines)]
    rows.append(("total", "", "", _dollars(call["cost"], 6), "", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if place in (1, 2, 3) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
    yield ""
    if source := bill.get("source"):
        yield f"prices    {source}" + (f", of {bill['as_of']}" if bill.get("as_of") else "")
    for note in bill.get("notes") or []:
        yield f"note      {note}"
    if call["estimated"]:
        yield "note      the answer was let go of before its end: the tokens are estimated"
    if call["saved"]:
        word = "saved" if call["saved"] > 0 else "cost"
        yield f"caching   {word} {_dollars(abs(call['saved']), 6)} against plain input"


def _unpriced(call: Mapping[str, Any]) -> Iterator[str]:
    tokens = ", ".join(
        f"{call[name]:,} {name.replace('_', ' ')}"
        for name in ("input", "cache_read", "cache_write", "output")
    )
    yield f"tokens    {tokens}"
    yield (
        f"cost      unknown: no list has a price of {_name(call['model'])}; "
        f"set `price:` on the deployment {_name(call['deployment'])}"
    )


def _head(call: Mapping[str, Any]) -> Iterator[str]:
    stream = ", streamed" if call["stream"] else ""
    yield f"call      {call['id']}, {_time(call['at'])} UTC, {call['endpoint']}{stream}"
    whose = [f"{name} {_name(call[name])}" for name in ("owner", "team") if call[name]]
    whose += [f"tags {', '.join(map(_name, call['tags']))}"] if call["tags"] else []
    yield f"key       {_name(call['key'])}{' (' + '; '.join(whose) + ')' if whose else ''}"
    parts = ("session", "agent", "parent", "kind", "client")
    if told := [f"{name} {_name(call[name])}" for name in parts if call[name]]:
        yield f"from      {', '.join(told)}"
    yield (
        f"model     {_name(call['asked'])} → {_name(call['alias'])} → "
        f"{_name(call['deployment'])}: {_name(call['model'])} ({_name(call['provider'])})"
    )
    first = call["first_byte"]
    began = "" if first is None else f"first byte after {first / _MICROS:.2f} s, "
    yield (
        f"outcome   {call['outcome']}, {call['status']}, {began}"
        f"{call['duration'] / _MICROS:.2f} s in all"
    )
    for number, each in enumerate(call["attempts"], 1):
        what = _text(each["error"]) if each["error"] else "answered"
        yield (
            f"attempt   {number}: {_name(each['deployment'])}, {each['status']}, "
            f"{each['seconds']:.2f} s: {what}"
        )
    for name in ("why", "losses"):
        for line in call[name]:
            yield f"{name.ljust(9)} {_text(line)}"
    if lost := call["prefix"].get("lost_tokens"):
        found = call["prefix"]
        what = f"{found['change']} by {found.get('by', '')} {found.get('at', '')}".rstrip()
        price = f", {_dollars(found['cost'], 6)}" if "cost" in found else ""
        yield f"cache     {_text(what)}: lost {lost:,} tokens{price}"
    if call["error"]:
        yield f"error     {_text(call['error'])}"


def _text(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


_PIECES: Final = frozenset(
    {"web_search", "grounded_prompt", "file_search", "code_execution", "request"}
)


def _line(line: Mapping[str, Any]) -> tuple[str, ...]:
    kind, rate, amount = line["kind"], line["rate"], line["amount"]
    # A micro-dollar a token is a dollar a million tokens.
    each = f"${rate / _MICROS:g} each" if kind in _PIECES else f"${rate:g} a million"
    return (
        kind.replace("_", " "),
        f"{line['count']:,}",
        each,
        f"${amount / _MICROS:,.6f}",
        line.get("model", ""),
        line.get("why", ""),
    )
