"""HTTP/1.1 over asyncio, as little of it as a gateway needs: the hot path."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterable
from math import inf
from typing import Final

from llmroute.errors import UnreachableError
from llmroute.transport import Body, Reply, Timeouts
from llmroute.transport._connection import Connection, DirectReply
from llmroute.transport._request import Target, head, target
from llmroute.transport._tls import verifying_context
from llmroute.wire.headers import Headers

__all__ = ["DirectTransport"]

_JOIN_BYTES: Final = 64 * 1024  # copying less than this costs less than a buffer more


class DirectTransport:
    """HTTP/1.1 over asyncio (or uvloop) and httptools, which the extra `proxy` brings.

    A connection is kept for the next request to its origin.  One that turns out to have been
    closed in the meantime is replaced, once and silently, if not a byte of an answer came and the
    body can be sent again.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        idle_seconds: float = 60.0,
        max_idle: int = 256,
    ) -> None:
        """Make a transport; it opens nothing before the first request.

        Args:
            ssl_context: Whom to trust; the machine's and certifi's roots if left out.
            idle_seconds: How long an unused connection is kept.
            max_idle: How many unused ones are kept for each origin; busy ones have no limit.
        """
        self._ssl_context = ssl_context
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        self._loop: asyncio.AbstractEventLoop | None = None
        # Dicts for their order: the last one in is the first one out, the first the oldest.
        self._idle: dict[str, dict[Connection, None]] = {}
        self._open: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._all_lost = asyncio.Event()
        self._trusting = asyncio.Lock()
        self._is_closed = False

    async def send(
        self, method: str, url: str, headers: Headers, body: Body, timeouts: Timeouts
    ) -> Reply:
        """Send one request; see `Transport`.

        Raises:
            UnreachableError: No connection, or no answer in time, or the connection broke first.
            ValueError: The request cannot be written as one: line breaks in a header, say.
        """
        to = target(url)
        _, lines, length = head(method, to, headers, body)
        start = b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method.encode(), to.path, lines)
        connection = self._take_idle(to.origin)
        reused = connection is not None
        while True:
            if connection is None:
                connection = await self._connect(to, timeouts.connect)
            reply = DirectReply(connection)
            connection.begin(reply, timeouts, bodyless=method == "HEAD")
            if isinstance(body, AsyncIterable):
                reused = False
                try:
                    await _write_pieces(connection, reply, start, body, length)
                except BaseException:
                    reply.abandon()
                    raise
            elif length is not None and length <= _JOIN_BYTES:
                connection.transport.write(b"".join((start, *body)))
            else:
                connection.transport.writelines((start, *body))
            while not reply.has_begun():
                await reply.wait(connection, timeouts.first_byte)
            if reply.status:
                return reply
            if reply.error is not None and not (reused and reply.stale):
                raise reply.error
            connection, reused = None, False

    async def aclose(self) -> None:
        """Close every connection, those in use too; later calls of `send` are refused."""
        self._is_closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        self._idle.clear()
        if self._open and self._loop is asyncio.get_running_loop():
            for connection in list(self._open):
                connection.fail("the transport was closed")
            await self._all_lost.wait()

    # What a connection calls.

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._open.add(connection)

    def forget(self, connection: Connection) -> None:
        """Do not hand out this connection again."""
        idle = self._idle.get(connection.origin)
        if idle is not None:
            idle.pop(connection, None)

    def lost(self, connection: Connection) -> None:
        """Take note that a connection is closed."""
        self.forget(connection)
        self._open.discard(connection)
        if self._is_closed and not self._open:
            self._all_lost.set()

    def release(self, connection: Connection) -> None:
        """Keep a connection whose answer has ended."""
        idle = self._idle.setdefault(connection.origin, {})
        if self._is_closed or len(idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = connection.loop.time()
        idle[connection] = None
        if self._reaper is None:
            self._reaper = connection.loop.call_later(self._idle_seconds, self._reap)

    # Connections.

    def _take_idle(self, origin: str) -> Connection | None:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise RuntimeError("the transport is closed")
        if loop is not self._loop:
            # The connections of a loop that is gone cannot be used, nor closed.
            self._loop = loop
            self._idle, self._open, self._reaper = {}, set(), None
            self._trusting = asyncio.Lock()
        idle = self._idle.get(origin)
        now = loop.time()
        while idle:
            connection, _ = idle.popitem()
            # uvloop's clock stands still between two looks at the sockets: a connection that
            # became idle at this very moment needs no look of ours.
            if connection.idle_since == now:
                return connection
            if now - connection.idle_since < self._idle_seconds and connection.is_quiet():
                return connection
            connection.abort()
        return None

    async def _tls(self) -> ssl.SSLContext:
        async with self._trusting:
            if self._ssl_context is None:
                self._ssl_context = await asyncio.to_thread(verifying_context)
        return self._ssl_context

    def _reap(self) -> None:
        """Close what has been idle for too long, and look again when the next one may be."""
        self._reaper = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        next_at = inf
        for origin, idle in list(self._idle.items()):
            for connection in list(idle):
                expires_at = connection.idle_since + self._idle_seconds
                if expires_at > now:
                    next_at = min(next_at, expires_at)
                    break
                del idle[connection]
                connection.abort()
            if not idle:
                del self._idle[origin]
        if next_at < inf:
            self._reaper = loop.call_at(next_at, self._reap)

    async def _connect(self, to: Target, seconds: float | None) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, to.origin, loop),
                    to.host,
                    to.port,
                    ssl=await self._tls() if to.tls else None,
                )
        except OSError as error:
            what = _connection_failure(error, seconds)
            raise UnreachableError(f"{to.origin}: {what}") from error
        if self._is_closed:
            connection.abort()
            raise RuntimeError("the transport is closed")
        return connection


async def _write_pieces(
    connection: Connection,
    reply: DirectReply,
    start: bytes,
    body: AsyncIterable[bytes],
    length: int | None,
) -> None:
    """Write a body as it comes, until all is written or an answer makes the rest pointless."""
    connection.sending = True
    written = 0
    connection.transport.write(start)
    async for piece in body:
        if reply.has_begun():
            return
        if not piece:
            continue  # as a chunk, it would end the body
        written += len(piece)
        if length is None:
            # Not `writelines`, which does not hold the source back on Python 3.12.0 to 3.12.8.
            connection.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        elif written <= length:
            connection.transport.write(piece)
        else:
            break
        while not (connection.writable or reply.has_begun()):
            await reply.wait(connection, connection.timeouts.first_byte)
    if length is None:
        connection.transport.write(b"0\r\n\r\n")
    elif written != length:
        raise ValueError("the body is not as long as its content-length")
    connection.sending = False


def _connection_failure(error: OSError, seconds: float | None) -> str:
    """Say what went wrong, without what the system's own words may give away or garble."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return f"no TLS ({error.reason or 'handshake failed'})"
        case TimeoutError() if seconds is not None and error.errno is None:
            return f"no connection within {seconds:g} s"
        case socket.gaierror():
            return "its name does not resolve"
        case ConnectionRefusedError():
            return "connection refused"
        case _:
            return f"no connection ({error.strerror or 'closed before it stood'})"
