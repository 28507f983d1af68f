"""Keys, teams and budgets in the database; every change of them is written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, or_, select, update

from llmroute.accounts.model import Key
from llmroute.accounts.rows import (
    count_keys,
    delete_key,
    digests,
    key_row,
    put_budgets,
    read_key,
    read_keys,
    read_team,
    revised,
    shown_key,
    time_of,
    unused,
)
from llmroute.accounts.secrets import Secret, digest_of, drawn, identifier
from llmroute.accounts.teams import Teams
from llmroute.accounts.trail import Change, Sought, latest, note
from llmroute.database.schema import changes, keys, teams
from llmroute.errors import ConflictError

__all__ = ["Changes", "Directory", "Found", "Wanted"]

_MICROS: Final = 1_000_000


class Found(NamedTuple):
    """A key that a client has presented.

    Attributes:
        key: The key.
        until: When what was presented is no longer taken, for the key has been drawn anew since;
            `None` if it has not.
    """

    key: Key
    until: datetime | None


class Wanted(NamedTuple):
    """Which keys are meant; what is `None` is not looked at.

    Attributes:
        team: Those of a team, by its id or name.
        owner: Those of an owner.
        name: The one of that name.
    """

    team: str | None = None
    owner: str | None = None
    name: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """What has to hold in the database."""
        found: list[ColumnElement[bool]] = []
        if self.team is not None:
            either = or_(teams.c.id == self.team, teams.c.name == self.team)
            found.append(keys.c.team_id.in_(select(teams.c.id).where(either)))
        if self.owner is not None:
            found.append(keys.c.owner == self.owner)
        if self.name is not None:
            found.append(keys.c.name == self.name)
        return found

    def holds_for(self, key: Key) -> bool:
        """Tell whether a key is meant."""
        of_team = key.team is not None and self.team in (key.team.id, key.team.name)
        return (
            (self.team is None or of_team)
            and self.owner in (None, key.owner)
            and self.name in (None, key.name)
        )


class Changes(NamedTuple):
    """What has changed of the keys.

    Attributes:
        revision: Up to which this tells.
        ids: Keys; those of a team that changed are among them.
    """

    revision: int
    ids: frozenset[str]


class Directory(Teams):
    """The keys, teams and budgets of a database.

    Every method may raise `StoreError`: the database cannot be had.

    Args:
        database: With its schema up to date.
        clock: Seconds since 1970.
    """

    async def create_key(self, key: Key, actor: str, secret: Secret | None = None) -> Secret:
        """Write down a new key, its budgets with it, and return what the client presents.

        Args:
            key: Its `id` is drawn if it is empty.
            actor: Who makes it.
            secret: One that the client has already; drawn if left out.

        Raises:
            ConflictError: There is one of that name, or the secret is another's.
            UnknownSubjectError: There is no such team.
        """
        secret = secret or drawn()
        made = dataclasses.replace(key, hint=secret.hint)
        await self.adopt_key(made, actor, digest_of(secret.key))
        return secret

    async def adopt_key(self, key: Key, actor: str, digest: bytes) -> None:
        """Write down a key that the client has already, and of which only the digest is known.

        Raises:
            ConflictError: There is one of that name, or the digest is another's.
            UnknownSubjectError: There is no such team.
        """
        made = dataclasses.replace(key, id=key.id or identifier("key"))

        def work(connection: Connection) -> None:
            revision, now = revised(connection), self._now()
            _unclaimed(connection, digest)
            unused(connection, keys, made.name)
            if made.team is not None:
                read_team(connection, made.team.id)
            row = key_row(made) | {"digest": digest.hex(), "created": now, "revision": revision}
            connection.execute(keys.insert().values(**row, created_by=actor))
            put_budgets(connection, ("key", made.id), made.budgets, revision, now)
            note(connection, now, actor, "create", ("key", made.id), None, shown_key(made))

        await self._database.write(work)

    async def find_key(self, digest: bytes) -> Found | None:
        """Return the key with a digest; the one before the last rotation while it is valid."""

        def work(connection: Connection) -> Found | None:
            written = digest.hex()
            found = read_keys(connection, keys.c.digest == written)
            if found:
                return Found(found[0], None)
            earlier = (keys.c.previous_digest == written) & (keys.c.previous_until > self._now())
            found = read_keys(connection, earlier)
            if not found:
                return None
            until = connection.scalar(select(keys.c.previous_until).where(earlier))
            return Found(found[0], time_of(until))

        return await self._database.read(work)

    async def key(self, name: str) -> Key:
        """Return a key by its name or id.

        Raises:
            UnknownSubjectError: There is none.
        """
        return await self._database.read(lambda it: read_key(it, name))

    async def overlap(self, id_: str) -> datetime | None:
        """Return until when the key before the last rotation is taken; `None` if it is not."""
        later = keys.c.previous_until > self._now()
        asked = select(keys.c.previous_until).where(keys.c.id == id_, later)
        return time_of(await self._database.read(lambda it: it.scalar(asked)))

    async def keys(self, *, team: str | None = None, owner: str | None = None) -> list[Key]:
        """Return the keys, by name; those of a team, by its id or name, or of an owner."""
        return (await self.page(Wanted(team, owner), None))[0]

    async def page(
        self, wanted: Wanted, limit: int | None, offset: int = 0
    ) -> tuple[list[Key], int]:
        """Return some of the keys, by name, and how many there are of them in all.

        Args:
            wanted: Which keys.
            limit: At the most so many; all of them if it is `None`.
            offset: So many are left out at the beginning.
        """
        conditions = wanted.conditions

        def work(connection: Connection) -> tuple[list[Key], int]:
            found = read_keys(connection, *conditions, limit=limit, offset=offset)
            return found, count_keys(connection, *conditions)

        return await self._database.read(work)

    async def digests(self, ids: Collection[str]) -> dict[str, str]:
        """Return the digests of keys, in hex, by id."""
        return await self._database.read(lambda it: digests(it, tuple(ids)))

    async def update_key(
        self, name: str, actor: str, action: str = "update", /, **members: Any
    ) -> Key:
        """Change members of a key, `budgets` and `blocked` among them; return it as it is now.

        Raises:
            UnknownSubjectError: There is no such key.
            ConflictError: The new name is another's.
        """
        return await self.alter_key(name, actor, action, lambda _: members)

    async def alter_key(
        self, name: str, actor: str, action: str, change: Callable[[Key], Mapping[str, Any]]
    ) -> Key:
        """Change members of a key by what they are now; nobody else changes it meanwhile.

        Args:
            name: Its name or id.
            actor: Who does it.
            action: What the audit trail calls it.
            change: Returns the new members; it may be called more than once.

        Raises:
            UnknownSubjectError: There is no such key.
            ConflictError: The new name is another's.
        """

        def work(connection: Connection) -> Key:
            revision, now = revised(connection), self._now()
            before = read_key(connection, name)
            members = change(before)
            after = dataclasses.replace(before, **members)
            if after.name != before.name:
                unused(connection, keys, after.name)
            if after.team is not None:
                # One that has gone since would let the key do what it forbade.
                read_team(connection, after.team.id)
            row = key_row(after) | {"revision": revision}
            connection.execute(update(keys).where(keys.c.id == before.id).values(**row))
            if "budgets" in members:
                put_budgets(connection, ("key", before.id), after.budgets, revision, now)
            after = read_key(connection, before.id)
            told = shown_key(before), shown_key(after)
            note(connection, now, actor, action, ("key", before.id), *told)
            return after

        return await self._database.write(work)

    async def rotate_key(
        self, name: str, actor: str, overlap: timedelta, secret: Secret | None = None
    ) -> Secret:
        """Draw a key anew; the one before is taken for as long as `overlap` says.

        Raises:
            UnknownSubjectError: There is no such key.
            ConflictError: The secret that is to be the new one is in use.
        """
        new = secret or drawn()
        digest = digest_of(new.key)

        def work(connection: Connection) -> None:
            revision, now = revised(connection), self._now()
            key = read_key(connection, name)
            _unclaimed(connection, digest)
            row = {
                "previous_digest": keys.c.digest,
                "previous_until": now + int(overlap.total_seconds() * _MICROS),
                "digest": digest.hex(),
                "hint": new.hint,
                "revision": revision,
            }
            connection.execute(update(keys).where(keys.c.id == key.id).values(**row))
            told = {"hint": key.hint}, {"hint": new.hint, "overlap": overlap.total_seconds()}
            note(connection, now, actor, "rotate", ("key", key.id), *told)

        await self._database.write(work)
        return new

    async def delete_key(self, name: str, actor: str) -> None:
        """Delete a key; what it has used stays written down, and its name can be used again.

        Raises:
            UnknownSubjectError: There is no such key.
        """

        def work(connection: Connection) -> None:
            revision, now = revised(connection), self._now()
            delete_key(connection, read_key(connection, name), actor, revision, now)

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

    async def audit(self, sought: Sought = Sought()) -> list[Change]:  # noqa: B008 - a value
        """Return the latest changes, the last one first."""
        return await self._database.read(lambda it: latest(it, sought))


def _unclaimed(connection: Connection, digest: bytes) -> None:
    """Make sure that a key is nobody's yet.

    Raises:
        ConflictError: It is in use.
    """
    written = digest.hex()
    taken = select(keys.c.id).where(
        or_(keys.c.digest == written, keys.c.previous_digest == written)
    )
    if connection.scalar(taken) is not None:
        raise ConflictError("that key is in use already")
