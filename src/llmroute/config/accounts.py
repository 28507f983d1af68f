"""Settings of keys, teams, limits and budgets, and of what is kept of their use."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from llmroute.config.settings import Settings

__all__ = [
    "Accounts",
    "BudgetSettings",
    "Guards",
    "KeySettings",
    "LimitSettings",
    "TeamSettings",
    "UsageSettings",
]


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

    amount: float = Field(gt=0)
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
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Its SHA-256 in place of it, as `llmroute keys hash` prints it; no secret."""
    team: str | None = None
    """The name of a team of this file."""
    aliases: tuple[str, ...] = ()
    """What it may ask for: names, or patterns with a `*`; left out, everything."""
    owner: str = ""
    """Whose it is; an e-mail address, say."""
    tags: tuple[str, ...] = ()
    """What its usage is marked with."""
    expires: datetime | None = None
    """When it ends, a date or a time with its zone; left out, never."""
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
    price_factor: float = Field(1.0, ge=0)
    """What every list price is multiplied by: 0.85 for a discount of 15 %."""
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
