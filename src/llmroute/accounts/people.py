"""Budgets of people, whatever keys they use: spend limits, as Anthropic's Admin API has them.

A limit is for one person, for each person of a team, or for each person there is; the first of
these that there is for a period holds.  A team may besides have a pool, out of which all it spends
is paid, and a tag a budget.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, select, update

from llmroute.accounts.model import Period, Rule
from llmroute.accounts.rows import revised
from llmroute.accounts.secrets import identifier
from llmroute.accounts.trail import note
from llmroute.database import Database
from llmroute.database.schema import budgets, changes
from llmroute.errors import UnknownSubjectError
from llmroute.messages.call import Sender

__all__ = [
    "EACH",
    "MEMBER",
    "PAUSED",
    "PERIODS",
    "PERSON",
    "POOL",
    "UNLIMITED",
    "Cap",
    "People",
    "account_of",
    "rules_of",
]

PERSON: Final = "owner"
"""A limit of one person; the subject is what the key's owner is called."""
MEMBER: Final = "members"
"""A limit of each person of a team."""
EACH: Final = "owners"
"""A limit of each person there is."""
POOL: Final = "pool"
"""What all of a team may spend together."""
PAUSED: Final = "paused"
"""A pool that holds nobody back for now."""
_TAG: Final = "tag"
_KINDS: Final = (PERSON, MEMBER, EACH, POOL, PAUSED, _TAG)
PERIODS: Final[tuple[Period, ...]] = ("day", "week", "month")
UNLIMITED: Final = -1
"""The amount of a limit that says there is none, whatever holds for others."""
_MICROS: Final = 1_000_000


class Cap(NamedTuple):
    """A row of these limits.

    Attributes:
        kind: Whom it is for.
        subject: The person, the team or the tag; empty for each person there is.
        amount: In micro-dollars; or `UNLIMITED`.
        created: When it was first made.
    """

    id: str
    kind: str
    subject: str
    period: Period
    amount: int
    message: str
    created: datetime


def account_of(owner: str, period: Period) -> str:
    """Return what a person's spending is known by: the same whichever limit holds."""
    return f"owner:{hashlib.sha256(owner.encode()).hexdigest()[:40]}:{period}"


def rules_of(caps: list[Cap]) -> list[Rule]:
    """Return the limits that are somebody's own, as budgets: a person's, a team's, a tag's."""
    kinds = {PERSON: "owner", POOL: "team", _TAG: "tag"}
    return [
        Rule(
            kinds[cap.kind],
            cap.subject,
            account_of(cap.subject, cap.period) if cap.kind == PERSON else cap.id,
            cap.amount,
            cap.period,
            "",
            cap.message,
        )
        for cap in caps
        if cap.kind in kinds and cap.amount != UNLIMITED
    ]


class People:
    """The limits of people, read from the database and kept until they change.

    Args:
        database: With its schema up to date.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        """Prepare; nothing is read yet."""
        self._database = database
        self._clock = clock
        self._revision = 0
        self._caps: Mapping[tuple[str, str], tuple[Cap, ...]] = {}

    @property
    def has_any(self) -> bool:
        """Whether there are limits at all."""
        return bool(self._caps)

    def rules(self, sender: Sender) -> list[Rule]:
        """Return the budgets that hold for whoever makes a call, for being that person."""
        rules = []
        if sender.owner:
            for period in PERIODS:
                cap = self.cap(sender.owner, [sender.team] if sender.team else [], period)
                if cap is not None and cap.amount != UNLIMITED:
                    account = account_of(sender.owner, period)
                    rules.append(
                        Rule("owner", sender.owner, account, cap.amount, period, "", cap.message)
                    )
        shared = [("team", POOL, sender.team), *(("tag", _TAG, tag) for tag in sender.tags)]
        for name, kind, subject in shared:
            rules += [
                Rule(name, subject, cap.id, cap.amount, cap.period, "", cap.message)
                for cap in self._caps.get((kind, subject), ())
            ]
        return rules

    def cap(self, owner: str, teams: list[str], period: Period) -> Cap | None:
        """Return the limit that holds for a person; of several teams', the lowest."""
        own = self._of(PERSON, owner, period)
        if own is not None:
            return own
        found = [cap for team in teams if (cap := self._of(MEMBER, team, period)) is not None]
        limited = [cap for cap in found if cap.amount != UNLIMITED]
        if found:
            return min(limited or found, key=lambda cap: cap.amount)
        return self._of(EACH, "", period)

    def _of(self, kind: str, subject: str, period: Period) -> Cap | None:
        caps = self._caps.get((kind, subject), ())
        return next((cap for cap in caps if cap.period == period), None)

    def work(self) -> None:
        """Read the limits again if anything has changed since the last time.

        Raises:
            StoreError: The database cannot be had; what is known stays.
        """
        self._keep(self._database.read_now(self._changed))

    async def refresh(self) -> None:
        """Do what `work()` does without waiting on the event loop.

        Raises:
            StoreError: The database cannot be had.
        """
        self._keep(await self._database.read(self._changed))

    def _keep(self, found: tuple[int, list[Cap]] | None) -> None:
        if found is not None:
            self._revision, caps = found
            self._caps = _grouped(caps)

    def _changed(self, connection: Connection) -> tuple[int, list[Cap]] | None:
        revision = connection.scalar(select(changes.c.revision)) or 0
        return None if revision == self._revision else (revision, _caps(connection))

    async def caps(self) -> list[Cap]:
        """Return all limits as they are now, the first one made first."""
        return await self._database.read(_caps)

    async def put(
        self, caps: list[tuple[str, str, Period, int]], drop: list[tuple[str, str, Period]], by: str
    ) -> list[Cap]:
        """Make limits, or change those there are, and drop others, all at once.

        Args:
            caps: The kind, subject, period and amount of each.
            drop: Kind, subject and period of those that are to go; there need not be any.
            by: Who does it.
        """

        def work(connection: Connection) -> list[Cap]:
            revision, now = revised(connection), int(self._clock() * _MICROS)
            known = {(cap.kind, cap.subject, cap.period): cap for cap in _caps(connection)}
            for gone in drop:
                if gone in known:
                    _drop(connection, known[gone], revision, now, by)
            for kind, subject, period, amount in caps:
                before = known.get((kind, subject, period))
                shown = None if before is None else _shown(before)
                after = {"kind": kind, "subject": subject, "period": period, "amount": amount}
                row = {"amount": amount, "revision": revision}
                if before is None:
                    id_ = identifier("budget")
                    place = {"subject_kind": kind, "subject": subject, "period": period}
                    connection.execute(budgets.insert().values(id=id_, created=now, **row, **place))
                else:
                    id_ = before.id
                    connection.execute(update(budgets).where(budgets.c.id == id_).values(**row))
                action = "create" if before is None else "update"
                note(connection, now, by, action, ("budget", id_), shown, after)
            return _caps(connection)

        return await self._database.write(work)

    async def drop(self, id_: str, by: str) -> None:
        """Delete a limit.

        Raises:
            UnknownSubjectError: There is none.
        """

        def work(connection: Connection) -> None:
            found = [cap for cap in _caps(connection) if cap.id == id_]
            if not found:
                raise UnknownSubjectError(f"there is no spend limit {id_!r}")
            revision, now = revised(connection), int(self._clock() * _MICROS)
            _drop(connection, found[0], revision, now, by)

        await self._database.write(work)


def _drop(connection: Connection, cap: Cap, revision: int, now: int, by: str) -> None:
    gone = {"deleted": now, "revision": revision}
    connection.execute(update(budgets).where(budgets.c.id == cap.id).values(**gone))
    note(connection, now, by, "delete", ("budget", cap.id), _shown(cap), None)


def _caps(connection: Connection) -> list[Cap]:
    asked = select(budgets).where(budgets.c.subject_kind.in_(_KINDS), budgets.c.deleted.is_(None))
    ordered = asked.order_by(budgets.c.created, budgets.c.id)
    return [_cap(row) for row in connection.execute(ordered)]


def _cap(row: Row[Any]) -> Cap:
    created = datetime.fromtimestamp(row.created / _MICROS, UTC)
    kind = row.subject_kind
    return Cap(row.id, kind, row.subject, row.period, row.amount, row.message, created)


def _grouped(caps: list[Cap]) -> dict[tuple[str, str], tuple[Cap, ...]]:
    grouped: dict[tuple[str, str], tuple[Cap, ...]] = {}
    for cap in caps:
        place = cap.kind, cap.subject
        grouped[place] = (*grouped.get(place, ()), cap)
    return grouped


def _shown(cap: Cap) -> dict[str, Any]:
    return {"kind": cap.kind, "subject": cap.subject, "period": cap.period, "amount": cap.amount}
