"""What processes take out of a budget to spend, as the database has it.

The sum of what is spent and what is leased never grows beyond the budget's amount, but for one
call: where less is left than a call may cost, and anything at all, the call is let through, and
nobody gets a lease after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from llmroute.database.schema import leases, spend

__all__ = ["Standing", "Wish", "exchange", "reclaim", "taken_of"]

# Where little is left, a process takes no more than this part of it, so that others get some.
_SHARE: Final = 8
_MOST_RECLAIMED: Final = 100
_MOST: Final = 2**62  # what is spent, and what is leased besides, fit into a column
# So many values a statement may have, at the least, in every version of SQLite.
_MOST_VALUES: Final = 500


class Wish(NamedTuple):
    """What a process asks for: a new lease in place of the one it has.

    Attributes:
        account: The budget.
        window: When the budget's window began.
        limit: The budget's amount; all money is in micro-dollars.
        holder: The process.
        old: The lease it has; empty if it has none.
        new: The id of the one it gets.
        used: What it has spent of the old one, or beyond it.
        keep: What it needs of the old one for calls under way, and wants to keep besides.
        promised: Of these, what calls under way may cost.
        need: What a call may cost that waits for it; 0 if none does.
        want: What it would like to have besides, in store.
        tried: Leases that were asked for and may have been got, each with what was used by then:
            the connection died before the answer came.
    """

    account: str
    window: int
    limit: int
    holder: str
    old: str
    new: str
    used: int
    keep: int
    promised: int
    need: int
    want: int
    tried: Sequence[tuple[str, int]] = ()


class Standing(NamedTuple):
    """How a budget stands now.

    Attributes:
        spent: By all.
        leased: By all, and not spent yet as far as the database knows.
        lease: What the process that asked may spend of it.
    """

    spent: int
    leased: int
    lease: int


_is_it = (spend.c.budget_id == bindparam("account")) & (spend.c.window == bindparam("start"))
_of_it = (leases.c.budget_id == bindparam("account")) & (leases.c.window == bindparam("start"))
_READ = select(spend.c.spent, spend.c.leased).where(_is_it).with_for_update()
_ADD = update(spend).where(_is_it).values(spent=bindparam("spends"), leased=bindparam("leases"))
_ROW = {"budget_id": bindparam("account"), "window": bindparam("start"), "spent": 0, "leased": 0}
_MAKE = {
    "sqlite": sqlite.insert(spend).values(_ROW).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(spend).values(_ROW).on_conflict_do_nothing(),
}
_LEASES = select(leases.c.id, leases.c.amount, leases.c.expires).where(_of_it)
_DROP = delete(leases).where(leases.c.id.in_(bindparam("ids", expanding=True)))


def exchange(connection: Connection, wish: Wish, now: int, until: int) -> Standing:
    """Give a process a new lease for its old one, and count what it has used, in one transaction.

    It can be repeated: what was done is not done again.

    Args:
        connection: The transaction's.
        wish: What is asked for.
        now: Microseconds since 1970.
        until: When the new lease ends, in the same.
    """
    spent, leased = _locked(connection, wish.account, wish.window)
    place = {"account": wish.account, "start": wish.window}
    amounts = {}
    ended = []
    for id_, amount, expires in connection.execute(_LEASES, place):
        amounts[id_] = amount
        if expires <= now:
            ended.append(id_)
    if wish.new in amounts:
        return Standing(spent, leased, amounts[wish.new])
    old, used = wish.old, wish.used
    for id_, before in wish.tried:
        if id_ in amounts:
            old, used = id_, max(0, used - before)
    # What ended unseen is no longer its own; only what calls under way were promised is.
    own = amounts.get(old, 0) if old not in ended else 0
    gone = [id_ for id_ in (old, *ended) if id_ in amounts]
    spent = min(spent + used, _MOST)
    leased = max(0, leased - sum(amounts[id_] for id_ in set(gone)))
    room = wish.limit - spent - leased - wish.promised
    rest = max(0, min(wish.keep, own - used, wish.promised + room) - wish.promised)
    lease = wish.promised + rest + _more(wish.need - rest, wish.want, room, room - rest)
    if gone:
        connection.execute(_DROP, {"ids": gone})
    if lease or used:
        row = {"id": wish.new, "budget_id": wish.account, "window": wish.window}
        row |= {"holder": wish.holder, "amount": lease, "expires": until}
        connection.execute(leases.insert(), row)
    leased += lease
    connection.execute(_ADD, place | {"spends": spent, "leases": leased})
    return Standing(spent, leased, lease)


def _more(missing: int, want: int, room: int, left: int) -> int:
    """Return what a process gets beyond what it has.

    Args:
        missing: What a call needs of it; less than 1 if none does.
        want: What it would like to have.
        room: What of the budget is not set aside for calls, the rest of its own lease included.
        left: The same without that rest.
    """
    if room <= 0:
        return 0
    if left < missing:
        return missing
    return max(missing, min(want, left // _SHARE), 0)


def _locked(connection: Connection, account: str, window: int) -> tuple[int, int]:
    """Return what is spent and leased; nobody else changes it before the transaction ends."""
    place: dict[str, Any] = {"account": account, "start": window}
    row = connection.execute(_READ, place).first()
    if row is None:
        connection.execute(_MAKE[connection.dialect.name], place)
        row = connection.execute(_READ, place).one()
    return row.spent, row.leased


def taken_of(
    connection: Connection, places: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Return what is spent of budgets and what is leased, each in the window begun at a time."""
    ids, found = sorted({account for account, _ in places}), {}
    for begin in range(0, len(ids), _MOST_VALUES):
        asked = select(spend).where(spend.c.budget_id.in_(ids[begin : begin + _MOST_VALUES]))
        for row in connection.execute(asked):
            found[row.budget_id, row.window] = row.spent, row.leased
    return {place: found[place] for place in places if place in found}


def reclaim(connection: Connection, now: int) -> None:
    """Give back what is left of leases that have ended: their processes are no more."""
    ended = select(leases.c.budget_id, leases.c.window).where(leases.c.expires <= now).distinct()
    # In the order in which everybody locks them, which a database's own may not be.
    places = sorted(tuple(row) for row in connection.execute(ended.limit(_MOST_RECLAIMED)))
    for account, window in places:
        spent, leased = _locked(connection, account, window)
        place = {"account": account, "start": window}
        amounts = {
            id_: amount
            for id_, amount, expires in connection.execute(_LEASES, place)
            if expires <= now
        }
        if amounts:
            connection.execute(_DROP, {"ids": list(amounts)})
            left = max(0, leased - sum(amounts.values()))
            connection.execute(_ADD, place | {"spends": spent, "leases": left})
