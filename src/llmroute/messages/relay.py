"""Passes a Messages event stream on, and reads off it what has to be known.

Bytes leave as they came, whole events at a time: so an event of ours, a ping or a last error, never
lands inside one of the upstream's.  Events are looked into only where something can be: at the
start, and where a chunk holds the end of the message or an error.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llmroute.messages.usage import Usage
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.sse import Frame, encode, frames, whole_events

__all__ = ["Relay"]

_decode = msgspec.json.Decoder().decode


class Relay:
    """One streamed answer on its way through.

    Attributes:
        begun: An event that is neither a ping nor an error has passed.
        complete: `message_stop` has passed.
        error: The data of an `error` event of the upstream's, once one has come.
        usage: As known so far.
    """

    __slots__ = ("_asked", "_tail", "_waiting", "begun", "complete", "error", "usage")

    def __init__(self, asked: str) -> None:
        """Prepare for an answer to a call for the alias `asked`, whose name the client gets back.

        Claude Code drops the thinking of messages whose `model` is not the one it asked for.
        """
        self._asked = asked
        self._waiting: list[bytes] = []
        # The last two bytes that wait: with what comes next they may make a blank line.
        self._tail = b""
        self.begun = False
        self.complete = False
        self.error: bytes | None = None
        self.usage = Usage()

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the events they complete, ready to be sent on."""
        waiting = self._waiting
        if waiting:
            if not whole_events(self._tail + data):
                self._wait(data)
                return b""
            data = b"".join([*waiting, data])
            waiting.clear()
        end = whole_events(data)
        if end != len(data):
            self._tail = b""
            self._wait(data[end:])
            data = data[:end]
        if not data:
            return b""
        if self.begun and b"message_" not in data and b"error" not in data:
            return data
        return b"".join([self._pass(frame) for frame in frames(data)])

    def close(self) -> bytes:
        """The upstream's stream is over; return a last event that only lacked its blank line."""
        rest = b"".join(self._waiting).rstrip(b"\r\n")
        self._waiting.clear()
        if not rest:
            return b""
        frame = frames(rest + b"\n\n")[0]
        return self._pass(frame) if _object(frame.data) else b""

    def _wait(self, data: bytes) -> None:
        self._waiting.append(data)
        self._tail = (self._tail + data[-2:])[-2:]

    def _pass(self, frame: Frame) -> bytes:
        match frame.event or _type(frame.data):
            case b"" | b"ping":
                pass
            case b"message_start":
                self.begun = True
                return self._start(frame)
            case b"message_delta":
                self.begun = True
                if isinstance(usage := _object(frame.data).get("usage"), dict):
                    self.usage = self.usage.updated(usage)
            case b"message_stop":
                self.begun = self.complete = True
            case b"error":
                self.error = frame.data
            case _:
                self.begun = True
        return frame.raw

    def _start(self, frame: Frame) -> bytes:
        message = _object(frame.data).get("message")
        if not isinstance(message, dict):
            return frame.raw
        if isinstance(usage := message.get("usage"), dict):
            self.usage = Usage.of(usage)
        if message.get("model") == self._asked:
            return frame.raw
        event = Envelope.parse(frame.data)
        inner = Envelope.parse(bytes(event.raw("message"))).replace(model=self._asked)
        data = bytes(event.replace(message=inner))
        if frame.data in frame.raw:
            return frame.raw.replace(frame.data, data, 1)
        return encode(b"message_start", data)


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = _decode(data)
    except MALFORMED:
        return {}
    return value if isinstance(value, dict) else {}


def _type(data: bytes) -> bytes:
    """Read the type from the data, for servers that send no `event:` line."""
    return str(_object(data).get("type") or "").encode() if data else b""
