"""What a run comes to, and the runs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.simulate.client import Turn
from bench.simulate.weather import Weather

__all__ = ["MEANINGS", "Run", "figures", "first_during", "table"]

MEANINGS = {
    "first": "requests answered at the client's first attempt, per cent",
    "answered": "requests answered at all, per cent",
    "late p50": "seconds by which an answer ended later than it does when nothing fails, median",
    "late p95": "the same, 95th percentile",
    "late p99": "the same, 99th percentile",
    "dollars": "what the upstreams charged",
    "dearer": "what an answer cost over what it costs when nothing fails, per cent",
    "cache read": "prompt tokens that were read from a cache, per cent",
    "attempts": "attempts at upstreams for each request",
    "dead": "attempts at a deployment while it answered nobody",
}


class Run(NamedTuple):
    """What is kept of one run.

    Attributes:
        cost: In micro-dollars.
        prompt: Prompt tokens, and of them those read from a cache.
    """

    turns: Sequence[Turn]
    cost: int
    prompt: tuple[int, int]
    attempts: int
    dead: int


def figures(run: Run, calm: Run) -> dict[str, float]:
    """Return the figures of a run, against one of the same requests in which nothing failed."""
    usual = {turn.key: turn.seconds for turn in calm.turns}
    late = sorted(
        turn.seconds - usual[turn.key] for turn in run.turns if turn.answered and turn.key in usual
    )
    count = len(run.turns)
    prompt, read = run.prompt
    return {
        "first": _per_cent(sum(map(_at_first, run.turns)), count),
        "answered": _per_cent(_answered(run), count),
        "late p50": _at(late, 0.50),
        "late p95": _at(late, 0.95),
        "late p99": _at(late, 0.99),
        "dollars": round(run.cost / 1_000_000, 2),
        "dearer": round(100 * (run.cost / _answered(run) / (calm.cost / _answered(calm)) - 1), 2),
        "cache read": _per_cent(read, prompt),
        "attempts": round(run.attempts / count, 4),
        "dead": run.dead,
    }


def first_during(run: Run, weather: Weather, day: float) -> dict[str, float]:
    """Return, for each failure, the share of the requests begun in it that the first try got."""
    spans: dict[tuple[float, float], str] = {}
    for failure in weather:
        span = failure.start, failure.end
        spans[span] = f"both {failure.kind}" if span in spans else failure.name
    shares: dict[str, float] = {}
    for (start, end), name in spans.items():
        turns = [turn for turn in run.turns if start <= turn.at / day < end]
        shares[name] = _per_cent(sum(map(_at_first, turns)), len(turns))
    return shares


def _at_first(turn: Turn) -> bool:
    return turn.answered and turn.tries == 1


def _answered(run: Run) -> int:
    return sum(turn.answered for turn in run.turns)


def _per_cent(part: int, whole: int) -> float:
    return round(100 * part / whole, 3) if whole else 0.0


def _at(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of them do not exceed."""
    if not values:
        return 0.0
    # Where nothing was in the way, two sums of the same waits differ in their last bits.
    return round(values[math.ceil(share * len(values)) - 1], 2) + 0.0


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Lay figures out in Markdown, a run a line."""
    columns = next(iter(rows.values()))
    lines = [["", *columns], ["---", *["--:"] * len(columns)]]
    lines += [[name, *(f"{value:,}" for value in row.values())] for name, row in rows.items()]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
