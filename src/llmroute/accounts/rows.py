"""Keys, teams and budgets as rows of the database, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from llmroute.accounts.model import Budget, Key, Limits, Team
from llmroute.accounts.secrets import identifier
from llmroute.accounts.trail import note
from llmroute.database.schema import budgets, changes, keys, teams
from llmroute.errors import ConflictError, UnknownSubjectError

__all__ = [
    "count_keys",
    "delete_key",
    "digests",
    "key_row",
    "put_budgets",
    "read_key",
    "read_keys",
    "read_team",
    "read_teams",
    "revised",
    "shown_key",
    "shown_team",
    "team_row",
    "time_of",
    "unused",
]

_MICROS: Final = 1_000_000
# So many values a statement may have, at the least, in every version of SQLite.
_MOST_VALUES: Final = 500
_LONGEST_NAME: Final = 200  # characters, and more than any has


def revised(connection: Connection) -> int:
    """Count a change, before anything is read: the count is locked until the transaction ends.

    So changes come one after the other, and none is made of what another has changed meanwhile.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    counted = insert(changes).values(id=1, revision=1)
    connection.execute(
        counted.on_conflict_do_update(
            index_elements=[changes.c.id], set_={"revision": changes.c.revision + 1}
        )
    )
    return connection.scalar(select(changes.c.revision)) or 0


def unused(connection: Connection, table: Table, name: str) -> None:
    """Make sure that a name is free: where a name may stand, an id may as well.

    Raises:
        ConflictError: It is another's.
    """
    taken = select(table.c.id).where(or_(table.c.name == name, table.c.id == name))
    if connection.scalar(taken) is not None:
        kind = "key" if table is keys else "team"
        raise ConflictError(f"there is a {kind} named {name!r} already")


# Reading


def read_keys(
    connection: Connection, *conditions: Any, limit: int | None = None, offset: int = 0
) -> list[Key]:
    """Return keys by name, each with its team and its budgets."""
    asked = select(keys).where(keys.c.deleted.is_(None), *conditions)
    asked = asked.order_by(keys.c.name).limit(limit).offset(offset)
    rows = connection.execute(asked).all()
    of_teams = _teams_of(connection, {row.team_id for row in rows if row.team_id})
    own = _budgets(connection, "key", [row.id for row in rows])
    return [_key(row, of_teams.get(row.team_id), own.get(row.id, ())) for row in rows]


def count_keys(connection: Connection, *conditions: Any) -> int:
    """Return how many keys there are."""
    asked = select(func.count()).select_from(keys).where(keys.c.deleted.is_(None), *conditions)
    return connection.scalar(asked) or 0


def read_key(connection: Connection, name: str) -> Key:
    """Return a key by its name or id.

    Raises:
        UnknownSubjectError: There is none.
    """
    found = read_keys(connection, or_(keys.c.name == name, keys.c.id == name)) if _can(name) else []
    if not found:
        raise UnknownSubjectError(f"there is no key named {name[:_LONGEST_NAME]!r}")
    return found[0]


def digests(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return the digests of keys, in hex, by id."""
    found: dict[str, str] = {}
    for start in range(0, len(ids), _MOST_VALUES):
        some = keys.c.id.in_(ids[start : start + _MOST_VALUES])
        for row in connection.execute(select(keys.c.id, keys.c.digest).where(some)):
            found[row.id] = row.digest
    return found


def read_teams(connection: Connection, *conditions: Any) -> list[Team]:
    """Return teams by name, each with its budgets."""
    asked = select(teams).where(teams.c.deleted.is_(None), *conditions).order_by(teams.c.name)
    rows = connection.execute(asked).all()
    own = _budgets(connection, "team", [row.id for row in rows])
    return [_team(row, own.get(row.id, ())) for row in rows]


def read_team(connection: Connection, name: str) -> Team:
    """Return a team by its name or id.

    Raises:
        UnknownSubjectError: There is none.
    """
    either = or_(teams.c.name == name, teams.c.id == name)
    found = read_teams(connection, either) if _can(name) else []
    if not found:
        raise UnknownSubjectError(f"there is no team named {name[:_LONGEST_NAME]!r}")
    return found[0]


def _can(name: str) -> bool:
    """Tell whether it can be the name of anything: PostgreSQL takes no NUL, not even to look."""
    return "\0" not in name and len(name) <= _LONGEST_NAME


def _teams_of(connection: Connection, ids: set[str]) -> dict[str, Team]:
    return {team.id: team for team in read_teams(connection, teams.c.id.in_(ids))} if ids else {}


def _budgets(
    connection: Connection, kind: str, subjects: Sequence[str]
) -> dict[str, tuple[Budget, ...]]:
    found: dict[str, tuple[Budget, ...]] = {}
    for start in range(0, len(subjects), _MOST_VALUES):
        some = subjects[start : start + _MOST_VALUES]
        asked = select(budgets).where(
            budgets.c.subject_kind == kind, budgets.c.subject.in_(some), budgets.c.deleted.is_(None)
        )
        for row in connection.execute(
            asked.order_by(budgets.c.alias, budgets.c.period, budgets.c.id)
        ):
            budget = Budget(row.id, row.amount, row.period, row.alias, row.message)
            found[row.subject] = (*found.get(row.subject, ()), budget)
    return found


def _key(row: Row[Any], team: Team | None, own: tuple[Budget, ...]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        hint=row.hint,
        aliases=tuple(json.loads(row.aliases)),
        owner=row.owner,
        tags=tuple(json.loads(row.tags)),
        limits=Limits(**json.loads(row.limits)),
        budgets=own,
        team=team,
        trusted=row.trusted,
        blocked=row.blocked,
        expires=time_of(row.expires),
        created=time_of(row.created),
        created_by=row.created_by,
        metadata=json.loads(row.details),
    )


def _team(row: Row[Any], own: tuple[Budget, ...]) -> Team:
    return Team(
        id=row.id,
        name=row.name,
        aliases=tuple(json.loads(row.aliases)),
        tags=tuple(json.loads(row.tags)),
        limits=Limits(**json.loads(row.limits)),
        budgets=own,
        blocked=row.blocked,
        metadata=json.loads(row.details),
    )


# Writing


def key_row(key: Key) -> dict[str, Any]:
    """Return the columns of a key that can be changed, and its id."""
    return {
        **team_row(key),
        "hint": key.hint,
        "team_id": key.team.id if key.team else None,
        "owner": key.owner,
        "trusted": key.trusted,
        "expires": None if key.expires is None else int(key.expires.timestamp() * _MICROS),
    }


def team_row(it: Key | Team) -> dict[str, Any]:
    """Return those of a team, and what a key has in common with it."""
    return {
        "id": it.id,
        "name": it.name,
        "aliases": json.dumps(it.aliases),
        "tags": json.dumps(it.tags),
        "limits": json.dumps(dataclasses.asdict(it.limits)),
        "blocked": it.blocked,
        "details": json.dumps(it.metadata),
    }


def put_budgets(
    connection: Connection,
    subject: tuple[str, str],
    wanted: Iterable[Budget],
    revision: int,
    at: int,
) -> None:
    """Make the budgets of a subject be these; one that stays keeps what was spent of it.

    Args:
        connection: Of the transaction.
        subject: Its kind and its id.
        wanted: One whose id is not known here is taken for the one of its period and alias.
        revision: The number of the change.
        at: The time, in microseconds since 1970.
    """
    kind, id_ = subject
    own = (budgets.c.subject_kind == kind) & (budgets.c.subject == id_)
    known = {
        row.id: row
        for row in connection.execute(select(budgets).where(own, budgets.c.deleted.is_(None)))
    }
    alike = {(row.period, row.alias): row.id for row in known.values()}
    kept = set()
    for budget in wanted:
        row = {"amount": budget.amount, "message": budget.message, "revision": revision}
        row |= {"period": budget.period, "alias": budget.alias}
        found = budget.id if budget.id in known else alike.get((budget.period, budget.alias))
        if found and found not in kept:
            kept.add(found)
            connection.execute(update(budgets).where(budgets.c.id == found).values(**row))
        else:
            made = {"id": identifier("budget"), "subject_kind": kind, "subject": id_}
            connection.execute(budgets.insert().values(**row, **made, created=at))
    for gone in known.keys() - kept:
        values = {"deleted": at, "revision": revision}
        connection.execute(update(budgets).where(budgets.c.id == gone).values(**values))


def delete_key(connection: Connection, key: Key, actor: str, revision: int, at: int) -> None:
    """Delete a key and its budgets, and write that down; its name can be used again."""
    gone: dict[str, Any] = {"deleted": at, "revision": revision, "previous_digest": None}
    gone |= {"name": f"{key.name} (deleted {key.id})", "digest": f"deleted {key.id}"}
    connection.execute(update(keys).where(keys.c.id == key.id).values(**gone))
    put_budgets(connection, ("key", key.id), (), revision, at)
    note(connection, at, actor, "delete", ("key", key.id), shown_key(key), None)


# Showing, for the audit trail


def shown_key(key: Key) -> dict[str, Any]:
    """Return what the audit trail tells of a key: all but the key itself."""
    shown = dataclasses.asdict(key) | {"team": key.team.name if key.team else None}
    times = {name: shown[name].isoformat() for name in ("expires", "created") if shown[name]}
    return _told(shown | times)


def shown_team(team: Team) -> dict[str, Any]:
    """Return what it tells of a team."""
    return _told(dataclasses.asdict(team))


def _told(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if value not in (None, "", (), {})}


def time_of(micros: int | None) -> datetime | None:
    """Return a time of the database's."""
    return None if micros is None else datetime.fromtimestamp(micros / _MICROS, UTC)
