"""All budgets, and how they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from llmroute.accounts.model import Key, Rule, Team, rule_of
from llmroute.accounts.overage import State
from llmroute.asgi import render
from llmroute.asgi.admin.configured import configured_keys, configured_teams
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.admin.shown import dollars, shown_time
from llmroute.asgi.render import Rendered

__all__ = ["ROUTES"]


async def _all(asking: Asking) -> Rendered:
    ledger = asking.ledger
    keys = [*configured_keys(ledger), *await ledger.directory.keys()]
    teams = [*configured_teams(ledger), *await ledger.directory.teams()]
    rules = [*ledger.budgets.for_all, *_rules("team", teams), *_rules("key", keys)]
    states = await ledger.budgets.states(rules)
    return render.plain(200, {"budgets": [_shown(state) for state in states]})


async def _own(asking: Asking) -> Rendered:
    budgets = asking.ledger.budgets
    states = await budgets.states(budgets.rules(asking.caller.sender))
    return render.plain(200, {"budgets": [_shown(state) for state in states]})


def _rules(kind: str, them: Iterable[Key | Team]) -> list[Rule]:
    return [rule_of(kind, it.name, budget) for it in them for budget in it.budgets]


def _shown(state: State) -> dict[str, Any]:
    rule = state.rule
    return {
        "id": rule.account,
        "of": rule.kind,
        "name": rule.name,
        "period": rule.period,
        "alias": rule.alias,
        "amount": dollars(rule.amount),
        "spent": dollars(state.spent),
        "left": dollars(max(0, rule.amount - state.spent)),
        "resets": None
        if state.end == math.inf
        else shown_time(datetime.fromtimestamp(state.end, UTC)),
        "message": rule.message,
    }


ROUTES: Final = (
    Route("GET", re.compile(r"/llmroute/budgets"), _all),
    Route("GET", re.compile(r"/llmroute/budgets/me"), _own, for_all=True),
)
