"""`GET /api/oauth/usage`: a key's own budgets, as Claude Code asks a gateway for them.

Its `/usage` shows them in a session that is signed in to a gateway.  Amounts are in cents.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, Final

from llmroute.accounts.model import window_of
from llmroute.accounts.overage import GROUPS, State, binding
from llmroute.accounts.spending import Asked, Daily, daily
from llmroute.asgi import render
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import shown_time
from llmroute.asgi.render import Rendered

__all__ = ["ROUTES"]

_MICROS_OF_A_CENT: Final = 10_000


async def _usage(asking: Asking) -> Rendered:
    budgets, sender = asking.ledger.budgets, asking.caller.sender
    states = await budgets.states(budgets.rules(sender))
    if states:
        return render.plain(200, _budgets(states))
    now = asking.ledger.directory.now()
    first = min(datetime.fromtimestamp(window_of(each, now)[0], UTC) for each in GROUPS).date()
    asked = Asked(key=sender.key, first=first)
    spent = await asking.ledger.database.read(lambda it: daily(it, asked))
    return render.plain(200, _spent(spent, now))


def _budgets(states: list[State]) -> dict[str, Any]:
    active = binding(states)
    return {
        "extra_usage": {
            "is_enabled": True,
            # It is called so whatever the period is; `limits` names that.
            "monthly_limit": active.rule.amount // _MICROS_OF_A_CENT,
            "used_credits": active.spent // _MICROS_OF_A_CENT,
            "utilization": round(active.share * 100),
            "currency": "USD",
        },
        "limits": [
            {
                "kind": "spend",
                "group": GROUPS.get(state.rule.period, state.rule.period),
                "percent": round(state.share * 100),
                "resets_at": _reset(state),
                "severity": _severity(state),
                "is_active": state is active,
            }
            for state in states
        ],
    }


def _reset(state: State) -> str | None:
    return None if state.end == math.inf else shown_time(datetime.fromtimestamp(state.end, UTC))


def _severity(state: State) -> str:
    if state.is_spent or state.warning == 0.95:
        return "critical"
    return "normal" if state.warning is None else "warning"


def _spent(spent: list[Daily], now: datetime) -> dict[str, Any]:
    """Say what was spent where there is no budget."""
    cents = {
        group: sum(each.cost for each in spent if each.day >= _first_day(period, now))
        // _MICROS_OF_A_CENT
        for period, group in GROUPS.items()
    }
    unlimited = {"limit": None, "utilization": None}
    return {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": None,
            "used_credits": cents["monthly"],
            "utilization": None,
            "currency": "USD",
            "daily": {**unlimited, "used_credits": cents["daily"]},
            "weekly": {**unlimited, "used_credits": cents["weekly"]},
        },
        "limits": [],
    }


def _first_day(period: Any, now: datetime) -> Any:
    return datetime.fromtimestamp(window_of(period, now)[0], UTC).date()


ROUTES: Final = (Route("GET", re.compile(r"/api/oauth/usage"), _usage, for_all=True),)
