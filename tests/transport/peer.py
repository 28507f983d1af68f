"""A server that does to a client what a script says, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection.

    Attributes:
        requests: Every whole request that came, byte for byte.
        gone: Set once the client has closed the connection, or broken it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()

    async def request(self) -> bytes:
        """Read one request to its end and return it as it came."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = b""
        if sized := re.search(rb"\r\ncontent-length: (\d+)\r\n", head):
            body = await self._reader.readexactly(int(sized[1]))
        elif b"\r\ntransfer-encoding: chunked\r\n" in head:
            while not body.endswith(b"0\r\n\r\n"):
                body += await self._reader.readline()
        self.requests.append(head + body)
        return head + body

    async def head(self) -> bytes:
        """Read no more than the head of a request."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, *pieces: bytes) -> None:
        """Send each piece by itself, with a chance for the client to read it."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def answer(self, *pieces: bytes) -> None:
        """Read a request, then send the pieces."""
        await self.request()
        await self.send(*pieces)

    async def closed(self) -> None:
        """Wait until the client has closed the connection."""
        with contextlib.suppress(OSError):
            while await self._reader.read(65536):
                pass
        self.gone.set()

    async def read(self, count: int) -> int:
        """Read up to so many bytes of whatever comes; return how many came."""
        return len(await self._reader.read(count))

    def end(self) -> None:
        """Say that nothing more will be sent, and keep listening."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Close with an RST, as a machine does that has crashed."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def accept_slowly(self) -> None:
        """Stop reading, so that the client's writes come to a halt."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]


class Server:
    """A listener whose n-th connection runs the n-th script, the last one again and again.

    Attributes:
        url: Where it listens.
        peers: Every connection so far, in order.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.peers: list[Peer] = []

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
        self.peers.append(peer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # A client that goes away in mid-script is not the script's failure.
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await script(peer)
        finally:
            self._tasks.discard(task)
            writer.close()

    @contextlib.asynccontextmanager
    async def running(
        self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Server]:
        listener = await asyncio.start_server(
            self._accept, host, 0, ssl=tls, limit=2**20, backlog=512
        )
        port = listener.sockets[0].getsockname()[1]
        authority = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{authority}:{port}"
        try:
            yield self
        finally:
            listener.close()
            for task in tuple(self._tasks):
                task.cancel()
            while self._tasks:
                await asyncio.sleep(0)

    @property
    def requests(self) -> list[bytes]:
        return [request for peer in self.peers for request in peer.requests]
