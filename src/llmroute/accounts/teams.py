"""Teams in the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, or_, select, update

from llmroute.accounts.model import Team
from llmroute.accounts.rows import (
    delete_key,
    put_budgets,
    read_keys,
    read_team,
    read_teams,
    revised,
    shown_team,
    team_row,
    unused,
)
from llmroute.accounts.secrets import identifier
from llmroute.accounts.trail import note
from llmroute.database import Database
from llmroute.database.schema import keys, teams
from llmroute.errors import ConflictError

__all__ = ["Teams"]

_MICROS: Final = 1_000_000


class Teams:
    """The teams of a database.

    Every method may raise `StoreError`: the database cannot be had.

    Args:
        database: With its schema up to date.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Prepare; nothing is read yet."""
        self._database = database
        self._clock = clock

    def now(self) -> datetime:
        """Return the time by its clock."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def _now(self) -> int:
        return int(self._clock() * _MICROS)

    async def create_team(self, team: Team, actor: str) -> Team:
        """Write down a new team, its budgets with it; return it.

        Raises:
            ConflictError: There is one of that name, or there was one of that id.
        """
        made = dataclasses.replace(team, id=team.id or identifier("team"))

        def work(connection: Connection) -> Team:
            revision, now = revised(connection), self._now()
            unused(connection, teams, made.name)
            taken = select(teams.c.id).where(or_(teams.c.id == made.id, teams.c.name == made.id))
            if connection.scalar(taken) is not None:
                raise ConflictError(f"the id {made.id!r} is another team's, or was a deleted one's")
            row = team_row(made) | {"created": now, "revision": revision}
            connection.execute(teams.insert().values(**row))
            put_budgets(connection, ("team", made.id), made.budgets, revision, now)
            note(connection, now, actor, "create", ("team", made.id), None, shown_team(made))
            return read_team(connection, made.id)

        return await self._database.write(work)

    async def team(self, name: str) -> Team:
        """Return a team by its name or id.

        Raises:
            UnknownSubjectError: There is none.
        """
        return await self._database.read(lambda it: read_team(it, name))

    async def teams(self) -> list[Team]:
        """Return the teams, by name."""
        return await self._database.read(read_teams)

    async def update_team(
        self, name: str, actor: str, action: str = "update", /, **members: Any
    ) -> Team:
        """Change members of a team; return it as it is now.

        Raises:
            UnknownSubjectError: There is no such team.
            ConflictError: The new name is another's.
        """
        return await self.alter_team(name, actor, action, lambda _: members)

    async def alter_team(
        self, name: str, actor: str, action: str, change: Callable[[Team], Mapping[str, Any]]
    ) -> Team:
        """Change members of a team by what they are now, as `alter_key()` does a key's.

        Raises:
            UnknownSubjectError: There is no such team.
            ConflictError: The new name is another's.
        """

        def work(connection: Connection) -> Team:
            revision, now = revised(connection), self._now()
            before = read_team(connection, name)
            members = change(before)
            after = dataclasses.replace(before, **members)
            if after.name != before.name:
                unused(connection, teams, after.name)
            row = team_row(after) | {"revision": revision}
            connection.execute(update(teams).where(teams.c.id == before.id).values(**row))
            if "budgets" in members:
                put_budgets(connection, ("team", before.id), after.budgets, revision, now)
            after = read_team(connection, before.id)
            told = shown_team(before), shown_team(after)
            note(connection, now, actor, action, ("team", before.id), *told)
            return after

        return await self._database.write(work)

    async def delete_team(self, name: str, actor: str, *, with_keys: bool = False) -> None:
        """Delete a team.

        Args:
            name: Its name or id.
            actor: Who does it.
            with_keys: Delete its keys too.

        Raises:
            UnknownSubjectError: There is no such team.
            ConflictError: It has keys.
        """

        def work(connection: Connection) -> None:
            revision, now = revised(connection), self._now()
            team = read_team(connection, name)
            own = read_keys(connection, keys.c.team_id == team.id)
            if own and not with_keys:
                raise ConflictError(f"team {team.name!r} has keys; delete them first, or move them")
            for key in own:
                delete_key(connection, key, actor, revision, now)
            gone: dict[str, Any] = {"deleted": now, "revision": revision}
            gone |= {"name": f"{team.name} (deleted {team.id})"}
            connection.execute(update(teams).where(teams.c.id == team.id).values(**gone))
            put_budgets(connection, ("team", team.id), (), revision, now)
            note(connection, now, actor, "delete", ("team", team.id), shown_team(team), None)

        await self._database.write(work)
