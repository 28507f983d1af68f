"""Server-sent events: bytes to frames, and back.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
Anthropic ends lines with a line feed; the other two endings are read as well.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Frame", "SSEDecoder", "encode", "frames", "whole_events"]

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r)(?:\r\n|\n|\r)")


class Frame(NamedTuple):
    """One event of a stream.

    Attributes:
        event: The `event:` field; empty if there is none, as for a comment.
        data: The `data:` lines, joined by line feeds.
        raw: The event as it came, its blank line included.
    """

    event: bytes
    data: bytes
    raw: bytes


def whole_events(data: bytes) -> int:
    """Return how many bytes of `data`, from its start, are complete events."""
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for blank in _BLANK_LINE.finditer(data):
        end = blank.end()
    return end


def frames(events: bytes) -> list[Frame]:
    """Split complete events; their `raw` put together are `events` again."""
    if b"\r" not in events:
        return [_frame(raw + b"\n\n") for raw in events.removesuffix(b"\n\n").split(b"\n\n")]
    found: list[Frame] = []
    start = 0
    for blank in _BLANK_LINE.finditer(events):
        found.append(_frame(events[start : blank.end()]))
        start = blank.end()
    return found


def _frame(raw: bytes) -> Frame:
    event = b""
    data: list[bytes] = []
    for line in raw.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            event = value.removeprefix(b" ")
    return Frame(event, b"\n".join(data), raw)


def encode(event: bytes, data: bytes) -> bytes:
    """Write one event; `data` holds no line break."""
    return b"event: " + event + b"\ndata: " + data + b"\n\n"


class SSEDecoder:
    """Collects bytes until they make whole events."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they came; return the frames they complete."""
        if self._rest:
            data = self._rest + data
        end = whole_events(data)
        self._rest = data[end:]
        return frames(data[:end]) if end else []
