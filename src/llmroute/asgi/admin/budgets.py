"""All budgets, and how they stand."""

from __future__ import annotations

import re
from typing import Final

from llmroute.asgi import render
from llmroute.asgi.admin.configured import configured_keys, configured_teams
from llmroute.asgi.admin.route import Asking, Route
from llmroute.asgi.render import Rendered

__all__ = ["ROUTES"]


async def _all(asking: Asking) -> Rendered:
    ledger = asking.ledger
    keys = [*configured_keys(ledger), *await ledger.directory.keys()]
    teams = [*configured_teams(ledger), *await ledger.directory.teams()]
    states = await ledger.budgets.all_states(teams, keys)
    return render.plain(200, {"budgets": [state.as_json() for state in states]})


async def _own(asking: Asking) -> Rendered:
    budgets = asking.ledger.budgets
    states = await budgets.states(budgets.rules(asking.caller.sender))
    return render.plain(200, {"budgets": [state.as_json() for state in states]})


ROUTES: Final = (
    Route("GET", re.compile(r"/llmroute/budgets"), _all),
    Route("GET", re.compile(r"/llmroute/budgets/me"), _own, for_all=True),
)
