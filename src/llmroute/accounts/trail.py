"""The audit trail: every change of a key, a team or a budget, and who made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, or_, select

from llmroute.accounts.secrets import identifier
from llmroute.database.schema import audit, keys, teams

__all__ = ["Change", "latest", "note"]

_MICROS = 1_000_000


class Change(NamedTuple):
    """An entry of the audit trail.

    Attributes:
        at: When.
        actor: Who did it: the name of a key, or `cli`.
        action: `create`, `update`, `rotate`, `delete`, …
        kind: `key`, `team` or `budget`.
        subject: The id.
        before: What it was; `None` if it was made.
        after: What it is now; `None` if it was deleted.
    """

    at: datetime
    actor: str
    action: str
    kind: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


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


def latest(connection: Connection, limit: int, subject: str | None) -> list[Change]:
    """Return the latest changes, the last one first; those of one id, or of one name."""
    asked = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    if subject is not None:
        named = [select(table.c.id).where(table.c.name == subject) for table in (keys, teams)]
        either = (audit.c.subject.in_(ids) for ids in named)
        asked = asked.where(or_(audit.c.subject == subject, *either))
    return [_change(row) for row in connection.execute(asked)]


def _change(row: Row[Any]) -> Change:
    told = json.loads(row.before), json.loads(row.after)
    at = datetime.fromtimestamp(row.at / _MICROS, UTC)
    return Change(at, row.actor, row.action, row.kind, row.subject, *told)
