"""Keys, teams and budgets, as values: who may what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from llmroute.messages.call import Sender
from llmroute.routing.aliases import fits

__all__ = [
    "EVER",
    "Budget",
    "Key",
    "Limits",
    "Period",
    "Rule",
    "Team",
    "rule_of",
    "window_of",
]

Period: TypeAlias = Literal["day", "week", "month", "total"]
EVER: Final = 0
"""The window of a budget for good."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be asked at a time; `None` is no limit.

    Attributes:
        requests_per_minute: Counts of tokens are not requests.
        tokens_per_minute: Prompt and answer, cached tokens included.
        parallel: Requests under way.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on cost over a window of time.

    Attributes:
        amount: In micro-dollars.
        period: How long a window is; all begin at midnight UTC, weeks on Mondays.
        alias: A pattern of the aliases it holds for; empty for all.
        message: What the administrator has to say to who is over it.
    """

    id: str
    amount: int
    period: Period
    alias: str = ""
    message: str = ""


class Rule(NamedTuple):
    """A budget, and whose it is.

    Attributes:
        kind: `key`, `team`, `owner`, `tag`, or `all` for everybody together.
        name: Which of them.
        account: What its spending is known by.
        amount: In micro-dollars.
        alias: A pattern of the aliases it holds for; empty for all.
        message: What the administrator has to say to who is over it.
    """

    kind: str
    name: str
    account: str
    amount: int
    period: Period
    alias: str = ""
    message: str = ""


def rule_of(kind: str, name: str, budget: Budget) -> Rule:
    """Return a budget as one of somebody's."""
    return Rule(kind, name, budget.id, budget.amount, budget.period, budget.alias, budget.message)


@dataclass(frozen=True)
class Team:
    """People who share what they may."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    limits: Limits = Limits()
    budgets: tuple[Budget, ...] = ()
    blocked: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def may_ask_for(self, alias: str) -> bool:
        """Tell whether its keys may ask for an alias, or for all that a pattern stands for."""
        return not self.aliases or any(fits(each, alias) for each in self.aliases)


@dataclass(frozen=True)
class Key:
    """What a client presents; the key itself is not known, only a digest of it.

    Attributes:
        id: Never changes, and is no secret.
        name: What people call it.
        hint: The end of the key, to tell it by.
        aliases: Patterns of the aliases it may ask for; empty for all.
        owner: A person, by e-mail address say.
        trusted: The gateway that presents it names the people behind it.
        expires: After that it is refused; `None` for never.
        created_by: The key or command that made it.
    """

    id: str
    name: str
    hint: str = ""
    aliases: tuple[str, ...] = ()
    owner: str = ""
    tags: tuple[str, ...] = ()
    limits: Limits = Limits()
    budgets: tuple[Budget, ...] = ()
    team: Team | None = None
    trusted: bool = False
    blocked: bool = False
    expires: datetime | None = None
    created: datetime | None = None
    created_by: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sender(self) -> Sender:
        """Who makes a call with it, as the records name them."""
        team = self.team
        tags = tuple(dict.fromkeys((*self.tags, *(team.tags if team else ()))))
        return Sender(self.name, self.owner, team.name if team else "", tags, self)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Its budgets, and its team's."""
        rules = [rule_of("key", self.name, each) for each in self.budgets]
        if self.team is not None:
            rules += [rule_of("team", self.team.name, each) for each in self.team.budgets]
        return tuple(rules)

    def may_ask_for(self, alias: str) -> bool:
        """Tell whether the key, and its team, may ask for an alias."""
        return all(any(fits(each, alias) for each in names) for names in self._patterns)

    @cached_property
    def is_limited(self) -> bool:
        """Whether there is anything that it, or its team, may do only so often."""
        return self.limits != Limits() or (self.team is not None and self.team.limits != Limits())

    @cached_property
    def is_restricted(self) -> bool:
        """Whether there is anything that it, or its team, may not ask for."""
        lists = (self.aliases, self.team.aliases if self.team else ())
        return any("*" not in names for names in lists if names)

    @cached_property
    def _patterns(self) -> tuple[tuple[str, ...], ...]:
        lists = (self.aliases, self.team.aliases if self.team else ())
        return tuple(names for names in lists if names)


def window_of(period: Period, now: datetime) -> tuple[int, datetime | None]:
    """Return when the window around `now` began, in seconds since 1970, and when it ends.

    >>> window_of("month", datetime(2026, 12, 24, tzinfo=UTC))[1]
    datetime.datetime(2027, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "total":
            return EVER, None
        case "day":
            begin, end = day, day + timedelta(days=1)
        case "week":
            begin = day - timedelta(days=day.weekday())
            end = begin + timedelta(days=7)
        case "month":
            begin = day.replace(day=1)
            end = (begin + timedelta(days=32)).replace(day=1)
    return int(begin.timestamp()), end
