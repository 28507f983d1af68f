"""An answer in the caller's own format: it passes as it is, and is read beside."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from llmroute.errors import StreamBrokenError
from llmroute.messages.relay import Relay
from llmroute.messages.usage import Usage
from llmroute.providers import Decoder
from llmroute.wire.envelope import MALFORMED
from llmroute.wire.sse import frames, whole_events

__all__ = ["Verbatim"]


class Verbatim:
    """One streamed answer on its way through, with a `Relay`'s attributes.

    What the upstream sends leaves as it came, whole events at a time.  Its translation goes to a
    relay of its own, by which is known what the answer has come to.

    Attributes:
        error: The error that the upstream has told, in the Messages API's words.
    """

    __slots__ = ("_closed", "_decoder", "_hides", "_relay", "_rest", "error")

    def __init__(
        self, decoder: Decoder, relay: Relay, hides: Callable[[bytes], bool] | None
    ) -> None:
        """Prepare; `hides` tells by an event's data that it does not go on."""
        self._decoder = decoder
        self._relay = relay
        self._hides = hides
        self._rest = b""
        self._closed = False
        self.error: bytes | None = None

    @property
    def begun(self) -> bool:
        """Something of the message has passed."""
        return self._relay.begun

    @property
    def content(self) -> bool:
        """Some of what is answered has passed."""
        return self._relay.content

    @property
    def complete(self) -> bool:
        """The message has come to its end."""
        return self._relay.complete

    @property
    def usage(self) -> Usage:
        """As known so far."""
        return self._relay.usage

    @property
    def id(self) -> str:
        """The message's id; empty until known."""
        return self._relay.id

    @property
    def container(self) -> str:
        """The container's id, of which other formats know nothing."""
        return self._relay.container

    @property
    def refused(self) -> bool:
        """The model refused to answer."""
        return self._relay.refused

    def final(self) -> Usage:
        """What it has used, now that no more comes."""
        return self._relay.final()

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the events they complete.

        Raises:
            StreamBrokenError: They are no events of such an answer.
        """
        data = self._rest + data
        end = whole_events(data)
        self._rest, events = data[end:], data[:end]
        if not events:
            return b""
        self._relay.feed(self._decoder.feed(events))
        self.error = self._relay.error
        if self._hides is None:
            return events
        return b"".join([each.raw for each in frames(events) if not self._hides(each.data)])

    def close(self) -> bytes:
        """The upstream's stream is over; return a last event that only lacked its blank line.

        Raises:
            StreamBrokenError: The answer is not over.
        """
        if self._closed:
            return b""
        self._closed = True
        rest, self._rest = self._rest.rstrip(b"\r\n"), b""
        last = self.feed(rest + b"\n\n") if rest else b""
        self._relay.feed(self._decoder.close())
        if self.error is None and (error := self._relay.error) is not None:
            raise StreamBrokenError(_message(error))
        return last


def _message(error: bytes) -> str:
    try:
        return str(msgspec.json.decode(error)["error"]["message"])
    except (*MALFORMED, KeyError, TypeError):
        return "the stream ended before the message did"
