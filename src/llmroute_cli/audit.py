"""`llmroute audit`: who has changed what."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio
import typer

from llmroute import InvalidRequestError
from llmroute.accounts.directory import Directory
from llmroute.accounts.model import Budget, Limits
from llmroute.accounts.trail import Sought
from llmroute.usage.period import span_of
from llmroute.usage.spreadsheet import cell
from llmroute_cli.configuration import fail, say
from llmroute_cli.data import opened
from llmroute_cli.keys_shown import budgets_shown, limits_shown
from llmroute_cli.options import Form
from llmroute_cli.proxy import Proxy

__all__ = ["audit"]

_PAGE: Final = "/llmroute/audit"
_HEADS: Final = ("at", "actor", "action", "kind", "subject", "name", "before", "after")
_WIDEST: Final = 100  # characters of a line
_MICROS: Final = 1_000_000
# What changes with every change, or says nothing that the line above does not.
_LEFT_OUT: Final = frozenset({"id", "kind", "subject", "created", "created_by"})


def audit(
    path: Path | None, url: str | None, subject: str | None, since: str, limit: int, form: Form
) -> None:
    """Print the latest changes, the last one first."""
    changes = _changes(path, url, subject, since, limit)
    match form:
        case Form.json:
            typer.echo(json.dumps(changes, indent=1))
        case Form.csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(_HEADS)
            writer.writerows([cell(each[name]) for name in _HEADS] for each in changes)
        case _:
            for each in changes:
                for line in _lines(each):
                    typer.echo(line)
            if not changes:
                of = f" of {subject!r}" if subject else ""
                say(f"nothing{of} has been changed (--since {since})")


def _changes(
    path: Path | None, url: str | None, subject: str | None, since: str, limit: int
) -> list[dict[str, Any]]:
    try:
        begun = span_of(since, "", time.time()).since
    except InvalidRequestError as error:
        raise fail(f"--since: {error}") from None
    if url is None:
        with opened(path) as (database, _):
            if database is not None:
                directory = Directory(database, time.time)
                found = anyio.run(directory.audit, Sought(limit, subject, begun))
                return [{**each._asdict(), "at": _iso(each.at)} for each in found]
    query = {"subject": subject, "since": since, "limit": limit}
    told: list[dict[str, Any]] = Proxy(path, url).get(_PAGE, "", query)["changes"]
    return told


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _lines(change: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line that says who did what to what, and one for each member that it changed."""
    at = datetime.fromisoformat(change["at"])
    name, id_ = change["name"], change["subject"]
    known = "" if id_ == name else f" ({id_})"
    kind = "" if change["kind"] == "pause" else f" {change['kind']}"
    yield _plain(
        f"{at:%Y-%m-%d %H:%M:%S}  {change['actor']}  {change['action']}{kind} {name}{known}"
    )
    before, after = change["before"] or {}, change["after"] or {}
    for member in dict.fromkeys((*before, *after)):
        was, now = (_shown(member, each.get(member)) for each in (before, after))
        if was == now or member in _LEFT_OUT:
            continue
        if change["before"] is None or change["after"] is None:
            if (what := now or was) not in ("no", name):
                yield _cut(f"    {member}: {what}")
        else:
            yield _cut(f"    {member}: {was or 'none'} → {now or 'none'}")


def _shown(member: str, value: Any) -> str:
    """Write a member of what the trail tells, in a few words."""
    match value:
        case None | [] | "":
            words = ""
        case bool():
            words = "yes" if value else "no"
        case str(text):
            words = text
        case [*budgets] if member == "budgets":
            messages = "; ".join(each["message"] for each in budgets if each.get("message"))
            words = budgets_shown(Budget(**each) for each in budgets)
            words += f" ({messages})" if messages else ""
        case int(amount) if member == "amount":
            words = "unlimited" if amount < 0 else f"${amount / _MICROS:,.2f}"
        case [*texts] if all(isinstance(each, str) for each in texts):
            words = " ".join(texts)
        case dict() if member == "limits":
            words = limits_shown(Limits(**value))
        case _:
            words = json.dumps(value)
    return words


def _cut(line: str) -> str:
    plain = _plain(line)
    return plain if len(plain) <= _WIDEST else plain[: _WIDEST - 1] + "…"


def _plain(text: str) -> str:
    """Leave out what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)
