"""The seam to the network: one method that sends a request and returns a reply.

Two implementations pass one conformance suite and put the same bytes on the wire:
`DirectTransport`, HTTP/1.1 over asyncio for the hot path, and `HttpxTransport`, for whatever
needs an HTTP proxy, another event loop, or a client the user brings.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from llmroute.wire.headers import Headers

__all__ = ["Body", "Reply", "Timeouts", "Transport"]

Body: TypeAlias = Sequence[bytes | memoryview] | AsyncIterable[bytes]
"""Buffers written one after the other (their lengths make `content-length`), or an async iterable
(chunked, unless the headers hold a `content-length`)."""


class Timeouts(NamedTuple):
    """How long to wait, in seconds; `None` is for ever."""

    connect: float | None = 10.0  # until the connection, TLS included, stands
    first_byte: float | None = 600.0  # from the request written to the head of the answer
    silence: float | None = 600.0  # between two reads of the answer's body


class Reply(Protocol):
    """The head of an answer that has arrived, and its body on demand.

    Attributes:
        status: The HTTP status; 1xx answers are skipped.
        headers: As sent, in order, names in lower case; hop-by-hop ones included.
    """

    status: int
    headers: Headers

    async def receive(self) -> bytes:
        """Return what of the body has arrived, waiting for at least one byte; `b""` at its end.

        The bytes are the body's own (chunked framing removed), undecoded if `content-encoding`
        is set.  Once the body has ended the connection goes back to its pool by itself.

        Raises:
            StreamBrokenError: The connection broke, or was silent too long, before the end.
        """

    async def aclose(self) -> None:
        """Let go of the answer; an unread rest closes the connection at once. May be repeated."""


class Transport(Protocol):
    """Sends requests.  Safe to use from many tasks of one event loop."""

    async def send(
        self, method: str, url: str, headers: Headers, body: Body, timeouts: Timeouts
    ) -> Reply:
        """Send one request and return once the head of the answer has arrived.

        `host` and the framing headers are the transport's; everything else in `headers` goes out
        as given, in order.  Cancelling closes the connection.  Redirects are not followed.

        Raises:
            UnreachableError: No connection, or no answer in time, or the connection broke first.
        """

    async def aclose(self) -> None:
        """Close every connection."""
