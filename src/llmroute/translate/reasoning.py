"""Reasoning that its maker wants back, carried through the signature of a thinking block.

A client sends thinking blocks back as it got them, so the signature is a place to keep what an
upstream needs on the next turn, and no proxy has to remember anything.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from llmroute.errors import InvalidRequestError
from llmroute.wire.envelope import MALFORMED, Envelope

__all__ = ["is_sealed", "seal", "unseal", "without_reasoning", "without_sealed"]

_PREFIX = "llmr1."


class _Seal(msgspec.Struct):
    p: str
    m: str
    d: dict[str, Any]


class _Block(msgspec.Struct):
    type: Any = None
    signature: Any = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Seal).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_block = msgspec.json.Decoder(_Block).decode


def seal(provider: str, family: str, payload: Mapping[str, Any] | None = None) -> str:
    """Return a signature that carries `payload` for one provider's models of one family.

    Nothing in it is secret from the caller, who sees what the upstream sent.
    """
    text = _encode(_Seal(provider, family, dict(payload or {})))
    return _PREFIX + base64.urlsafe_b64encode(text).decode().rstrip("=")


def unseal(signature: Any, provider: str, family: str) -> dict[str, Any] | None:
    """Return what a signature carries; `None` if it is not ours, or for somebody else.

    >>> unseal(seal("gemini", "gemini-3", {"text": "Q2"}), "gemini", "gemini-3")
    {'text': 'Q2'}
    >>> unseal(seal("gemini", "gemini-3", {"text": "Q2"}), "openai", "gpt-5") is None
    True
    """
    if not is_sealed(signature):
        return None
    coded = signature.removeprefix(_PREFIX)
    try:
        found = _decode(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
    except (binascii.Error, ValueError, *MALFORMED):
        return None
    return found.d if (found.p, found.m) == (provider, family) else None


def is_sealed(signature: Any) -> bool:
    """Tell whether a signature is one of ours, which no Anthropic upstream can read."""
    return isinstance(signature, str) and signature.startswith(_PREFIX)


def without_sealed(body: Envelope) -> Envelope:
    """Leave out the thinking blocks that carry other vendors' reasoning.

    Every other message and block keeps its bytes.  A message that was nothing else goes as a whole.

    Returns:
        The request without; `body` itself if there is nothing to leave out.
    """
    # Of a request that nobody has edited, this is the buffer it came in, and no copy.
    if _PREFIX.encode() not in bytes(body):
        return body
    try:
        messages = _list(body.raw("messages"))
    except (*MALFORMED, KeyError):
        return body
    left = [_left_of(message) for message in messages]
    if all(now is before for now, before in zip(left, messages, strict=True)):
        return body
    return body.replace(messages=[message for message in left if message is not None])


def _left_of(raw: msgspec.Raw) -> msgspec.Raw | None:
    data = bytes(memoryview(raw))
    if _PREFIX.encode() not in data:
        return raw
    try:
        message = Envelope.parse(data)
        blocks = _list(message.raw("content"))
        kept = [each for each in blocks if not _carries(each)]
    except (*MALFORMED, InvalidRequestError, KeyError):
        return raw
    if len(kept) == len(blocks):
        return raw
    return msgspec.Raw(bytes(message.replace(content=kept))) if kept else None


def _carries(raw: msgspec.Raw) -> bool:
    try:
        block = _block(raw)
    except MALFORMED:
        return False
    return block.type == "thinking" and is_sealed(block.signature)


# Items that OpenAI knows by their ids, and misses the reasoning of which they came of.
_OF_REASONING = ("message", "function_call", "custom_tool_call")


def without_reasoning(body: Envelope) -> Envelope:
    """Leave the reasoning of earlier answers out of a Responses request.

    What came of it loses its id, by which the reasoning would be missed.

    Returns:
        The request without; `body` itself if there is nothing to leave out.
    """
    given = body.get("input")
    items = given if isinstance(given, list) else []
    kept = [item for item in items if not _is_of(item, ("reasoning",))]
    if len(kept) == len(items):
        return body
    return body.replace(input=[_unnamed(item) for item in kept])


def _unnamed(item: Any) -> Any:
    if not _is_of(item, _OF_REASONING):
        return item
    return {name: value for name, value in item.items() if name != "id"}


def _is_of(item: Any, kinds: tuple[str, ...]) -> bool:
    return isinstance(item, dict) and item.get("type") in kinds
