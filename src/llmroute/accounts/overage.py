"""What a client is told of budgets: headers as Claude Code reads them, and words for people."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

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
_STEPS: Final = 200  # of a budget, in which its headers change


class State(NamedTuple):
    """How a budget stands.

    Attributes:
        spent: In micro-dollars.
        end: When its window ends, in seconds since 1970; `inf` if never.
        reserved: What proxies have set aside besides, for calls under way and to come.
    """

    rule: Rule
    spent: int
    end: float
    reserved: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.rule.amount

    @property
    def resets(self) -> datetime | None:
        """When its window ends; `None` for never."""
        return None if self.end == math.inf else datetime.fromtimestamp(self.end, UTC)

    @property
    def part(self) -> float:
        """What part of it is spent."""
        return self.spent / self.rule.amount if self.rule.amount else 1.0

    @property
    def share(self) -> float:
        """The same in hundredths; below 1 as long as anything is left."""
        return _share(_steps(self.spent, self.rule.amount))

    @property
    def warning(self) -> float | None:
        """The part that it has passed, of those that are told; `None` below them."""
        return _warned(self.part)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it, in US dollars."""
        rule, resets = self.rule, self.resets
        return {
            "id": rule.account,
            "of": rule.kind,
            "name": rule.name,
            "period": rule.period,
            "alias": rule.alias,
            "amount": rule.amount / _MICROS,
            "spent": self.spent / _MICROS,
            "reserved": self.reserved / _MICROS,
            "left": max(0, rule.amount - self.spent) / _MICROS,
            "resets": None if resets is None else resets.isoformat().replace("+00:00", "Z"),
            "message": rule.message,
        }


def _warned(part: float) -> float | None:
    """Return the part that has been passed, of those that are told; `None` below them."""
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


def headed(headers: Headers, spent: int, amount: int, end: float) -> Headers:
    """Return an answer's headers with a budget's in place of the upstream's limits.

    Args:
        headers: The upstream's.
        spent: In micro-dollars; and so is `amount`.
        end: When the budget's window ends, in seconds since 1970; `inf` if never.
    """
    return [*bare(headers), *_headers(_steps(spent, amount), end)]


def _steps(spent: int, amount: int) -> int:
    return spent * _STEPS // amount if amount else _STEPS


def _share(steps: int) -> float:
    share = (steps + 1) // 2 / 100
    return max(1.0, share) if steps >= _STEPS else min(0.99, share)


# The same for all calls of a budget until another half of a hundredth of it is spent: then it is
# another when rounded, or what is left is to be warned of.
@functools.lru_cache(maxsize=1000)
def _headers(steps: int, end: float) -> Sequence[tuple[bytes, bytes]]:
    share, warning = _share(steps), _warned(steps / _STEPS)
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
    if (reset := state.resets) is not None:
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
