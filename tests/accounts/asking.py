"""A call at a gate, for tests of gates."""

from __future__ import annotations

import json
from typing import Any

from llmroute.accounts.gate import Asked
from llmroute.accounts.model import Key
from llmroute.messages.call import NOBODY, Call, Sender
from llmroute.messages.usage import Usage
from llmroute.observe import Record
from llmroute.wire.envelope import Envelope

__all__ = ["asked", "over"]


def asked(
    key: Key | None = None,
    messages: list[Any] | None = None,
    *,
    sender: Sender | None = None,
    quote: int | None = 0,
    **members: Any,
) -> Asked:
    """Return a call at a gate, made with a key; its other members are the call's own."""
    body = json.dumps({"model": "m", "messages": messages or []}).encode()
    who = sender or (key.sender if key else NOBODY)
    call = Call(Envelope.parse(body), "m", sender=who, **members)
    return Asked(call, "m", lambda: quote)


def over(cost: int | None = 0, *, tokens: int = 0) -> Record:
    """Return the record of a call that is over, and of what it cost in micro-dollars."""
    record = Record(at=0.0, usage=Usage(input_tokens=tokens))
    record._cost = cost
    return record
