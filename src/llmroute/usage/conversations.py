"""Conversations and their subagents, and what each of them used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from llmroute.database.schema import calls
from llmroute.usage.period import HOUR, Span
from llmroute.usage.query import MOST, OfCalls, Query, Sums, sums_of, total_of, written

__all__ = ["Agent", "Session", "agents", "sessions"]


class Session(NamedTuple):
    """A conversation, and what it used.

    Attributes:
        session: Its id.
        key: The key that the last of its calls came with.
        owner: Whose that is.
        first: When its first call came, of those in the time asked for; in microseconds.
        last: When the last did.
        agents: How many subagents there were.
        sums: What all of its calls add up to.
    """

    session: str
    key: str
    owner: str
    first: int
    last: int
    agents: int
    sums: Sums

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "session": self.session,
            "key": self.key,
            "owner": self.owner,
            "first": written(self.first),
            "last": written(self.last),
            "agents": self.agents,
            **self.sums.as_json(),
        }


def sessions(connection: Connection, query: Query) -> Sequence[Session]:
    """Return the conversations of a time, those of late first; `query.by` is left aside.

    Two keys may name the same session: it is not the same conversation.
    """
    wanted = _latest(connection, query)
    source = OfCalls(query, connection.dialect.name)
    first, last = func.min(calls.c.at), func.max(calls.c.at)
    agents = func.count(func.nullif(calls.c.agent, "").distinct())
    asked = select(calls.c.session, calls.c.key, func.max(calls.c.owner), first, last, agents)
    asked = source.narrowed(asked.add_columns(*source.sums()))
    asked = asked.where(calls.c.session.in_({session for session, _ in wanted}))
    rows = connection.execute(asked.group_by(calls.c.session, calls.c.key)) if wanted else ()
    made = (Session(r[0], r[1], r[2], r[3], r[4], r[5], sums_of(r[6:])) for r in rows)
    found = {(each.session, each.key): each for each in made}
    # What was deleted in between is not there.
    return [found[each] for each in wanted if each in found]


def _latest(connection: Connection, query: Query) -> list[tuple[str, str]]:
    """Return the sessions, each with its key, that were heard of last.

    There may be millions of calls, and most of them long ago: the last hour is looked at first, and
    more only if that holds too few.
    """
    span = query.span
    end = connection.scalar(select(func.max(calls.c.at)).where(calls.c.at < span.until))
    width = HOUR
    while end is not None and end >= span.since:
        begin = max(span.since, end - width)
        part = replace(query, span=Span(begin, span.until))
        source = OfCalls(part, connection.dialect.name)
        last = func.max(calls.c.at).desc()
        asked = source.narrowed(select(calls.c.session, calls.c.key)).where(calls.c.session != "")
        asked = asked.group_by(calls.c.session, calls.c.key).order_by(last).limit(query.limit)
        found = [(row[0], row[1]) for row in connection.execute(asked)]
        if len(found) == query.limit or begin == span.since:
            return found
        width *= 4
    return []


class Agent(NamedTuple):
    """A subagent of a conversation, or the conversation itself, and what it used.

    Attributes:
        agent: Its id; empty for the main conversation.
        depth: How many agents are above it.
        own: What its own calls add up to.
        below: What they and those of the agents below it do.
    """

    agent: str
    depth: int
    own: Sums
    below: Sums

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        own, below = self.own.as_json(), self.below.as_json()
        return {"agent": self.agent, "depth": self.depth, "own": own, "with_those_below": below}


def agents(connection: Connection, query: Query) -> Sequence[Agent]:
    """Return the agents of a conversation, each before those that it has started.

    `query` is narrowed to the conversation; what it is divided by is left aside.  An agent whose
    parent made no call, or is below it itself, stands below the main conversation.
    """
    source = OfCalls(query, connection.dialect.name)
    asked = select(calls.c.agent, func.max(calls.c.parent), *source.sums())
    asked = source.narrowed(asked).group_by(calls.c.agent).order_by(func.min(calls.c.at))
    rows = connection.execute(asked.limit(MOST)).all()
    own = {"": Sums()} | {row[0]: sums_of(row[2:]) for row in rows} if rows else {}
    parents = {row[0]: row[1] if row[1] in own else "" for row in rows if row[0]}
    children: dict[str, list[str]] = {name: [] for name in own}
    for name in parents:
        children[_parent(name, parents)].append(name)
    return list(_walk("", 0, own, children)) if own else []


def _parent(name: str, parents: Mapping[str, str]) -> str:
    """Return the agent above; clients say which that is, so it may be in a circle."""
    above, seen = parents[name], {name}
    while above:
        if above in seen:
            return ""
        seen.add(above)
        above = parents[above]
    return parents[name]


def _walk(
    name: str, depth: int, own: Mapping[str, Sums], children: Mapping[str, Sequence[str]]
) -> list[Agent]:
    """Return an agent and those below it."""
    # Not by recursion: a client may name any depth.
    order: list[tuple[str, int]] = []
    left = [(name, depth)]
    while left:
        at, level = left.pop()
        order.append((at, level))
        left += [(child, level + 1) for child in reversed(children[at])]
    below: dict[str, Sums] = {}
    for at, _ in reversed(order):
        below[at] = total_of([own[at], *(below[child] for child in children[at])])
    return [Agent(at, level, own[at], below[at]) for at, level in order]
