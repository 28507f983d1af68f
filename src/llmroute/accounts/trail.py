"""The audit trail: every change of a key, a team or a budget, and who made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, literal, or_, select

from llmroute.accounts.secrets import identifier
from llmroute.database.schema import audit, budgets, keys, teams

__all__ = ["Change", "Sought", "change_of", "latest", "note"]

_MICROS = 1_000_000


class Change(NamedTuple):
    """An entry of the audit trail.

    Attributes:
        at: When.
        actor: Who did it: the name of a key, or `cli`.
        action: `create`, `update`, `rotate`, `delete`, …
        kind: `key`, `team`, `budget` or `pause`.
        subject: The id.
        name: What it is called now, or was when it was deleted; of a limit, whom it is for.
        before: What it was; `None` if it was made.
        after: What it is now; `None` if it was deleted.
    """

    at: datetime
    actor: str
    action: str
    kind: str
    subject: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Sought(NamedTuple):
    """Which changes are meant.

    Attributes:
        limit: At the most so many.
        subject: Those of one id, or of all that have or had one name; `None` for all.
        since: From then on, in microseconds since 1970.
    """

    limit: int = 100
    subject: str | None = None
    since: int = 0


def note(
    connection: Connection,
    at: int,
    actor: str,
    action: str,
    subject: tuple[str, str],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """Write a change down, in the transaction that makes it.

    Args:
        connection: The transaction's.
        at: When, in microseconds since 1970.
        actor: Who makes it.
        action: What is done.
        subject: Its kind and its id.
        before: What it was, without any secret.
        after: What it is now.
    """
    kind, id_ = subject
    row = {"actor": actor, "action": action, "kind": kind, "subject": id_}
    told = {"before": json.dumps(before), "after": json.dumps(after)}
    connection.execute(audit.insert().values(id=identifier("audit"), at=at, **row, **told))


def latest(connection: Connection, sought: Sought) -> list[Change]:
    """Return the latest changes, the last one first."""
    asked = select(audit).where(audit.c.at >= sought.since)
    if sought.subject is not None:
        asked = asked.where(_is_of(sought.subject))
    asked = asked.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(sought.limit)
    ids = select(asked.subquery().c.subject)
    names: dict[str, str] = {}
    for table in (keys, teams):
        found = connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
        names |= {id_: name.removesuffix(_deleted(id_)) for id_, name in found}
    return [change_of(row, names) for row in connection.execute(asked)]


def _is_of(subject: str) -> ColumnElement[bool]:
    """Return what holds for the changes of an id or a name."""
    ids = [
        select(table.c.id).where(
            or_(
                table.c.name == subject,
                table.c.name == literal(f"{subject} (deleted ").concat(table.c.id).concat(")"),
            )
        )
        for table in (keys, teams)
    ]
    ids.append(select(budgets.c.id).where(budgets.c.subject == subject))
    return or_(audit.c.subject == subject, *(audit.c.subject.in_(each) for each in ids))


def _deleted(id_: str) -> str:
    """Return what is added to a name when it becomes free for others."""
    return f" (deleted {id_})"


def change_of(row: Row[Any], names: Mapping[str, str] | None = None) -> Change:
    """Return a row of the trail as a change.

    Args:
        row: Of the table `audit`.
        names: What keys and teams are called, by id.
    """
    before, after = json.loads(row.before), json.loads(row.after)
    name = (names or {}).get(row.subject)
    if name is None:
        told = after or before or {}
        name = row.subject
        if row.kind == "budget":
            name = told.get("subject") or "each person"
    at = datetime.fromtimestamp(row.at / _MICROS, UTC)
    return Change(at, row.actor, row.action, row.kind, row.subject, name, before, after)
