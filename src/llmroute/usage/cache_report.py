"""What became of prompt caches: a session turn by turn, and the sessions that lost most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from llmroute.database.schema import calls
from llmroute.usage.period import Span

__all__ = [
    "MOST_TURNS",
    "CacheLoss",
    "CacheTurn",
    "SessionCache",
    "session_cache",
    "worst_sessions",
]

MOST_TURNS: Final = 2000
"""The most turns of a session that are told of, the last ones; the sums are of these too."""
# Breaks are rare; so many of late are looked at to find the sessions that lost most.
_MOST_BREAKS: Final = 50_000
# A client's text has a backslash in front of each quote.
_BREAK: Final = '%"break":true%'


class CacheTurn(NamedTuple):
    """One call of a session.

    Attributes:
        at: When it came in, microseconds since 1970.
        call: Its id.
        input: Tokens of the prompt that were neither read from the cache nor written to it.
        cost: Of the call, in micro-dollars; `None` if nobody knows.
        change: What became of the cache, as `llmroute.usage.breaks` has it; empty if that was not
            looked into.
        is_break: Whether tokens were lost that somebody could have kept.
        by: Who made it.
        where: What changed.
        lost: Tokens that had been cached and were not read.
        lost_cost: What that cost, in micro-dollars; `None` if nobody knows.
        previous: The id of the call before, in the same conversation.
    """

    at: int
    call: str
    key: str
    agent: str
    kind: str
    alias: str
    deployment: str
    model: str
    input: int
    cache_read: int
    cache_write: int
    cost: int | None
    change: str = ""
    is_break: bool = False
    by: str = ""
    where: str = ""
    lost: int = 0
    lost_cost: int | None = None
    previous: str = ""

    @property
    def hit_share(self) -> float | None:
        """The share of the prompt that was read from the cache; `None` without a prompt."""
        return _share(self.input, self.cache_read, self.cache_write)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "at": _written(self.at),
            "call": self.call,
            "key": self.key,
            "agent": self.agent,
            "kind": self.kind,
            "alias": self.alias,
            "deployment": self.deployment,
            "model": self.model,
            "input_tokens": self.input,
            "cache_read_tokens": self.cache_read,
            "cache_write_tokens": self.cache_write,
            "cache_hit_share": self.hit_share,
            "cost": self.cost,
            "change": self.change,
            "break": self.is_break,
            "by": self.by,
            "where": self.where,
            "lost_tokens": self.lost,
            "lost_cost": self.lost_cost,
            "previous": self.previous,
        }


class CacheLoss(NamedTuple):
    """What was lost, of one cause or in one session.

    Attributes:
        breaks: How often.
        tokens: How many tokens.
        cost: What that cost, in micro-dollars, where the price is known.
        unpriced: How many breaks are not in that.
    """

    breaks: int = 0
    tokens: int = 0
    cost: int = 0
    unpriced: int = 0

    def and_of(self, prefix: Mapping[str, Any]) -> CacheLoss:
        """Return it with another break."""
        cost = prefix.get("cost")
        return CacheLoss(
            self.breaks + 1,
            self.tokens + int(prefix.get("lost_tokens", 0)),
            self.cost + int(cost or 0),
            self.unpriced + (cost is None),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "breaks": self.breaks,
            "lost_tokens": self.tokens,
            "lost_cost": self.cost,
            "lost_cost_usd": self.cost / 1_000_000,
            "unpriced_breaks": self.unpriced,
        }


class SessionCache(NamedTuple):
    """A session and its cache.

    Attributes:
        session: Its id.
        turns: Its calls in the order in which they came; none where only the sums are known.
        input: Tokens of all prompts that were neither read from the cache nor written to it.
        loss: What was lost by breaks.
        causes: The same by cause and by who made it, the dearest first.
        last: When its last call came in, microseconds since 1970.
    """

    session: str
    turns: Sequence[CacheTurn]
    calls: int
    input: int
    cache_read: int
    cache_write: int
    loss: CacheLoss
    causes: Sequence[tuple[str, str, CacheLoss]]
    last: int = 0

    @property
    def hit_share(self) -> float | None:
        """The share of all prompts that was read from the cache; `None` without any."""
        return _share(self.input, self.cache_read, self.cache_write)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "session": self.session,
            "last": _written(self.last),
            "calls": self.calls,
            "input_tokens": self.input,
            "cache_read_tokens": self.cache_read,
            "cache_write_tokens": self.cache_write,
            "cache_hit_share": self.hit_share,
            **self.loss.as_json(),
            "causes": [
                {"change": change, "by": by, **loss.as_json()} for change, by, loss in self.causes
            ],
        }


def session_cache(
    connection: Connection, session: str, *, key_id: str | None = None
) -> SessionCache | None:
    """Return a session's turns and what they lost; `None` if there is no call of it.

    Args:
        connection: To the database.
        session: Its id.
        key_id: The key whose calls count alone; all if left out.
    """
    asked = select(calls).where(calls.c.session == session, calls.c.endpoint == "messages")
    if key_id is not None:
        asked = asked.where(calls.c.key_id == key_id)
    rows = connection.execute(asked.order_by(calls.c.at.desc()).limit(MOST_TURNS)).mappings()
    found = [(row, _prefix(row["prefix"])) for row in rows][::-1]
    if not found:
        return None
    turns = [_turn(row, prefix) for row, prefix in found]
    loss, causes = _losses([prefix for _, prefix in found])
    return SessionCache(
        session,
        turns,
        len(turns),
        sum(turn.input for turn in turns),
        sum(turn.cache_read for turn in turns),
        sum(turn.cache_write for turn in turns),
        loss,
        causes,
        turns[-1].at,
    )


def worst_sessions(
    connection: Connection, span: Span, *, key_id: str | None = None, limit: int = 20
) -> Sequence[SessionCache]:
    """Return the sessions that lost most by breaks, the dearest first.

    Args:
        connection: To the database.
        span: The time in which they lost it.
        key_id: The key whose calls count alone; all if left out.
        limit: How many.
    """
    within = (
        calls.c.at >= span.since,
        calls.c.at < span.until,
        calls.c.session != "",
        calls.c.endpoint == "messages",
        *(() if key_id is None else (calls.c.key_id == key_id,)),
    )
    broken = select(calls.c.session, calls.c.prefix).where(*within, calls.c.prefix.like(_BREAK))
    broken = broken.order_by(calls.c.at.desc()).limit(_MOST_BREAKS)
    breaks: dict[str, list[Mapping[str, Any]]] = {}
    for session, prefix in connection.execute(broken):
        breaks.setdefault(session, []).append(_prefix(prefix))
    losses = {session: _losses(each) for session, each in breaks.items()}
    ranked = sorted(losses, key=lambda name: (losses[name][0].cost, losses[name][0].tokens))
    worst = ranked[::-1][:limit]
    sums = select(
        calls.c.session,
        func.count(),
        *(func.sum(calls.c[name]) for name in ("input", "cache_read", "cache_write")),
        func.max(calls.c.at),
    )
    sums = sums.where(*within, calls.c.session.in_(worst)).group_by(calls.c.session)
    figures = {row[0]: [int(figure) for figure in row[1:]] for row in connection.execute(sums)}
    found = []
    for name in worst:
        # They may be deleted meanwhile.
        if (of := figures.get(name)) is not None:
            count, plain, read, written, last = of
            loss, causes = losses[name]
            found.append(SessionCache(name, (), count, plain, read, written, loss, causes, last))
    return found


def _losses(
    prefixes: Sequence[Mapping[str, Any]],
) -> tuple[CacheLoss, Sequence[tuple[str, str, CacheLoss]]]:
    total, causes = CacheLoss(), dict[tuple[str, str], CacheLoss]()
    for prefix in prefixes:
        if prefix.get("break"):
            total = total.and_of(prefix)
            cause = (str(prefix.get("change", "")), str(prefix.get("by", "")))
            causes[cause] = causes.get(cause, CacheLoss()).and_of(prefix)
    ranked = sorted(causes.items(), key=lambda each: (-each[1].cost, -each[1].tokens, each[0]))
    return total, [(*cause, loss) for cause, loss in ranked]


def _turn(row: Mapping[Any, Any], prefix: Mapping[str, Any]) -> CacheTurn:
    own = ("at", "key", "agent", "kind", "alias", "deployment", "model")
    return CacheTurn(
        **{name: row[name] for name in own},
        call=row["id"],
        input=row["input"],
        cache_read=row["cache_read"],
        cache_write=row["cache_write"],
        cost=row["cost"],
        change=prefix.get("change", ""),
        is_break=bool(prefix.get("break")),
        by=prefix.get("by", ""),
        where=prefix.get("at", ""),
        lost=prefix.get("lost_tokens", 0),
        lost_cost=prefix.get("cost"),
        previous=prefix.get("previous", ""),
    )


def _prefix(text: str) -> dict[str, Any]:
    """Read what was written down; of another version's, what is of use."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _share(plain: int, read: int, written: int) -> float | None:
    prompt = plain + read + written
    return round(read / prompt, 4) if prompt else None


def _written(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
