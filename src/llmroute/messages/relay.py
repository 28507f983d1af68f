"""Passes a Messages event stream on, and reads off it what has to be known.

Bytes leave as they came, whole events at a time: so an event of ours, a ping or a last error, never
lands inside one of the upstream's.  Events are looked into only where something can be: up to the
first content, and where a chunk holds the end of the message or an error.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import msgspec

from llmroute.errors import StreamBrokenError
from llmroute.messages.bound import container_id
from llmroute.messages.events import error_body, error_event, error_type
from llmroute.messages.usage import Usage
from llmroute.wire.envelope import MALFORMED, Envelope
from llmroute.wire.sse import Frame, encode, frames, whole_events

__all__ = ["Relay"]

_decode = msgspec.json.Decoder().decode
_check = msgspec.json.Decoder(msgspec.Raw).decode

# What has passed is measured in pieces of this size, if at all: most answers are shorter.
_PIECE = 64 * 1024  # bytes
# Of English about four, of code and in the newest vocabularies about three.
_BYTES_PER_TOKEN = 3.5

# What clients decode.  Others they pass over, and so do we.
_OF_A_MESSAGE = frozenset(
    {
        b"message_start",
        b"content_block_start",
        b"content_block_delta",
        b"content_block_stop",
        b"message_delta",
        b"message_stop",
        b"error",
    }
)

# Blocks that begin empty, and the member which the deltas then fill.
_FILLED_LATER = {
    "text": "text",
    "thinking": "thinking",
    "tool_use": "input",
    "server_tool_use": "input",
    "mcp_tool_use": "input",
}


class Relay:
    """One streamed answer on its way through.

    Attributes:
        begun: An event that is neither a ping nor an error has passed.
        content: Some of what is answered has passed: a delta, a block that did not begin empty, or
            the end of the message.
        complete: `message_stop` has passed.
        error: The data of an `error` event of the upstream's, as sent on, once one has come.
        usage: As known so far.
        id: The upstream's id of the message; empty until known.
        container: The id of the container the answer was made in; empty if none is known of.
        refused: The model refused to answer: the stop reason is `refusal`.
    """

    __slots__ = (
        "_asked",
        "_passed",
        "_said",
        "_tail",
        "_told",
        "_unread",
        "_waiting",
        "begun",
        "complete",
        "container",
        "content",
        "error",
        "id",
        "refused",
        "usage",
    )

    def __init__(self, asked: str) -> None:
        """Prepare for an answer to a call for the alias `asked`, whose name the client gets back.

        Claude Code drops the thinking of messages whose `model` is not the one it asked for.
        """
        self._asked = asked
        self._waiting: list[bytes] = []
        # The last two bytes that wait: with what comes next they may make a blank line.
        self._tail = b""
        # Events that have passed and were not measured yet, with their size, and the bytes of text
        # in those that were.
        self._passed: list[bytes] = []
        self._unread = 0
        self._said = 0
        # The upstream has told what the answer used in the end.
        self._told = False
        self.begun = False
        self.content = False
        self.complete = False
        self.error: bytes | None = None
        self.usage = Usage()
        self.id = ""
        self.container = ""
        self.refused = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the events they complete, ready to be sent on.

        Raises:
            StreamBrokenError: An event of a message is not JSON: the answer can go no further.
        """
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
        if self.content and b"message_" not in data and b"error" not in data and _is_sound(data):
            self._keep(data)
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

    def final(self) -> Usage:
        """Return what it has used, now that no more comes.

        Where the upstream has not told, for it was let go of before the end say, the tokens of the
        answer are guessed by the text that has passed.
        """
        if self._told or not self.begun:
            return self.usage
        self._measure()
        guess = math.ceil(self._said / _BYTES_PER_TOKEN)
        most = max(guess, self.usage.output_tokens)
        return dataclasses.replace(self.usage, output_tokens=most, estimated=True)

    def _keep(self, events: bytes) -> None:
        """Keep what it may be guessed by; nothing is looked at yet."""
        self._passed.append(events)
        self._unread += len(events)
        if self._unread > _PIECE:
            self._measure()

    def _measure(self) -> None:
        events = b"".join(self._passed)
        self._passed.clear()
        self._unread = 0
        self._said += sum(_said(frame.data) for frame in frames(events) if frame.data)

    def _wait(self, data: bytes) -> None:
        self._waiting.append(data)
        self._tail = (self._tail + data[-2:])[-2:]

    def _pass(self, frame: Frame) -> bytes:
        if not frame.data:
            return frame.raw  # a comment, or a name alone, which is no event
        name = frame.event or _type(frame.data)
        if name in _OF_A_MESSAGE and not _is_json(frame.data):
            return self._break_off(name)
        match name:
            case b"" | b"ping":
                pass
            case b"message_start":
                self.begun = True
                return self._start(frame)
            case b"content_block_start":
                self.begun = True
                self.content = self.content or not _begins_empty(_object(frame.data))
            case b"content_block_delta":
                self.begun = self.content = True
                self._keep(frame.raw)
            case b"message_delta":
                self.begun = self.content = True
                event = _object(frame.data)
                if isinstance(usage := event.get("usage"), dict):
                    self.usage = self.usage.updated(usage)
                    self._told = self.usage.output_tokens > 0
                if isinstance(delta := event.get("delta"), dict):
                    self._note(delta)
            case b"message_stop":
                self.begun = self.content = self.complete = True
            case b"error":
                return self._fail(frame)
            case _:
                self.begun = True
        return frame.raw

    def _fail(self, frame: Frame) -> bytes:
        """Take an error; a bare one, as llama.cpp's server writes it, gets the format's shape."""
        told = _object(frame.data)
        message, code = told.get("message"), told.get("code")
        if "error" in told or not isinstance(message, str):
            self.error = frame.data
            return frame.raw
        kind = error_type(code) if isinstance(code, int) and code >= 400 else "api_error"
        self.error = error_body(kind, message)
        return error_event(self.error)

    def _break_off(self, name: bytes) -> bytes:
        if self.complete or self.error is not None:
            return b""  # all has been said
        raise StreamBrokenError(f"the stream holds a {name.decode()} that is not JSON")

    def _start(self, frame: Frame) -> bytes:
        message = _object(frame.data).get("message")
        if not isinstance(message, dict):
            return frame.raw
        if isinstance(usage := message.get("usage"), dict):
            self.usage = Usage.of(usage)
        if isinstance(own := message.get("id"), str):
            self.id = own
        self._note(message)
        if message.get("model") == self._asked:
            return frame.raw
        event = Envelope.parse(frame.data)
        inner = Envelope.parse(bytes(event.raw("message"))).replace(model=self._asked)
        data = bytes(event.replace(message=inner))
        if frame.data in frame.raw:
            return frame.raw.replace(frame.data, data, 1)
        return encode(b"message_start", data)

    def _note(self, members: dict[str, Any]) -> None:
        """Take what a message, or a delta of one, says of how and where it was made."""
        if stop_reason := members.get("stop_reason"):
            self.refused = stop_reason == "refusal"
        self.container = container_id(members.get("container")) or self.container


def _said(data: bytes) -> int:
    """Return how many bytes of an answer an event holds: text, thinking, a tool's input."""
    delta = _object(data).get("delta")
    if not isinstance(delta, dict):
        return 0
    texts = (delta.get(name) for name in ("text", "thinking", "partial_json"))
    return sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))


def _begins_empty(event: dict[str, Any]) -> bool:
    """Whether all that a `content_block_start` announces is still to come."""
    block = event.get("content_block")
    kind = block.get("type") if isinstance(block, dict) else None
    member = _FILLED_LATER.get(kind) if isinstance(kind, str) else None
    return isinstance(block, dict) and member is not None and not block.get(member)


def _is_sound(events: bytes) -> bool:
    """Whether all data of whole events are JSON; in doubt they are not, and have to be looked at.

    An upstream, or what stands in between, may break off inside an event and go on with a page of
    its own.  A client that is handed half an event fails where it could have asked again.  This
    takes a microsecond an event. (Measured.)
    """
    if b"\r" in events:
        return False
    for event in events.split(b"\n\n"):
        start = event.find(b"data:")
        if start >= 0 and not _is_json(event[start + 5 :]):
            return False
    return True


def _is_json(data: bytes) -> bool:
    try:
        _check(data)
    except MALFORMED:
        return False
    return True


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = _decode(data)
    except MALFORMED:
        return {}
    return value if isinstance(value, dict) else {}


def _type(data: bytes) -> bytes:
    """Read the type from the data, for servers that send no `event:` line."""
    return str(_object(data).get("type") or "").encode()
