"""What a client is told of budgets: headers as Claude Code reads them, and words for people."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from llmroute.accounts.model import Period, Rule
from llmroute.wire.headers import Headers

__all__ = [
    "GROUPS",
    "State",
    "bare",
    "binding",
    "dollars",
    "headed",
    "over_headers",
    "over_words",
    "per",
    "whose",
]

GROUPS: Final[dict[Period, str]] = {"day": "daily", "week": "weekly", "month": "monthly"}
"""Claude Code's words for periods; it has none for one that never ends."""
_FIRST: Final = 0.75
_LAST: Final = 0.95
_PREFIX: Final = b"anthropic-ratelimit-unified-"
# The limits of an upstream's, which are the operator's and not the client's.
_UPSTREAMS: Final = (b"anthropic-ratelimit-", b"x-ratelimit-")
_MICROS: Final = 1_000_000


class State(NamedTuple):
    """How a budget stands.

    Attributes:
        spent: In micro-dollars.
        end: When its window ends, in seconds since 1970; `inf` if never.
    """

    rule: Rule
    spent: int
    end: float

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.rule.amount

    @property
    def part(self) -> float:
        """What part of it is spent."""
        return self.spent / self.rule.amount if self.rule.amount else 1.0

    @property
    def share(self) -> float:
        """The same in hundredths; below 1 as long as anything is left."""
        part = round(self.part, 2)
        return max(1.0, part) if self.is_spent else min(0.99, part)

    @property
    def warning(self) -> float | None:
        """The part that it has passed, of those that are told; `None` below them."""
        part = self.part
        if part < _FIRST:
            return None
        return _FIRST if part < _LAST else _LAST


def binding(states: Sequence[State]) -> State:
    """Return the one that matters most: that is spent, or the most of which is."""
    if len(states) == 1:
        return states[0]
    return max(states, key=lambda each: (each.is_spent, each.end if each.is_spent else each.part))


def bare(headers: Headers) -> Headers:
    """Return an upstream's headers without its limits."""
    return [header for header in headers if not header[0].startswith(_UPSTREAMS)]


def headed(headers: Headers, states: Sequence[State]) -> Headers:
    """Return an answer's headers with the budget's in place of the upstream's limits."""
    state = binding(states)
    return [*bare(headers), *_headers(state.share, state.warning, state.end)]


# The same for all calls of a budget until another hundredth of it is spent.
@functools.lru_cache(maxsize=1000)
def _headers(share: float, warning: float | None, end: float) -> Sequence[tuple[bytes, bytes]]:
    status = b"allowed" if warning is None else b"allowed_warning"
    headers = [
        (_PREFIX + b"status", status),
        (_PREFIX + b"representative-claim", b"overage"),
        (_PREFIX + b"overage-status", status),
        (_PREFIX + b"overage-utilization", b"%g" % share),
    ]
    if end != math.inf:
        headers += _resets(end)
    if warning is not None:
        headers.append((_PREFIX + b"overage-surpassed-threshold", b"%g" % warning))
    return tuple(headers)


def _resets(end: float) -> list[tuple[bytes, bytes]]:
    reset = b"%d" % end
    return [(_PREFIX + b"reset", reset), (_PREFIX + b"overage-reset", reset)]


def over_headers(state: State, now: float) -> Headers:
    """Return the headers of the refusal of a call that is over a budget.

    `representative-claim` and `overage-status` are left out: with them, Claude Code would put words
    of its own in place of ours.
    """
    headers = [
        (_PREFIX + b"status", b"rejected"),
        (_PREFIX + b"overage-utilization", b"%g" % state.share),
        (_PREFIX + b"overage-disabled-reason", b"org_spend_cap_reached"),
    ]
    if (group := GROUPS.get(state.rule.period)) is not None:
        headers.append((_PREFIX + b"overage-period", group.encode()))
    if state.end != math.inf:
        headers += _resets(state.end)
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(state.end - now))))
    return headers


def over_words(state: State) -> str:
    """Say whose budget is spent, how large it is, and when there will be more."""
    rule = state.rule
    said = [f"{whose(rule)} is spent: {dollars(state.spent)} of {dollars(rule.amount)}{per(rule)}."]
    if state.end != math.inf:
        reset = datetime.fromtimestamp(state.end, UTC)
        said.append(f"It resets on {reset:%Y-%m-%d} at {reset:%H:%M} UTC.")
    if rule.message:
        said.append(rule.message)
    return " ".join(said)


_WHOSE = {"all": "The budget of this llmroute proxy", "owner": "The budget of {name}"}


def whose(rule: Rule) -> str:
    """Name a budget."""
    return _WHOSE.get(rule.kind, "The budget of the {kind} {name!r}").format(
        kind=rule.kind, name=rule.name
    )


def per(rule: Rule) -> str:
    """Say for how long it is, and what for."""
    period = "" if rule.period == "total" else f" per {rule.period}"
    return f"{period} for {rule.alias}" if rule.alias else period


def dollars(micros: int) -> str:
    """Write an amount; what is less than a cent is not nothing."""
    if 0 < micros < _MICROS // 100:
        return f"${micros / _MICROS:.6f}".rstrip("0")
    return f"${micros / _MICROS:,.2f}"
