"""Keys, teams and budgets in the database; every change of them is written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Table, func, or_, select, update

from llmroute.accounts.model import Budget, Key, Limits, Team
from llmroute.accounts.secrets import Secret, digest_of, drawn, identifier
from llmroute.database import Database
from llmroute.database.schema import audit, budgets, changes, keys, teams
from llmroute.errors import ConflictError, UnknownSubjectError

__all__ = ["Change", "Changes", "Directory", "Found"]

_MICROS: Final = 1_000_000


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


class Found(NamedTuple):
    """A key that a client has presented.

    Attributes:
        key: The key.
        until: When what was presented is no longer taken, for the key has been drawn anew since;
            `None` if it has not.
    """

    key: Key
    until: datetime | None


class Changes(NamedTuple):
    """What has changed of the keys.

    Attributes:
        revision: Up to which this tells.
        ids: Keys; those of a team that changed are among them.
    """

    revision: int
    ids: frozenset[str]


class Directory:
    """The keys, teams and budgets of a database.

    Args:
        database: With its schema up to date.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Prepare; nothing is read yet."""
        self._database = database
        self._clock = clock

    # Keys

    async def create_key(self, key: Key, actor: str, secret: Secret | None = None) -> Secret:
        """Write down a new key, its budgets with it, and return what the client presents.

        Args:
            key: Its `id` is drawn if it is empty.
            actor: Who makes it.
            secret: One that the client has already; drawn if left out.

        Raises:
            ConflictError: There is one of that name, or the secret is another's.
            UnknownSubjectError: There is no such team.
            StoreError: The database cannot be had.
        """
        drawn_ = secret or drawn()
        made = dataclasses.replace(key, id=key.id or identifier("key"), hint=drawn_.hint)

        def work(connection: Connection) -> None:
            revision = _revised(connection)
            digest = digest_of(drawn_.key).hex()
            taken = select(keys.c.id).where(
                or_(keys.c.digest == digest, keys.c.previous_digest == digest)
            )
            if connection.scalar(taken) is not None:
                raise ConflictError("that key is in use already")
            _unused(connection, keys, made.name)
            row = _key_row(made) | {"digest": digest, "created": self._now(), "revision": revision}
            connection.execute(keys.insert().values(**row, created_by=actor))
            self._put_budgets(connection, "key", made.id, made.budgets, revision)
            self._note(connection, actor, "create", "key", made.id, None, _shown_key(made))

        await self._database.write(work)
        return drawn_

    async def find_key(self, digest: bytes) -> Found | None:
        """Return the key with a digest; the one before the last rotation while it is valid."""

        def work(connection: Connection) -> Found | None:
            written = digest.hex()
            found = _keys(connection, keys.c.digest == written)
            if found:
                return Found(found[0], None)
            earlier = (keys.c.previous_digest == written) & (keys.c.previous_until > self._now())
            found = _keys(connection, earlier)
            if not found:
                return None
            until = connection.scalar(select(keys.c.previous_until).where(earlier))
            return Found(found[0], _time(until))

        return await self._database.read(work)

    async def key(self, name: str) -> Key:
        """Return a key by its name or id.

        Raises:
            UnknownSubjectError: There is none.
        """
        return await self._database.read(lambda it: _key(it, name))

    async def keys(self, *, team: str | None = None, owner: str | None = None) -> list[Key]:
        """Return the keys, by name; those of a team, by its id, or of an owner."""
        conditions = []
        if team is not None:
            conditions.append(keys.c.team_id == team)
        if owner is not None:
            conditions.append(keys.c.owner == owner)
        return await self._database.read(lambda it: _keys(it, *conditions))

    async def update_key(
        self, name: str, actor: str, action: str = "update", /, **members: Any
    ) -> Key:
        """Change members of a key, `budgets` and `blocked` among them; return it as it is now.

        Raises:
            UnknownSubjectError: There is no such key.
            ConflictError: The new name is another's.
        """

        def work(connection: Connection) -> Key:
            before = _key(connection, name)
            after = dataclasses.replace(before, **members)
            revision = _revised(connection)
            if after.name != before.name:
                _unused(connection, keys, after.name)
            row = _key_row(after) | {"revision": revision}
            connection.execute(update(keys).where(keys.c.id == before.id).values(**row))
            if "budgets" in members:
                self._put_budgets(connection, "key", before.id, after.budgets, revision)
            self._note(
                connection, actor, action, "key", before.id, _shown_key(before), _shown_key(after)
            )
            return after

        return await self._database.write(work)

    async def rotate_key(self, name: str, actor: str, overlap: timedelta) -> Secret:
        """Draw a key anew; the one before is taken for as long as `overlap` says.

        Raises:
            UnknownSubjectError: There is no such key.
        """
        secret = drawn()

        def work(connection: Connection) -> None:
            key = _key(connection, name)
            row = {
                "previous_digest": keys.c.digest,
                "previous_until": self._now() + int(overlap.total_seconds() * _MICROS),
                "digest": digest_of(secret.key).hex(),
                "hint": secret.hint,
                "revision": _revised(connection),
            }
            connection.execute(update(keys).where(keys.c.id == key.id).values(**row))
            told = {"hint": key.hint}, {"hint": secret.hint, "overlap": overlap.total_seconds()}
            self._note(connection, actor, "rotate", "key", key.id, *told)

        await self._database.write(work)
        return secret

    async def delete_key(self, name: str, actor: str) -> None:
        """Delete a key; what it has used stays written down, and its name can be used again.

        Raises:
            UnknownSubjectError: There is no such key.
        """

        def work(connection: Connection) -> None:
            key = _key(connection, name)
            revision, now = _revised(connection), self._now()
            gone: dict[str, Any] = {"deleted": now, "revision": revision, "previous_digest": None}
            gone |= {"name": f"{key.name} (deleted {key.id})", "digest": f"deleted {key.id}"}
            connection.execute(update(keys).where(keys.c.id == key.id).values(**gone))
            self._put_budgets(connection, "key", key.id, (), revision)
            self._note(connection, actor, "delete", "key", key.id, _shown_key(key), None)

        await self._database.write(work)

    # Teams

    async def create_team(self, team: Team, actor: str) -> Team:
        """Write down a new team, its budgets with it.

        Raises:
            ConflictError: There is one of that name.
        """
        made = dataclasses.replace(team, id=team.id or identifier("team"))

        def work(connection: Connection) -> None:
            revision = _revised(connection)
            _unused(connection, teams, made.name)
            row = _team_row(made) | {"created": self._now(), "revision": revision}
            connection.execute(teams.insert().values(**row))
            self._put_budgets(connection, "team", made.id, made.budgets, revision)
            self._note(connection, actor, "create", "team", made.id, None, _shown_team(made))

        await self._database.write(work)
        return made

    async def team(self, name: str) -> Team:
        """Return a team by its name or id.

        Raises:
            UnknownSubjectError: There is none.
        """
        return await self._database.read(lambda it: _team(it, name))

    async def teams(self) -> list[Team]:
        """Return the teams, by name."""
        return await self._database.read(_teams)

    async def update_team(
        self, name: str, actor: str, action: str = "update", /, **members: Any
    ) -> Team:
        """Change members of a team; return it as it is now.

        Raises:
            UnknownSubjectError: There is no such team.
            ConflictError: The new name is another's.
        """

        def work(connection: Connection) -> Team:
            before = _team(connection, name)
            after = dataclasses.replace(before, **members)
            revision = _revised(connection)
            if after.name != before.name:
                _unused(connection, teams, after.name)
            row = _team_row(after) | {"revision": revision}
            connection.execute(update(teams).where(teams.c.id == before.id).values(**row))
            if "budgets" in members:
                self._put_budgets(connection, "team", before.id, after.budgets, revision)
            self._note(
                connection,
                actor,
                action,
                "team",
                before.id,
                _shown_team(before),
                _shown_team(after),
            )
            return after

        return await self._database.write(work)

    async def delete_team(self, name: str, actor: str) -> None:
        """Delete a team.

        Raises:
            UnknownSubjectError: There is no such team.
            ConflictError: It has keys.
        """

        def work(connection: Connection) -> None:
            team = _team(connection, name)
            if connection.scalar(
                select(func.count()).where(keys.c.team_id == team.id, keys.c.deleted.is_(None))
            ):
                raise ConflictError(f"team {team.name!r} has keys; delete them first, or move them")
            revision, now = _revised(connection), self._now()
            gone = {
                "deleted": now,
                "revision": revision,
                "name": f"{team.name} (deleted {team.id})",
            }
            connection.execute(update(teams).where(teams.c.id == team.id).values(**gone))
            self._put_budgets(connection, "team", team.id, (), revision)
            self._note(connection, actor, "delete", "team", team.id, _shown_team(team), None)

        await self._database.write(work)

    # What has become of them

    def changes(self, since: int) -> Changes:
        """Return which keys have changed after a revision, their team's changes included.

        It waits for the database, so it is for a thread.
        """

        def work(connection: Connection) -> Changes:
            revision = connection.scalar(select(changes.c.revision)) or 0
            if revision == since:
                return Changes(revision, frozenset())
            touched = select(teams.c.id).where(teams.c.revision > since)
            found = connection.scalars(
                select(keys.c.id).where(or_(keys.c.revision > since, keys.c.team_id.in_(touched)))
            )
            return Changes(revision, frozenset(found))

        return self._database.read_now(work)

    async def audit(self, *, limit: int = 100, subject: str | None = None) -> list[Change]:
        """Return the latest changes, the last one first."""
        asked = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        if subject is not None:
            asked = asked.where(audit.c.subject == subject)
        return await self._database.read(lambda it: [_change(row) for row in it.execute(asked)])

    def _now(self) -> int:
        return int(self._clock() * _MICROS)

    def _note(
        self,
        connection: Connection,
        actor: str,
        action: str,
        kind: str,
        subject: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None:
        row = {"actor": actor, "action": action, "kind": kind, "subject": subject}
        told = {"before": json.dumps(before), "after": json.dumps(after)}
        values = {"id": identifier("audit"), "at": self._now(), **row, **told}
        connection.execute(audit.insert().values(**values))

    def _put_budgets(
        self,
        connection: Connection,
        kind: str,
        subject: str,
        wanted: Iterable[Budget],
        revision: int,
    ) -> None:
        """Make the budgets of a subject be these; one that stays keeps what was spent of it."""
        own = (budgets.c.subject_kind == kind) & (budgets.c.subject == subject)
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
                made = {"id": identifier("budget"), "subject_kind": kind, "subject": subject}
                connection.execute(budgets.insert().values(**row, **made, created=self._now()))
        for gone in known.keys() - kept:
            values = {"deleted": self._now(), "revision": revision}
            connection.execute(update(budgets).where(budgets.c.id == gone).values(**values))


def _revised(connection: Connection) -> int:
    """Count a change; the row is locked until the transaction ends, so counts come in order."""
    done = connection.execute(update(changes).values(revision=changes.c.revision + 1))
    if not done.rowcount:
        connection.execute(changes.insert().values(id=1, revision=1))
    return connection.scalar(select(changes.c.revision)) or 0


def _unused(connection: Connection, table: Table, name: str) -> None:
    if connection.scalar(select(table.c.id).where(table.c.name == name)) is not None:
        kind = "key" if table is keys else "team"
        raise ConflictError(f"there is a {kind} named {name!r} already")


def _keys(connection: Connection, *conditions: Any) -> list[Key]:
    asked = select(keys).where(keys.c.deleted.is_(None), *conditions).order_by(keys.c.name)
    rows = connection.execute(asked).all()
    of_teams = _teams_of(connection, {row.team_id for row in rows if row.team_id})
    own = _budgets(connection, "key", [row.id for row in rows])
    return [_read_key(row, of_teams.get(row.team_id), own.get(row.id, ())) for row in rows]


def _key(connection: Connection, name: str) -> Key:
    found = _keys(connection, or_(keys.c.name == name, keys.c.id == name))
    if not found:
        raise UnknownSubjectError(f"there is no key named {name!r}")
    return found[0]


def _teams(connection: Connection, *conditions: Any) -> list[Team]:
    asked = select(teams).where(teams.c.deleted.is_(None), *conditions).order_by(teams.c.name)
    rows = connection.execute(asked).all()
    own = _budgets(connection, "team", [row.id for row in rows])
    return [_read_team(row, own.get(row.id, ())) for row in rows]


def _teams_of(connection: Connection, ids: set[str]) -> dict[str, Team]:
    return {team.id: team for team in _teams(connection, teams.c.id.in_(ids))} if ids else {}


def _team(connection: Connection, name: str) -> Team:
    found = _teams(connection, or_(teams.c.name == name, teams.c.id == name))
    if not found:
        raise UnknownSubjectError(f"there is no team named {name!r}")
    return found[0]


# So many values a statement may have, at the least, in every version of SQLite.
_MOST_VALUES = 500


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


def _read_key(row: Row[Any], team: Team | None, own: tuple[Budget, ...]) -> Key:
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
        expires=_time(row.expires),
        created=_time(row.created),
        created_by=row.created_by,
        metadata=json.loads(row.details),
    )


def _read_team(row: Row[Any], own: tuple[Budget, ...]) -> Team:
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


def _key_row(key: Key) -> dict[str, Any]:
    return {
        **_team_row(key),
        "hint": key.hint,
        "team_id": key.team.id if key.team else None,
        "owner": key.owner,
        "trusted": key.trusted,
        "expires": None if key.expires is None else int(key.expires.timestamp() * _MICROS),
    }


def _team_row(it: Key | Team) -> dict[str, Any]:
    """Return what keys and teams have in common."""
    return {
        "id": it.id,
        "name": it.name,
        "aliases": json.dumps(it.aliases),
        "tags": json.dumps(it.tags),
        "limits": json.dumps(dataclasses.asdict(it.limits)),
        "blocked": it.blocked,
        "details": json.dumps(it.metadata),
    }


def _shown_key(key: Key) -> dict[str, Any]:
    shown = dataclasses.asdict(key) | {"team": key.team.name if key.team else None}
    times = {name: shown[name].isoformat() for name in ("expires", "created") if shown[name]}
    return {
        name: value for name, value in (shown | times).items() if value not in (None, "", (), {})
    }


def _shown_team(team: Team) -> dict[str, Any]:
    return {
        name: value
        for name, value in dataclasses.asdict(team).items()
        if value not in (None, "", (), {})
    }


def _change(row: Row[Any]) -> Change:
    told = json.loads(row.before), json.loads(row.after)
    at = _time(row.at) or datetime.fromtimestamp(0, UTC)
    return Change(at, row.actor, row.action, row.kind, row.subject, *told)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / _MICROS, UTC)
