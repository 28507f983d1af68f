"""Server-sent events: bytes to frames, and back.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
Anthropic ends lines with a line feed; the other two endings are read as well.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Frame", "SSEDecoder", "encode", "frames", "whole_events"]

# Each of them ends where it ends whatever comes next, so that frames do not depend on how the
# bytes are cut. (A line feed followed by a lone carriage return is the one pair left out: it could
# be the first half of the second of these.)
_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")


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
        end = data.rfind(b"\n\n") + 2
        if end < 3 or data[end - 3] != 10:
            return end if end > 1 else 0
        # More blank lines than one: the first two line feeds are a pair, the next two another.
    end = 0
    for blank in _BLANK_LINE.finditer(data):
        end = blank.end()
    return end


def frames(events: bytes) -> list[Frame]:
    """Split complete events, as `whole_events` counts them; their `raw` put together are these."""
    if b"\r" not in events:
        return [_frame(raw + b"\n\n") for raw in events.split(b"\n\n")[:-1]]
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
    """Write one event; each line of `data` gets a `data:` of its own."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
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
