"""Settings of keys, teams, limits and budgets, and of what is kept of their use."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from llmroute.config.settings import Settings

__all__ = [
    "Accounts",
    "BudgetSettings",
    "Guards",
    "KeySettings",
    "LimitSettings",
    "TeamSettings",
    "UsageSettings",
    "moment",
    "name_problem",
]

_LONGEST_NAME: Final = 100
# What the records call the master key, and everyone where the proxy has none.
_TAKEN: Final = frozenset({"local", "master"})
# Where a name is asked for, an id may stand as well; and a key is nothing to be shown as one.
_LIKE_ANOTHER = re.compile(r"sk-|config:|(?:key|team)_[0-9a-f]{20}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_DOLLARS: Final = 1_000_000_000


def name_problem(name: str) -> str:
    """Say why a key or a team cannot be called so; empty if it can.

    >>> name_problem("master")
    'is what the records call the master key; choose another name'
    """
    if not name.strip():
        return "must not be empty"
    if len(name) > _LONGEST_NAME:
        return f"must not be longer than {_LONGEST_NAME} characters"
    if not name.isprintable() or name.strip() != name:
        return "must be printable text, without a space at either end"
    if name.lower() in _TAKEN:
        return "is what the records call the master key; choose another name"
    if _LIKE_ANOTHER.match(name):
        return "begins as a key or an id does; choose another name"
    return ""


def moment(value: object) -> datetime:
    """Read a date or a time; a date is its midnight, and what names no zone is UTC.

    >>> moment("2027-01-31").isoformat()
    '2027-01-31T00:00:00+00:00'

    Raises:
        ValueError: It is neither.
    """
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(re.sub(r"\s+([+-])", r"\1", value.strip()))
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time.min)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a date or a time: 2027-01-31, or 2027-01-31T18:00:00+01:00")


def _digest(value: str) -> str:
    if not _DIGEST.fullmatch(value.lower()):
        raise ValueError("must be 64 hexadecimal digits, as `llmroute keys hash` prints them")
    return value.lower()


def _dollars(value: Any) -> Any:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            raise ValueError(
                "must be a number of US dollars, without a sign or a unit: 50"
            ) from None
    return value


class LimitSettings(Settings):
    """How much may be asked at a time; what is left out is not limited."""

    requests_per_minute: int | None = Field(None, gt=0)
    """Requests; counts of tokens are none."""
    tokens_per_minute: int | None = Field(None, gt=0)
    """Tokens of prompts and answers, cached ones included."""
    parallel: int | None = Field(None, gt=0)
    """Requests under way at once."""


class BudgetSettings(Settings):
    """A limit on what may be spent in a window of time."""

    amount: Annotated[float, BeforeValidator(_dollars)] = Field(ge=0.000001, le=_MOST_DOLLARS)
    """US dollars."""
    period: Literal["day", "week", "month", "total"] = "month"
    """How long a window is: all begin at midnight UTC, weeks on Mondays; `total` never ends."""
    alias: str = ""
    """The aliases it holds for: a name, or a pattern with a `*`; left out, all of them."""
    message: str = ""
    """What who is over it is told besides, whom to ask for instance."""


class TeamSettings(Settings):
    """People who share limits and budgets."""

    aliases: tuple[str, ...] = ()
    """What its keys may ask for: names, or patterns with a `*`; left out, everything."""
    tags: tuple[str, ...] = ()
    """What the usage of its keys is marked with."""
    limits: LimitSettings = LimitSettings()
    """How much all its keys may ask at a time."""
    budgets: tuple[BudgetSettings, ...] = ()
    """What all its keys may spend together."""
    blocked: bool = False
    """Whether its keys are refused."""


class KeySettings(Settings):
    """A key that clients present beside the master key."""

    key: SecretStr | None = None
    """The key itself: a reference to a secret, `${CI_KEY}` say.  Either this or `sha256`."""
    sha256: Annotated[str, AfterValidator(_digest)] | None = None
    """Its SHA-256 in place of it, as `llmroute keys hash` prints it; no secret."""
    team: str | None = None
    """The name of a team of this file."""
    aliases: tuple[str, ...] = ()
    """What it may ask for: names, or patterns with a `*`; left out, everything."""
    owner: str = ""
    """Whose it is; an e-mail address, say."""
    tags: tuple[str, ...] = ()
    """What its usage is marked with."""
    expires: Annotated[datetime, BeforeValidator(moment)] | None = None
    """When it ends: a time, `2027-01-31T18:00:00+01:00` say, or a date, which is its midnight in
    UTC; left out, never."""
    trusted: bool = False
    """Whether a gateway presents it that names the people behind it in headers."""
    blocked: bool = False
    """Whether it is refused."""
    limits: LimitSettings = LimitSettings()
    """How much it may ask at a time."""
    budgets: tuple[BudgetSettings, ...] = ()
    """What it may spend."""


class Guards(Settings):
    """What stops a conversation that runs away; counted by each process, with no database."""

    session_budget: float | None = Field(None, gt=0)
    """US dollars that one session may spend."""
    subagent_budget: float | None = Field(None, gt=0)
    """US dollars that one subagent may spend, and those it has started."""
    dollars_per_minute: float | None = Field(None, gt=0)
    """US dollars that one session may spend within a minute."""
    repeated_tool_calls: int | None = Field(None, gt=1)
    """How often in a row a conversation may make the same tool call."""


class UsageSettings(Settings):
    """What is kept of calls, and how their cost is counted."""

    retention_days: int | None = Field(None, gt=0)
    """Days after which the record of a call is deleted, though not what it adds to the sums of its
    day; left out, never."""
    records: bool = True
    """Whether calls are written down, each with its key, tokens and cost, and watched by the cache
    sentinel; budgets are kept either way."""
    price_factor: float = Field(1.0, ge=0)
    """What every list price is multiplied by: 0.85 for a discount of 15 %."""
    cache_sentinel: bool = True
    """Whether each session's prompts are watched, to tell why a prompt cache was not read."""
    when_store_fails: Literal["allow", "refuse"] = "allow"
    """What becomes of calls that have a budget while the database is away."""


class Accounts(Settings):
    """All of it, as a configuration holds it."""

    keys: dict[str, KeySettings] = Field(default_factory=dict)
    """Keys that clients present, by name."""
    teams: dict[str, TeamSettings] = Field(default_factory=dict)
    """Teams, by name."""
    budgets: tuple[BudgetSettings, ...] = ()
    """What all calls together may spend."""
    limits: LimitSettings = LimitSettings()
    """How much all calls together may ask at a time."""
    guards: Guards = Guards()
    """What stops a conversation that runs away."""
    usage: UsageSettings = UsageSettings()
    """What is kept of calls."""

    @property
    def needs_ledger(self) -> bool:
        """Whether there is anything to check of calls, in a program that names no database too."""
        is_limited = self.limits != LimitSettings() or self.guards != Guards()
        return bool(self.keys) or bool(self.budgets) or is_limited
