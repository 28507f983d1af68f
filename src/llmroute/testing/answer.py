"""An answer as a value: what is sent, when, and where it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, assert_never

import msgspec

from llmroute.testing._events import frame, frames

__all__ = [
    "Answer",
    "Document",
    "Error",
    "Fault",
    "Framing",
    "HeaderPairs",
    "Message",
    "Raw",
    "Request",
    "Script",
    "Stream",
]

HeaderPairs: TypeAlias = Sequence[tuple[str, str]]

_JSON = ("content-type", "application/json")
_EVENT_STREAM = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
)

_USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 6,
}


Framing: TypeAlias = Callable[
    [Sequence[bytes]], tuple[Sequence[tuple[str, str]], tuple[bytes, ...]]
]
"""Turns server-sent events into a stream of another kind, and tells its headers."""


class Fault(Enum):
    """What happens at a place in the body."""

    STALL = "stall"  # wait for a release
    CUT = "cut"  # close the connection
    RESET = "reset"  # close it with a reset
    END = "end"  # end the body as if it were complete


class _Place(NamedTuple):
    fault: Fault
    after_bytes: int | None
    after_events: int | None


class Message(NamedTuple):
    """A Messages answer: its members, what is missing being filled in, and the deltas a block."""

    members: Mapping[str, Any]
    deltas: int = 3


class Stream(NamedTuple):
    """Events, sent whatever the request asked for."""

    frames: tuple[bytes, ...]


class Error(NamedTuple):
    """The `error` member of Anthropic's error body."""

    error: Mapping[str, Any]


class Document(NamedTuple):
    """A JSON document."""

    body: bytes


class Raw(NamedTuple):
    """A body without any headers of ours."""

    body: bytes


class Request(NamedTuple):
    """What of a request an answer depends on.

    Attributes:
        model: The model that was asked for; the answer bears its name.
        stream: Whether the message is to be streamed.
        message_id: The answer's `id`.
        request_id: The `request-id` header's value.
        path: What was asked.
    """

    model: str
    stream: bool
    message_id: str
    request_id: str
    path: str = ""


class Script(NamedTuple):
    """An answer as the server plays it.

    Attributes:
        headers: All but those that frame the body.
        chunked: Whether the body goes out in chunks; else its length goes out first.
        pieces: The body; each piece is written by itself where `together` is false.
        faults: By rising offset into the body.
        interval: Seconds from piece to piece.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    chunked: bool
    pieces: tuple[bytes, ...]
    faults: tuple[tuple[int, Fault], ...]
    together: bool
    interval: float
    is_late: bool
    is_dropped: Fault | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and how it is sent.  Made by the functions of `llmroute.testing`.

    Attributes:
        content: What is answered.
        status: The HTTP status.
        headers: Set in place of the default ones of the same name, names in any case.
        interval: Seconds from one event (or piece) to the next.
        is_late: Whether the head waits for a release.
        is_dropped: `CUT` or `RESET` if the connection closes before the head.
    """

    content: Message | Stream | Error | Document | Raw
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    interval: float = 0.0
    is_late: bool = False
    is_dropped: Fault | None = None
    _places: tuple[_Place, ...] = ()
    _offsets: tuple[int, ...] = ()
    _is_bytewise: bool = False
    _failure: tuple[int, bytes] | None = None

    def header(self, name: str, value: str) -> Answer:
        """Set a header, in place of any other of that name."""
        kept = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        return replace(self, headers=(*kept, (name, value)))

    def cut(
        self,
        after_bytes: int | None = None,
        *,
        after_events: int | None = None,
        reset: bool = False,
    ) -> Answer:
        """Close the connection in the body, or with neither place before the body's end is told.

        `reset` sends a TCP reset instead of closing in order.
        """
        return self._at(Fault.RESET if reset else Fault.CUT, after_bytes, after_events)

    def end(self, after_bytes: int | None = None, *, after_events: int | None = None) -> Answer:
        """End the body early, as if it were complete: the framing is sound, the rest is missing."""
        return self._at(Fault.END, after_bytes, after_events)

    def stall(self, after_bytes: int | None = None, *, after_events: int | None = None) -> Answer:
        """Send so much, then wait for a release, or for the client to go away.

        With neither place all of the body is sent but not its end.
        """
        return self._at(Fault.STALL, after_bytes, after_events)

    def fail(
        self,
        type: str = "overloaded_error",  # noqa: A002 - the API's own name
        message: str = "Overloaded",
        *,
        after_events: int,
    ) -> Answer:
        """End a stream with an error event after so many others.  Leaves whole bodies alone."""
        failure = frame({"type": "error", "error": {"type": type, "message": message}})
        return replace(self, _failure=(after_events, failure))

    @property
    def fails_after(self) -> int | None:
        """After how many events the stream fails, if it does."""
        return self._failure[0] if self._failure else None

    def late(self) -> Answer:
        """Send nothing, the head included, before a release."""
        return replace(self, is_late=True)

    def drop(self, *, reset: bool = False) -> Answer:
        """Close the connection without an answer."""
        return replace(self, is_dropped=Fault.RESET if reset else Fault.CUT)

    def paced(self, interval: float) -> Answer:
        """Send one event, or piece, each `interval` seconds."""
        return replace(self, interval=interval)

    def pieces(self, offsets: Iterable[int]) -> Answer:
        """Write the body in pieces that begin at these offsets, a chunk each."""
        return replace(self, _offsets=tuple(offsets), _is_bytewise=False)

    def bytewise(self) -> Answer:
        """Write every byte of the body by itself."""
        return replace(self, _is_bytewise=True)

    def script(self, request: Request, framing: Framing | None = None) -> Script:
        """Return what is sent in answer to `request`; `framing` is for streams that are not SSE."""
        defaults, is_stream, pieces = self._content(request)
        if framing is not None and isinstance(self.content, Message | Stream) and is_stream:
            defaults, pieces = framing(pieces)
        given = {name.lower() for name, _ in self.headers}
        places = sorted((_resolved(place, pieces) for place in self._places), key=itemgetter(0))
        offsets = {offset for offset, _ in places}
        body = b"".join(pieces)
        if self._is_bytewise:
            pieces = tuple(body[at : at + 1] for at in range(len(body)))
        elif self._offsets:
            pieces = tuple(_cut(body, {*self._offsets, *offsets}))
        elif places:
            pieces = tuple(_cut(body, {*_starts(pieces), *offsets}))
        return Script(
            self.status,
            (*(pair for pair in defaults if pair[0] not in given), *self.headers),
            is_stream or any(fault is Fault.END for _, fault in places),
            pieces,
            tuple((offset, fault) for offset, fault in places),
            not (places or self._is_bytewise or self._offsets or self.interval),
            self.interval,
            self.is_late,
            self.is_dropped,
        )

    def _at(self, fault: Fault, after_bytes: int | None, after_events: int | None) -> Answer:
        if after_bytes is not None and after_events is not None:
            raise TypeError("a place is told in bytes or in events, not in both")
        return replace(self, _places=(*self._places, _Place(fault, after_bytes, after_events)))

    def _content(self, request: Request) -> tuple[HeaderPairs, bool, tuple[bytes, ...]]:
        """Return default headers, whether the body is chunked, and its events or one piece."""
        request_id = ("request-id", request.request_id)
        match self.content:
            case Message(members, deltas):
                complete = _complete(members, request)
                if not request.stream:
                    return (_JSON, request_id), False, (msgspec.json.encode(complete),)
                pieces = self._failing(frames(complete, deltas))
                return (*_EVENT_STREAM, request_id), True, pieces
            case Stream(given):
                return (*_EVENT_STREAM, request_id), True, self._failing(given)
            case Error(described):
                body = {"type": "error", "error": described, "request_id": request.request_id}
                return (_JSON, request_id), False, (msgspec.json.encode(body),)
            case Document(encoded):
                return (_JSON, request_id), False, (encoded,)
            case Raw(encoded):
                return (), ("transfer-encoding", "chunked") in self.headers, (encoded,)
        assert_never(self.content)

    def _failing(self, events: Iterable[bytes]) -> tuple[bytes, ...]:
        if self._failure is None:
            return tuple(events)
        count, failure = self._failure
        return (*list(events)[:count], failure)


def _complete(given: Mapping[str, Any], request: Request) -> dict[str, Any]:
    content = [
        {**block, "id": f"toolu_{request.message_id.removeprefix('msg_')}{index}"}
        if block["type"] == "tool_use" and block.get("id") is None
        else block
        for index, block in enumerate(given.get("content", ()))
    ]
    uses_tool = any(block["type"] == "tool_use" for block in content)
    return {
        "id": request.message_id,
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": "tool_use" if uses_tool else "end_turn",
        "stop_sequence": None,
        **{name: value for name, value in given.items() if name not in ("content", "usage")},
        "usage": {**_USAGE, **given.get("usage", {})},
    }


def _starts(pieces: Sequence[bytes]) -> list[int]:
    """Return the offset each piece starts at, and the offset of the end."""
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    return starts


def _resolved(place: _Place, pieces: Sequence[bytes]) -> tuple[int, Fault]:
    starts = _starts(pieces)
    if place.after_events is not None:
        return starts[min(place.after_events, len(pieces))], place.fault
    at = starts[-1] if place.after_bytes is None else min(place.after_bytes, starts[-1])
    return at, place.fault


def _cut(body: bytes, offsets: Iterable[int]) -> Iterable[bytes]:
    edges = sorted({0, len(body), *(at for at in offsets if 0 < at < len(body))})
    return [body[start:end] for start, end in pairwise(edges)]
