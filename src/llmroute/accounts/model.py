"""Keys, teams and budgets, as values: who may what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from llmroute.messages.call import Sender

__all__ = ["EVER", "Budget", "Key", "Limits", "Period", "Team", "window_of"]

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

    def may_ask_for(self, alias: str) -> bool:
        """Tell whether the key, and its team, may ask for an alias."""
        return all(pattern.fullmatch(alias) is not None for pattern in self._patterns)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        lists = (self.aliases, self.team.aliases if self.team else ())
        return tuple(_pattern(names) for names in lists if names)


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    """A `*` stands for any text, and nothing else has a meaning, as in the names of aliases."""
    written = (
        "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", n))
        for n in names
    )
    return re.compile("|".join(written), re.DOTALL)


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
