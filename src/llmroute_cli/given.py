"""What is given on the command line for a key or a team, read as settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from llmroute.accounts.model import Budget, Key, Limits, Team
from llmroute.config.accounts import moment
from llmroute.config.durations import duration
from llmroute_cli.configuration import fail

__all__ = ["Given", "budget_of", "budgets_of", "check_texts", "end_of", "limits_of"]

_MICROS: Final = 1_000_000
_BUDGET = re.compile(
    r"\$?(?P<amount>[0-9]+(?:\.[0-9]+)?)(?:/(?P<period>day|week|month|total))?(?::(?P<alias>.+))?"
)
_LONGEST: Final = 200  # characters
_LONGEST_MESSAGE: Final = 1000
_FORM: Final = "write 50/month, or 20/week:claude-opus-* for some models only"


class Given(NamedTuple):
    """Options that say what a key or a team may; `None` is one that was left out.

    Attributes:
        aliases: Patterns; an empty one stands for everything.
        tags: An empty one stands for none.
        rpm: 0 is no limit, as it is for the two below.
        budgets: As `--budget` has them.
        message: What who is over one of them is told.
    """

    aliases: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budgets: Sequence[str] | None = None
    message: str | None = None

    def members(self, now: Key | Team) -> dict[str, Any]:
        """Return what becomes of a key or a team that is `now` so.

        Raises:
            typer.Exit: Something given is not what it should be; why has been printed.
        """
        members: dict[str, Any] = {}
        for option, texts in (("--alias", self.aliases), ("--tag", self.tags)):
            check_texts(option, texts or ())
        check_texts("--message", [self.message or ""], _LONGEST_MESSAGE)
        for name, given in (("aliases", self.aliases), ("tags", self.tags)):
            if given is not None:
                members[name] = tuple(each for each in given if each)
        if any(each is not None for each in (self.rpm, self.tpm, self.parallel)):
            members["limits"] = limits_of(now.limits, self)
        if self.budgets is not None or self.message is not None:
            members["budgets"] = budgets_of(now.budgets, self.budgets or (), self.message)
        return members


def check_texts(option: str, texts: Iterable[str], longest: int = _LONGEST) -> None:
    """Make sure that texts can be kept and shown.

    Raises:
        typer.Exit: One cannot; why has been printed.
    """
    for text in texts:
        if not text.isprintable() or len(text) > longest:
            raise fail(f"{option}: must be printable text of {longest} characters at the most")


def limits_of(now: Limits, given: Given) -> Limits:
    """Return limits of which those that are given are changed."""
    named = {
        "requests_per_minute": given.rpm,
        "tokens_per_minute": given.tpm,
        "parallel": given.parallel,
    }
    return replace(now, **{name: each or None for name, each in named.items() if each is not None})


def budgets_of(
    now: Iterable[Budget], given: Iterable[str], message: str | None
) -> tuple[Budget, ...]:
    """Return budgets of which those that are given are changed.

    Args:
        now: What they are.
        given: As `--budget` has them; an amount of 0 takes one away.
        message: Of those that are given, or of all if none is; `None` leaves it as it is.

    Raises:
        typer.Exit: One is no budget; why has been printed.
    """
    budgets = {(each.period, each.alias): each for each in now}
    changed = [budget_of(text) for text in given]
    for each in changed:
        place = (each.period, each.alias)
        if not each.amount:
            budgets.pop(place, None)
            continue
        known = budgets.get(place)
        budgets[place] = each if known is None else replace(known, amount=each.amount)
    if message is not None:
        for place in [(each.period, each.alias) for each in changed] or [*budgets]:
            if place in budgets:
                budgets[place] = replace(budgets[place], message=message)
    return tuple(budgets.values())


def budget_of(text: str) -> Budget:
    """Return a budget that is written as `--budget` has it.

    Raises:
        typer.Exit: It is none; why has been printed.
    """
    match = _BUDGET.fullmatch(text.strip())
    amount = round(float(match["amount"]) * _MICROS) if match else 0
    if match is None or amount > _MICROS * 1_000_000_000:
        raise fail(f"{text!r} is no budget; {_FORM}")
    parts: Mapping[str, Any] = match.groupdict()
    return Budget("", amount, parts["period"] or "month", parts["alias"] or "")


def end_of(text: str, now: datetime) -> datetime | None:
    """Return when a key is to end: a date, a time, in how long, or `never`.

    Raises:
        typer.Exit: It is none of these; why has been printed.
    """
    if text.strip().lower() == "never":
        return None
    try:
        return (now + duration(text)).replace(microsecond=0)
    except (ValueError, OverflowError):
        pass
    try:
        return moment(text).astimezone(UTC)
    except ValueError:
        raise fail(
            f"--expires: {text!r} is none of these: 30d, 2027-01-31, 2027-01-31T18:00:00+01:00, "
            "never"
        ) from None
