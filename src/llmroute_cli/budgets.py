"""`llmroute budgets`: how budgets stand, and setting one."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import typer

from llmroute.accounts.budgets import Budgets
from llmroute.accounts.model import Key, Team
from llmroute.accounts.overage import dollars
from llmroute.accounts.people import EACH, PERSON, People
from llmroute.config.accounts import Accounts
from llmroute.usage.spreadsheet import cell
from llmroute_cli import table
from llmroute_cli.configuration import fail, say
from llmroute_cli.data import opened
from llmroute_cli.given import Given, budget_of, check_texts
from llmroute_cli.options import Form
from llmroute_cli.proxy import Proxy
from llmroute_cli.register import ACTOR, Register, register_of, registered

__all__ = ["listed", "put"]

_PAGE: Final = "/llmroute/budgets"
_HEADS: Final = (
    *("of", "name", "period", "models"),
    *("limit", "spent", "reserved", "left", "begins anew"),
)
_LONGEST: Final = 30  # characters of a name
_MICROS: Final = 1_000_000


def listed(path: Path | None, url: str | None, name: str | None, form: Form) -> None:
    """Print how budgets stand."""
    found = [each for each in _states(path, url) if name in (None, each["name"])]
    match form:
        case Form.json:
            typer.echo(json.dumps(found, indent=1))
        case Form.csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(found[0] if found else _HEADS)
            writer.writerows([cell(value) for value in each.values()] for each in found)
        case _:
            table.show(_HEADS, [_row(each) for each in found])
            if not found:
                say("there is no such budget; `llmroute budgets set` makes one")


def _states(path: Path | None, url: str | None) -> list[dict[str, Any]]:
    if url is None:
        with opened(path) as (database, config):
            if database is not None:
                accounts = Accounts() if config is None else config.accounts
                budgets = Budgets(database, accounts, time.time)
                return anyio.run(_all, budgets, register_of(database, config))
    told: list[dict[str, Any]] = Proxy(path, url).get(_PAGE, f"{_PAGE}/me", {})["budgets"]
    return told


async def _all(budgets: Budgets, register: Register) -> list[dict[str, Any]]:
    keys = [*register.configured, *await register.directory.keys()]
    teams = [*register.teams.values(), *await register.directory.teams()]
    return [state.as_json() for state in await budgets.all_states(teams, keys)]


def _row(each: Mapping[str, Any]) -> Sequence[str]:
    of = "person" if each["of"] == "owner" else each["of"]
    amounts = (each[name] for name in ("amount", "spent", "reserved", "left"))
    name = each["name"]
    return (
        *(of, name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"),
        *(each["period"], each["alias"] or "all"),
        *(dollars(round(amount * _MICROS)) for amount in amounts),
        "never" if each["resets"] is None else each["resets"][:16].replace("T", " "),
    )


def put(
    path: Path | None,
    budget: str,
    whose: Mapping[str, str | bool | None],
    message: str | None,
) -> None:
    """Set a budget, and print how it stands.

    Args:
        path: The configuration.
        budget: As `--budget` has it.
        whose: `key`, `team`, `person` or `each_person`, one of which is given.
        message: What who is over it is told; `None` leaves it as it is.
    """
    given = {kind: name for kind, name in whose.items() if name}
    if len(given) != 1:
        raise fail("say whose budget it is: one of --key, --team, --person and --each-person")
    ((kind, name),) = given.items()
    if kind in ("person", "each_person"):
        _limit(path, budget, "" if name is True else str(name), message)
        return
    named = str(name)
    limits = Given(budgets=[budget], message=message)

    async def work(register: Register) -> Key | Team:
        if kind == "key":
            register.refuse_configured(named)
            return await register.directory.alter_key(named, ACTOR, "update", limits.members)
        register.refuse_configured_team(named)
        return await register.directory.alter_team(named, ACTOR, "update", limits.members)

    made = registered(path, work)
    listed(path, None, made.name, Form.table)
    _say_where(made.name)


def _limit(path: Path | None, text: str, person: str, message: str | None) -> None:
    """Set the limit of a person, or of each who has none of their own."""
    if message is not None:
        raise fail("--message: only budgets of keys and teams have one")
    check_texts("--person", [person])
    budget = budget_of(text)
    if budget.period == "total" or budget.alias:
        raise fail("what people may spend is set per day, week or month, and for all models")
    kind = PERSON if person else EACH

    async def work(register: Register) -> None:
        people = People(register.database, time.time)
        place = kind, person, budget.period
        if budget.amount:
            await people.put([(*place, budget.amount)], [], ACTOR)
        else:
            await people.put([], [place], ACTOR)

    registered(path, work)
    if person:
        listed(path, None, person, Form.table)
    else:
        sum_ = f"{dollars(budget.amount)} a {budget.period}" if budget.amount else "no limit"
        typer.echo(f"each person without a limit of their own: {sum_}")
    _say_where(person)


def _say_where(name: str) -> None:
    say(f"It is written down: llmroute audit {name}".rstrip())
