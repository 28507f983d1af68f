"""A whole answer, as Python sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.pricing import Bill
from llmroute.router.answer import Answer

__all__ = ["Message"]


class _Paid(NamedTuple):
    """What a copy of a message in another process knows of its price."""

    cost: int | None
    bill: Bill | None


class _Priced:
    """Keeps what a message's price is worked out of, which is none of the message's own fields."""

    __slots__ = ("_price",)
    _price: Record | _Paid


@dataclass(frozen=True, slots=True)
class Message(_Priced):
    """An answer of the Messages API.

    Attributes:
        data: The answer as it came, decoded; every member, known to us or not.
        deployment: Name of the deployment that answered.
        attempts: How many attempts it took, the successful one included.
        request_id: The upstream's `request-id`; empty if it sent none.
        call: The call's id in the records, `llmroute usage explain` takes it.
    """

    data: Mapping[str, Any]
    deployment: str = ""
    attempts: int = 1
    request_id: str = ""
    call: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_price", _Paid(None, None))

    @classmethod
    def of(cls, data: Mapping[str, Any], answer: Answer) -> Message:
        """Make a message of what an answer, which is over, has said."""
        head = answer.head
        made = cls(data, head.deployment, head.attempts, head.request_id, head.call)
        if answer.record is not None:
            object.__setattr__(made, "_price", answer.record)
        return made

    # A record holds what no other process can have.
    def __getstate__(self) -> list[Any]:
        own = [getattr(self, each.name) for each in fields(self)]
        return [*own, _Paid(self.cost, self.bill)]

    def __setstate__(self, state: list[Any]) -> None:
        names = [each.name for each in fields(self)]
        for name, value in zip([*names, "_price"], state, strict=True):
            object.__setattr__(self, name, value)

    @property
    def id(self) -> str:
        """The upstream's id of the message."""
        return str(self.data.get("id") or "")

    @property
    def model(self) -> str:
        """The alias that was asked for."""
        return str(self.data.get("model") or "")

    @property
    def content(self) -> list[dict[str, Any]]:
        """The content blocks, to be sent back as they are in the next turn."""
        content = self.data.get("content")
        return content if isinstance(content, list) else []

    @property
    def text(self) -> str:
        """The text blocks, put together."""
        return "".join(str(block.get("text") or "") for block in self._blocks("text"))

    @property
    def thinking(self) -> str:
        """The thinking blocks, put together; empty where the upstream omits their text."""
        return "".join(str(block.get("thinking") or "") for block in self._blocks("thinking"))

    @property
    def tool_uses(self) -> list[dict[str, Any]]:
        """The `tool_use` blocks: each has `id`, `name` and `input`."""
        return self._blocks("tool_use")

    @property
    def stop_reason(self) -> str | None:
        """`end_turn`, `max_tokens`, `tool_use`, `stop_sequence`, `refusal`, or a newer one."""
        value = self.data.get("stop_reason")
        return value if isinstance(value, str) else None

    @property
    def usage(self) -> Usage:
        """What the answer used."""
        usage = self.data.get("usage")
        return Usage.of(usage if isinstance(usage, dict) else {})

    @property
    def cost(self) -> int | None:
        """What the call cost, in micro-dollars; `None` if nobody knows.

        It is worked out when asked for.  The first time in a program, that may read a price list
        for a third of a second; `llmroute.pricing.load()`, in a thread, does so beforehand.
        """
        return self._price.cost

    @property
    def bill(self) -> Bill | None:
        """How that comes about, line by line; `None` if nobody knows the price."""
        return self._price.bill

    def _blocks(self, kind: str) -> list[dict[str, Any]]:
        content: list[Any] = self.content
        return [b for b in content if isinstance(b, dict) and b.get("type") == kind]
