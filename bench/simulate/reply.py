"""What an upstream says, piece by piece, each at its time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from llmroute.errors import StreamBrokenError
from llmroute.messages.usage import Usage
from llmroute.wire.headers import Headers

__all__ = ["Piece", "TimedReply", "refusal", "streamed", "whole"]

_LONGEST_GAP = 10.0  # seconds between two pieces of an answer being written
_EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
_JSON = (b"content-type", b"application/json")


class Piece(NamedTuple):
    """Bytes, how many seconds they take to come, and what happens when they have."""

    wait: float
    data: bytes
    arrived: Callable[[], None] | None = None


class TimedReply:
    """The reply of a transport, from pieces."""

    def __init__(
        self, status: int, headers: Headers, pieces: Iterator[Piece], silence: float | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._silence = math.inf if silence is None else silence

    async def receive(self) -> bytes:
        """Wait for the next piece, but no longer than the caller bears silence."""
        piece = next(self._pieces, None)
        if piece is None:
            return b""
        if piece.wait > self._silence:
            await asyncio.sleep(self._silence)
            raise StreamBrokenError("the upstream was silent for too long")
        if piece.wait:
            await asyncio.sleep(piece.wait)
        if piece.arrived is not None:
            piece.arrived()
        return piece.data

    async def aclose(self) -> None:
        """Leave out the pieces that have not come yet."""
        self._pieces = iter(())


def refusal(
    status: int,
    kind: str,
    message: str,
    *,
    retry_after: int | None = None,
    details: Mapping[str, str] | None = None,
) -> TimedReply:
    """Make an error in the words of the Messages API."""
    said = {"type": kind, "message": message, **({"details": details} if details else {})}
    headers = [_JSON]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    body = msgspec.json.encode({"type": "error", "error": said})
    return TimedReply(status, headers, iter([Piece(0.0, body)]))


def whole(usage: Usage, done: Callable[[], None]) -> TimedReply:
    """Make a short message; the tokens that it is said to have are not all there."""
    content = [{"type": "text", "text": "Done."}]
    message = {**_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": usage.data}
    return TimedReply(200, [_JSON], iter([Piece(0.0, msgspec.json.encode(message), done)]))


def streamed(
    usage: Usage, think: float, write: float, done: Callable[[], None], silence: float | None
) -> TimedReply:
    """Make such a message as a stream: its first content after `think` seconds, then the rest."""
    return TimedReply(200, [_EVENT_STREAM], _events(usage, think, write, done), silence)


def _events(usage: Usage, think: float, write: float, done: Callable[[], None]) -> Iterator[Piece]:
    begun = {**_MESSAGE, "content": [], "usage": {**usage.data, "output_tokens": 1}}
    yield Piece(0.0, _event("message_start", message=begun))
    yield Piece(think, _FIRST)
    gaps = max(1, math.ceil(write / _LONGEST_GAP))
    for _ in range(gaps - 1):
        yield Piece(write / gaps, _MORE)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    end = _event("message_delta", delta=stop, usage={"output_tokens": usage.output_tokens})
    yield Piece(write / gaps, _LAST + end + _STOP, done)


def _event(name: str, **members: object) -> bytes:
    data = msgspec.json.encode({"type": name, **members})
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


_MESSAGE: Mapping[str, object] = {
    "id": "msg_simulated",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "stop_reason": None,
    "stop_sequence": None,
}
_MORE = _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Word. "})
_BLOCK: Mapping[str, object] = {"type": "text", "text": ""}
_FIRST = _event("content_block_start", index=0, content_block=_BLOCK) + _MORE
_LAST = _MORE + _event("content_block_stop", index=0)
_STOP = _event("message_stop")
