"""What is written down of a call when it is over."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from llmroute.messages.call import Sender
from llmroute.messages.usage import Usage
from llmroute.pricing import Bill, Tariff, bill, cost

__all__ = ["Attempt", "Observer", "Outcome", "Record", "call_id"]

Outcome = Literal["answered", "refused", "failed", "broken", "cancelled"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one deployment.

    Attributes:
        deployment: Its name.
        error: What went wrong, in a line; empty for the one that answered.
        status: What the upstream answered with.
        seconds: Until it failed, or the answer began.
        kind: Anthropic's name for what went wrong, `overloaded_error` say.
        began: Seconds from the call's arrival until it was made.
        provider: Its provider, or the vendor it stands for.
        model: The upstream's own name of the model.
    """

    deployment: str
    error: str = ""
    status: int = 200
    seconds: float = 0.0
    kind: str = ""
    began: float = 0.0
    provider: str = ""
    model: str = ""


# Ten million dollars: no call costs more, whatever an upstream says, and what databases add up
# stays within 64 bits.
_MOST_COST = 10**13


def call_id() -> str:
    """Draw the id of a call.

    It begins with the time, so that a database with millions of them has the new ones side by side;
    a call costs it a third of what it would cost to find each a place of its own.  (Measured.)
    """
    return f"call_{time.time_ns() // 1000:013x}{secrets.randbits(28):07x}"


def _unknown() -> None:
    return None


@dataclass(slots=True)
class Record:
    """What is written down of one call.  Never a body, never a secret.

    Attributes:
        at: When the call came in, seconds since 1970.
        id: Of the call, drawn here.
        key: Name of the key; `local` where the proxy has none, empty in process.
        owner: Whose key it is, or whom a gateway in front named.
        team: The name of the key's team.
        tags: What the key and its team are marked with.
        account: The key itself, for those who know keys; `None` if there is none.
        session: Claude Code's session id.
        agent: The subagent's id; empty for the main conversation.
        parent: The id of the agent that started it, where that is a subagent itself.
        kind: The class of request: `main`, `subagent`, `auxiliary`, `compaction`, …; empty for
            clients other than Claude Code.
        client: What the caller calls itself, `claude-cli/2.1.330` say.
        trace: The W3C `traceparent` it came with; empty if it came with none.
        trace_state: The `tracestate` beside it.
        asked: The model name that was asked for.
        alias: The alias it resolved to, as the configuration spells it; empty if there is none.
        deployment: The deployment that answered, or was tried last.
        provider: Its provider, or the vendor it stands for.
        tariff: Returns what its model costs; `None` if nobody knows.
        losses: What of the call the upstream did not get to see, a line each.
        why: What was weighed on the way to the deployment, a line each: where the prompt cache is,
            and what moving or waiting would have cost.
        status: What the caller got, as an HTTP status; 499 if it went away before.
        outcome: `answered`; `refused`, the request was at fault; `failed`, no deployment answered;
            `broken`, an answer stopped half-way; `cancelled`, the caller went away.
        first_byte: Seconds until the answer began; `None` if none did.
        duration: Seconds until the last byte.
        prefix: What became of the prompt cache, as `llmroute.usage.breaks` has it; `None` if that
            was not looked into.
        estimated: The usage is guessed: the answer was let go of before the upstream told it.
        error: What went wrong, in a line.
        error_kind: Anthropic's name for it, `overloaded_error` say.
    """

    at: float
    id: str = ""
    endpoint: str = "messages"
    stream: bool = False
    key: str = ""
    owner: str = ""
    team: str = ""
    tags: tuple[str, ...] = ()
    account: object = None
    session: str = ""
    agent: str = ""
    parent: str = ""
    kind: str = ""
    client: str = ""
    trace: str = ""
    trace_state: str = ""
    asked: str = ""
    alias: str = ""
    deployment: str = ""
    provider: str = ""
    model: str = ""
    tariff: Callable[[], Tariff | None] = _unknown
    status: int = 200
    outcome: Outcome = "answered"
    first_byte: float | None = None
    duration: float = 0.0
    usage: Usage = field(default_factory=Usage)
    attempts: list[Attempt] = field(default_factory=list)
    losses: tuple[str, ...] = ()
    why: Sequence[str] = ()
    prefix: dict[str, Any] | None = None
    estimated: bool = False
    error: str = ""
    error_kind: str = ""
    _cost: int | None = field(default=None, repr=False)

    def name(self, sender: Sender) -> None:
        """Write down who makes the call."""
        self.key, self.owner, self.team, self.tags, self.account = sender

    @property
    def cost(self) -> int | None:
        """What the call cost, in micro-dollars, once it is over; `None` if nobody knows.

        Nothing was used: nothing was paid.  It is worked out once, when first asked for.
        """
        if self._cost is None:
            if not any(self.usage.counts):
                self._cost = 0
            elif (tariff := self.tariff()) is not None:
                self._cost = min(cost(tariff, self.usage), _MOST_COST)
        return self._cost

    @property
    def bill(self) -> Bill | None:
        """How that comes about, line by line; `None` if nobody knows the price."""
        tariff = self.tariff()
        return None if tariff is None else bill(tariff, self.usage)


class Observer(Protocol):
    """Is told of every call, once, when it is over."""

    def record(self, record: Record) -> None:
        """Take note; called on the event loop, so it must not block."""
