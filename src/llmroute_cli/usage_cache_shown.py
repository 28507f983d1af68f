"""How it is printed what became of prompt caches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from llmroute.usage.cache_report import CacheLoss, CacheTurn, SessionCache

__all__ = ["cause_rows", "summary", "turn_rows", "worst_rows"]

_Table = tuple[Sequence[str], Sequence[Sequence[str]]]
_LONGEST = 60  # characters of a name


def turn_rows(turns: Iterable[CacheTurn]) -> _Table:
    """Return the heads and rows of a session's turns."""
    heads = ("time (UTC)", "agent", "deployment", "plain", "read", "written", "hits")
    rows = [
        (
            _time(turn.at),
            _name(turn.agent or turn.kind),
            _name(turn.deployment),
            f"{turn.input:,}",
            f"{turn.cache_read:,}",
            f"{turn.cache_write:,}",
            _share(turn.hit_share),
            _what(turn),
            f"{turn.lost:,}" if turn.lost else "",
            _dollars(turn.lost_cost) if turn.lost else "",
        )
        for turn in turns
    ]
    return (*heads, "what happened", "lost tokens", "cost"), rows


def _what(turn: CacheTurn) -> str:
    text = turn.change
    if turn.by and turn.by != turn.change:
        text += f" by {turn.by}"
    if turn.where:
        text += f": {_name(turn.where, 200)}"
    return f"BREAK {text}" if turn.is_break else text


def cause_rows(found: SessionCache) -> _Table:
    """Return the heads and rows of what breaks have cost, by cause."""
    rows = [(change, by, *_loss(loss)) for change, by, loss in found.causes]
    return ("cause", "by", "breaks", "lost tokens", "cost"), rows


def worst_rows(found: Iterable[SessionCache]) -> _Table:
    """Return the heads and rows of sessions."""
    heads = ("session", "last call (UTC)", "calls", "hits", "breaks", "lost tokens", "cost")
    rows = [
        (
            _name(each.session),
            _time(each.last),
            f"{each.calls:,}",
            _share(each.hit_share),
            *_loss(each.loss),
            ", ".join(f"{change} by {by}" for change, by, _ in each.causes[:3]),
        )
        for each in found
    ]
    return (*heads, "mostly"), rows


def summary(found: SessionCache) -> str:
    """Say in a line what a session has read from the cache, and what it has lost."""
    share = _share(found.hit_share) or "nothing"
    breaks, tokens, cost = _loss(found.loss)
    word = "break" if found.loss.breaks == 1 else "breaks"
    lost = f"{breaks} {word} lost {tokens} tokens, {cost}" if found.loss.breaks else "no breaks"
    return f"{found.calls:,} calls, {share} of their prompts read from the cache; {lost}"


def _loss(loss: CacheLoss) -> tuple[str, str, str]:
    cost = _dollars(loss.cost)
    if loss.unpriced:
        cost += f" + {loss.unpriced:,} of unknown price"
    return f"{loss.breaks:,}", f"{loss.tokens:,}", cost


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _dollars(micro: int | None) -> str:
    return "unknown" if micro is None else f"${micro / 1_000_000:,.4f}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _name(text: str, longest: int = _LONGEST) -> str:
    """Make a name fit into a cell: clients choose some, and a terminal obeys some characters."""
    plain = "".join(c if c.isprintable() else "?" for c in text[:longest])
    return plain or "-"
