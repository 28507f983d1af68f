"""One connection of the direct transport, and the reply it is busy with.

The reply owns what has arrived, so that a connection whose answer has ended serves the next request
while the last answer is still being read.
"""

from __future__ import annotations

import asyncio
import select
import sys
from math import inf
from typing import Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from llmroute.errors import StreamBrokenError, UnreachableError, UpstreamError
from llmroute.transport import Timeouts
from llmroute.wire.headers import Headers

__all__ = ["Connection", "DirectReply", "Pool"]

MAX_HEAD_BYTES: Final = 64 * 1024  # of an answer, 1xx answers before it included
MAX_UNREAD_BYTES: Final = 256 * 1024  # then the upstream is made to wait

TOO_LONG = "the head of the answer is too long"

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_NO_BODY = frozenset({204, 304})


class Pool(Protocol):
    """What a connection tells of itself."""

    def opened(self, connection: Connection) -> None:
        """It stands."""

    def release(self, connection: Connection) -> None:
        """Its answer has ended, and it may serve another."""

    def forget(self, connection: Connection) -> None:
        """It must not be handed out again."""

    def lost(self, connection: Connection) -> None:
        """It is closed."""


class DirectReply:
    """What has arrived of one answer; `connection` is `None` once there is no more to come."""

    __slots__ = ("chunks", "connection", "error", "headers", "stale", "status", "waiter")

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.chunks: list[bytes] = []
        self.connection: Connection | None = connection
        self.error: UpstreamError | None = None
        self.stale = False
        self.waiter: asyncio.Future[None] | None = None

    async def receive(self) -> bytes:
        chunks = self.chunks
        while not chunks:
            connection = self.connection
            if connection is None:
                if self.error is not None:
                    raise self.error
                return b""
            await self.wait(connection, connection.timeouts.silence)
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self.connection is not None:
            self.connection.was_read()
        return data

    async def aclose(self) -> None:
        self.chunks.clear()
        self.abandon()

    def has_begun(self) -> bool:
        """Whether the answer's head has arrived, or never will."""
        return self.status != 0 or self.connection is None

    async def wait(self, connection: Connection, seconds: float | None) -> None:
        """Wait for the connection to report; being cancelled closes it."""
        if self.waiter is not None:
            raise RuntimeError("another task is waiting for this answer already")
        self.waiter = connection.loop.create_future()
        connection.expect_within(seconds)
        try:
            await self.waiter
        except BaseException:
            self.waiter = None
            self.abandon()
            raise
        if self.connection is not None:
            # Else it may be another reply's by now, and the clock that one's.
            connection.expect_within(None)

    def wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def abandon(self) -> None:
        """Close the connection at once, if the answer has not ended."""
        connection = self.connection
        if connection is not None:
            self.connection = None
            self.error = StreamBrokenError(f"{connection.origin}: the answer was let go of")
            connection.abort()
            self.wake()


class Connection(asyncio.Protocol):
    """One connection: asyncio's protocol, and httptools' callbacks.

    The callbacks only take notes.  `data_received` draws the conclusions once the parser has
    returned, so that an answer is never handed out before what came with it was looked at.
    """

    __slots__ = (
        "_bodyless",
        "_deadline",
        "_ended",
        "_fault",
        "_fields",
        "_framing",
        "_head_bytes",
        "_parser",
        "_pool",
        "_reading",
        "_reply",
        "_reusable",
        "_socket",
        "_timer",
        "_timer_at",
        "_unread_bytes",
        "_unwritten_bytes",
        "idle_since",
        "loop",
        "origin",
        "sending",
        "timeouts",
        "transport",
        "writable",
    )

    transport: asyncio.Transport

    def __init__(self, pool: Pool, origin: str, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.loop = loop
        self.idle_since = -inf
        self.timeouts = Timeouts()
        self.writable = True
        self._pool = pool
        self._parser = HttpResponseParser(self)
        # An answer with both lengths is read as RFC 9112, section 6.3 has it, chunks first, and
        # its connection closed.  Without this, httptools refuses it.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._reply: DirectReply | None = None
        self._reading = True
        self._unwritten_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._deadline = inf

    def begin(self, reply: DirectReply, timeouts: Timeouts, *, bodyless: bool) -> None:
        """Make ready for the answer to the request that is about to be written."""
        self._reply = reply
        self.timeouts = timeouts
        self.sending = False
        self._bodyless = bodyless
        self._fields: list[tuple[bytes, bytes]] = []
        self._framing: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._unread_bytes = 0
        self._fault = ""
        self._ended = False
        self._reusable: bool | None = None

    def is_quiet(self) -> bool:
        """Whether the connection stands, and nothing waits in it that answers no request.

        The loop reports both, but only once it has looked; this looks.
        """
        return not (self.transport.is_closing() or _is_readable(self._socket))

    def expect_within(self, seconds: float | None) -> None:
        """Start the clock of the current wait.

        One timer serves all waits of a connection: it is moved only if it would ring too late, and
        looks for itself what there is to do when it rings.
        """
        if seconds is None:
            self._deadline = inf
            return
        self._deadline = deadline = self.loop.time() + seconds
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = self.loop.call_at(deadline, self._ring)

    def was_read(self) -> None:
        """The reply's reader has taken all there was."""
        self._unread_bytes = 0
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

    def abort(self) -> None:
        """Close at once; what was not written is lost.  May be repeated."""
        self._reply = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.transport.abort()

    def fail(self, what: str) -> None:
        """Close at once, and tell the reply why."""
        reply = self._reply
        if reply is not None:
            kind = StreamBrokenError if reply.status else UnreachableError
            reply.error = kind(f"{self.origin}: {what}")
            reply.stale = not (reply.status or self._head_bytes)
            reply.connection = None
            reply.wake()
        self.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket").fileno()
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            # Nobody asked for it, so whatever follows would answer the wrong request.
            self._pool.forget(self)
            self.abort()
            return
        in_head = not reply.status
        if in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._ended:
                self.fail("the answer is not HTTP/1.1")
                return
            self._reusable = False
        if self._fault:
            self.fail(self._fault)
        elif not reply.status:
            self._check_head()
        elif self._ended:
            self._finish(reply)
        else:
            self._unread_bytes += len(data)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self._reading = False
                self.transport.pause_reading()
            # Framing alone is no news to a reader, nor an end to the silence.
            if in_head or reply.chunks:
                self._deadline = inf
                reply.wake()

    def eof_received(self) -> None:
        reply = self._reply
        if reply is not None and reply.status and not self._framing:
            self._reusable = False
            self._finish(reply)
        else:
            self._pool.forget(self)
            self.fail("the connection was closed")

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.lost(self)
        self.fail("the connection was reset" if error else "the connection was closed")

    def pause_writing(self) -> None:
        self.writable = False
        self._unwritten_bytes = self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        self.writable = True
        if self._reply is not None and not self._reply.status:
            if self.sending:
                self._reply.wake()
            else:
                self.expect_within(self.timeouts.first_byte)

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._ended:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        reply = self._reply
        if reply is None or reply.status:
            return
        status = self._parser.get_status_code()
        fields = self._fields
        self._fields = []  # for trailers, which nobody asks for
        self._framing = [field for field in fields if field[0] in _FRAMING]
        self._fault = self._fault_of_head(status, fields)
        if self._fault or status < 200:
            return
        reply.headers = fields
        reply.status = status
        self._bodyless = self._bodyless or status in _NO_BODY
        self._ended = self._bodyless

    def on_body(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or self._ended:
            self._reusable = False
        else:
            reply.chunks.append(data)

    def on_message_complete(self) -> None:
        reply = self._reply
        if reply is None or not reply.status:
            return  # an interim answer
        self._ended = True
        if self._reusable is None:
            self._reusable = len(self._framing) < 2 and self._parser.should_keep_alive()

    # What follows.

    def _check_head(self) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:
            self.fail(TOO_LONG)

    def _fault_of_head(self, status: int, fields: list[tuple[bytes, bytes]]) -> str:
        """Say why the answer cannot be trusted; the parser has found nothing wrong with it."""
        if status < 200 and (status == 101 or self._framing):
            return f"an interim answer ({status}) that cannot be"
        for name, value in self._framing:
            if name == b"transfer-encoding" and value.lower() != b"chunked":
                return "the answer has a transfer-encoding that is not chunked"
        # One read may have brought most of these bytes as body.
        if self._head_bytes > MAX_HEAD_BYTES and sum(map(_size, fields)) > MAX_HEAD_BYTES:
            return TOO_LONG
        return ""

    def _finish(self, reply: DirectReply) -> None:
        """The answer has ended: hand the connection back, if the next answer will be the next."""
        self._reply = None
        self._deadline = inf
        reply.connection = None
        if (
            self._reusable
            and self._reading
            and not self.sending
            and self.writable
            and not self.transport.get_write_buffer_size()
        ):
            self._pool.release(self)
        else:
            self.abort()
        reply.wake()

    def _ring(self) -> None:
        self._timer = None
        self._timer_at = inf
        reply = self._reply
        if reply is None or self._deadline == inf:
            return  # nobody waits
        if self.loop.time() < self._deadline:
            self.expect_within(self._deadline - self.loop.time())
            return
        unwritten = 0 if self.writable else self.transport.get_write_buffer_size()
        if unwritten < self._unwritten_bytes and not self.writable:
            # Slow, but the request is still going out: the wait for its answer has not begun.
            self._unwritten_bytes = unwritten
            self.expect_within(self.timeouts.first_byte)
        elif reply.status:
            self.fail(f"silent for {self.timeouts.silence:g} s")
        else:
            self.fail(f"no answer within {self.timeouts.first_byte:g} s")
            reply.stale = False  # asking again would double the wait


def _size(field: tuple[bytes, bytes]) -> int:
    return len(field[0]) + len(field[1])


def _is_readable(descriptor: int) -> bool:
    if sys.platform == "win32":
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()  # knows no highest descriptor
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
