"""The beginning of a Messages event stream, where its server leaves it out."""

from __future__ import annotations

from llmroute.messages.call import Call
from llmroute.translate.events import EventWriter
from llmroute.translate.names import digest
from llmroute.wire.sse import frames, whole_events

__all__ = ["OpeningDecoder"]

_OF_A_MESSAGE = (b"message_", b"content_block_")


class OpeningDecoder:
    """Passes a stream on as it is, with a `message_start` before it where it has none.

    llama.cpp's server writes that event together with the first token, and neither where the token
    is a part of a character only, as those of an emoji are; such an answer begins with its first
    block.  (Measured, `make test-real`.)
    """

    __slots__ = ("_call", "_held", "_is_open")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._held = b""
        self._is_open = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return them, whole events only until the message has begun."""
        if self._is_open:
            return data
        held = self._held + data
        end = whole_events(held)
        names = [frame.event for frame in frames(held[:end])]
        first = next((name for name in names if name.startswith(_OF_A_MESSAGE)), b"")
        if not first:
            self._held = held[end:]
            return held[:end]
        self._is_open, self._held = True, b""
        return held if first == b"message_start" else self._start() + held

    def close(self) -> bytes:
        """The stream has ended; return what is left of it."""
        held, self._held = self._held, b""
        return held

    def _start(self) -> bytes:
        own = f"msg_{digest(bytes(self._call.body))}"
        tokens = self._call.input_tokens
        return EventWriter(self._call.model, message_id=own, input_tokens=tokens).start()
