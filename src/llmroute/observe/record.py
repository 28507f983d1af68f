"""What is written down of a call when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from llmroute.messages.call import Sender
from llmroute.messages.usage import Usage
from llmroute.pricing import Tariff, cost

__all__ = ["Attempt", "Observer", "Outcome", "Record"]

Outcome = Literal["answered", "refused", "failed", "broken", "cancelled"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one deployment.

    Attributes:
        deployment: Its name.
        error: What went wrong, in a line; empty for the one that answered.
        status: What the upstream answered with.
        seconds: Until it failed, or the answer began.
    """

    deployment: str
    error: str = ""
    status: int = 200
    seconds: float = 0.0


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
        kind: The class of request: `main`, `subagent`, `compaction`, …
        client: What the caller calls itself, `claude-cli/2.1.330` say.
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
        estimated: The usage is guessed: the answer was let go of before the upstream told it.
        error: What went wrong, in a line.
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
    estimated: bool = False
    error: str = ""
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
                self._cost = cost(tariff, self.usage)
        return self._cost


class Observer(Protocol):
    """Is told of every call, once, when it is over."""

    def record(self, record: Record) -> None:
        """Take note; called on the event loop, so it must not block."""
