"""What a streamed answer must be whatever goes wrong upstream, read independently of llmroute.

The grammar is that of https://docs.claude.com/en/build-with-claude/streaming, with one content
block open at a time, and an `error` event in place of whatever would have come next.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["PING", "Event", "events_of", "problems_of", "split"]

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
"""A ping as the API words it, and the proxy too: whose it is cannot be told."""

_KNOWN = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)


class Event(NamedTuple):
    """One whole event.

    Attributes:
        kind: Its name, or what its data say where it has none; empty if that is nothing.
        data: Decoded; `None` where it is no JSON object.
        raw: As it came.
    """

    kind: str
    data: dict[str, Any] | None
    raw: bytes


def split(stream: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole events of a stream whose lines end in line feeds, and what is left."""
    *whole, rest = stream.split(b"\n\n")
    return [each + b"\n\n" for each in whole], rest


def events_of(stream: bytes) -> list[Event]:
    """Return the whole events of a stream, comments left out."""
    return [event for raw in split(stream)[0] if (event := _event(raw)) is not None]


@lru_cache(4096)  # the same few events are read over and over
def _event(raw: bytes) -> Event | None:
    name, lines = "", []
    for line in raw.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode("latin-1")
        elif field == b"data":
            lines.append(value)
    if not lines:
        return None  # a comment, or nothing that anybody would read
    try:
        data = json.loads(b"\n".join(lines))
    except ValueError:
        data = None
    data = data if isinstance(data, dict) else None
    return Event(name or str((data or {}).get("type", "")), data, raw)


def problems_of(stream: bytes) -> list[str]:
    """Say in what a client's whole transcript is no Messages stream; nothing if it is one."""
    rest = split(stream)[1]
    reader = _Reader()
    for event in events_of(stream):
        reader.read(event)
    if not reader.is_over:
        reader.problems.append("it ends with neither message_stop nor error")
    if rest:
        reader.problems.append(f"it ends inside an event: {rest[:40]!r}")
    return reader.problems


class _Reader:
    """Reads events in order; what is wrong is in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.is_over = False
        self._is_begun = False
        self._is_closing = False
        self._open: int | None = None
        self._next = 0

    def read(self, event: Event) -> None:
        kind, data = event.kind, event.data
        if kind not in _KNOWN:
            return  # a ping, or what the API has added since; clients pass them over
        if data is None:
            self._wrong(f"{kind} without JSON data")
            return
        if data.get("type") != kind:
            self._wrong(f"{kind} that says it is {data.get('type')}")
        if self.is_over:
            self._wrong(f"{kind} after the end")
        if kind == "error":
            self._error(data.get("error"))
        else:
            self._message(kind, data)

    def _error(self, described: Any) -> None:
        self.is_over = True
        if not isinstance(described, dict) or not described.get("type"):
            self._wrong("error of no type")

    def _message(self, kind: str, data: dict[str, Any]) -> None:
        if (kind == "message_start") is self._is_begun:
            self._wrong("a second message_start" if self._is_begun else f"{kind} before the start")
        self._is_begun = True
        if kind.startswith("content_block_"):
            self._block(kind, data)
        elif kind == "message_delta":
            self._is_closing = True
            self._must_be_closed(kind)
        elif kind == "message_stop":
            self.is_over = True
            self._must_be_closed(kind)
            if not self._is_closing:
                self._wrong("message_stop without message_delta")

    def _block(self, kind: str, data: dict[str, Any]) -> None:
        index = data.get("index")
        if kind == "content_block_start":
            self._must_be_closed(kind)
            if self._is_closing:
                self._wrong("content_block_start after message_delta")
            if index != self._next:
                self._wrong(f"block {index} in place of {self._next}")
            self._next += 1
            self._open = index
            return
        if index != self._open or index is None:
            self._wrong(f"{kind} of block {index}, which is not open")
        member = data.get("delta")
        if kind == "content_block_delta" and not (isinstance(member, dict) and member.get("type")):
            self._wrong("content_block_delta without a delta")
        if kind == "content_block_stop":
            self._open = None

    def _must_be_closed(self, kind: str) -> None:
        if self._open is not None:
            self._wrong(f"{kind} inside block {self._open}")

    def _wrong(self, what: str) -> None:
        self.problems.append(what)
