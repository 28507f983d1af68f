"""What goes wrong in a day, and when: a script of failures, by deployment."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["CALM", "STORMY", "Failure", "Kind", "Weather"]

Kind: TypeAlias = Literal[
    "refusing", "unreachable", "throttling", "overloaded", "slow", "stalling", "spent"
]


class Failure(NamedTuple):
    """One deployment misbehaves for a while.

    Attributes:
        start: A fraction of the day.
        kind: `refusing`: no connection, at once; `unreachable`: no connection, after the connect
            timeout; `throttling`: 429 with a `retry-after`; `overloaded`: 529; `slow`: content
            comes eight times as late; `stalling`: 200, `message_start`, and nothing more; `spent`:
            429 whose error code names a spend limit, without a `retry-after`.
        share: Of the requests that meet it.
    """

    deployment: str
    start: float
    end: float
    kind: Kind
    share: float = 1.0

    @property
    def name(self) -> str:
        """What the script calls it."""
        return f"{self.deployment} {self.kind}"

    @property
    def dead(self) -> bool:
        """Whether no request at all is answered meanwhile."""
        return self.share == 1.0 and self.kind != "slow"


Weather: TypeAlias = tuple[Failure, ...]

CALM: Weather = ()

STORMY: Weather = (
    Failure("east", 0.08, 0.10, "refusing"),
    Failure("east", 0.10, 0.12, "unreachable"),
    Failure("east", 0.20, 0.23, "throttling", 0.6),
    Failure("east", 0.30, 0.33, "overloaded", 0.8),
    Failure("east", 0.40, 0.43, "slow"),
    Failure("east", 0.50, 0.52, "stalling"),
    Failure("east", 0.60, 0.68, "spent"),
    Failure("west", 0.74, 0.77, "refusing"),
    Failure("east", 0.84, 0.86, "overloaded", 0.5),
    Failure("west", 0.84, 0.86, "overloaded", 0.5),
)
