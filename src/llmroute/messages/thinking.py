"""Thinking that somebody else did: an upstream takes back only what it can read and check.

A thinking block is signed for the account, the model and the conversation it was made in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["messages_of", "refuses_thinking", "without_thinking"]


class _Block(msgspec.Struct):
    type: Any = None


_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_block = msgspec.json.Decoder(_Block).decode

_THINKING = ("thinking", "redacted_thinking")

_REFUSED = re.compile(
    r"invalid [`'\"]?signature[`'\"]? in [`'\"]?thinking"
    r"|invalid [`'\"]?data[`'\"]? in [`'\"]?redacted_thinking"
    r"|bound to a different conversation"
    # Thinking that was made where nothing is signed.
    r"|\.thinking\.signature:|\.redacted_thinking\.data:",
    re.IGNORECASE,
)


def messages_of(body: Envelope) -> int:
    """Return how many messages a request has; 0 if they cannot be read."""
    return len(_raw_messages(body))


def without_thinking(body: Envelope, ranges: Sequence[tuple[int, int | None]]) -> Envelope:
    """Leave the thinking out of some of the assistant's messages.

    Every other message and block keeps its bytes and its order.  A message that was nothing but
    thinking goes as a whole, since an empty one is refused; what cannot be read stays.

    Args:
        body: A Messages request.
        ranges: Which messages: from an index up to, but without, another one; `None` for the end.

    Returns:
        The request without; `body` itself if there is nothing to leave out.
    """
    messages = _raw_messages(body) if ranges else []
    left = [_left_of(raw) if _lies_in(at, ranges) else raw for at, raw in enumerate(messages)]
    if all(now is before for now, before in zip(left, messages, strict=True)):
        return body
    return body.replace(messages=[raw for raw in left if raw is not None])


def refuses_thinking(message: str) -> bool:
    """Tell whether a 400 is about earlier thinking, so that the call may pass without it.

    That the thinking of the latest message "cannot be modified", or is missing, is another matter:
    to leave more of it out would be one more such change.

    >>> refuses_thinking("messages.1.content.0: Invalid `signature` in `thinking` block")
    True
    """
    return _REFUSED.search(message) is not None


def _raw_messages(body: Envelope) -> list[msgspec.Raw]:
    try:
        return _list(body.raw("messages"))
    except (*MALFORMED, KeyError):
        return []


def _lies_in(at: int, ranges: Sequence[tuple[int, int | None]]) -> bool:
    return any(start <= at and (end is None or at < end) for start, end in ranges)


def _left_of(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return a message without thinking: itself if it has none, `None` if it has nothing else."""
    data = bytes(memoryview(raw))
    if b"thinking" not in data:
        return raw
    try:
        message = Envelope.parse(data)
        if message.string("role") != "assistant":
            return raw
        blocks = _list(message.raw("content"))
    except (*MALFORMED, InvalidRequestError, KeyError):
        return raw
    kept = [block for block in blocks if not _is_thinking(block)]
    if len(kept) == len(blocks):
        return raw
    return msgspec.Raw(bytes(message.replace(content=kept))) if kept else None


def _is_thinking(block: msgspec.Raw) -> bool:
    try:
        return _block(block).type in _THINKING
    except MALFORMED:
        return False
