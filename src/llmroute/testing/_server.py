"""A small HTTP/1.1 server on an event loop and a thread of its own.

It plays scripts, faults included, which no server made for serving lets one do.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias, cast

from llmroute.testing.answer import Fault, Script
from llmroute.testing.received import Received

__all__ = ["Respond", "Server"]

Respond: TypeAlias = Callable[[Received], Script]
"""Called on the server's thread once for every request, in order of arrival."""

_BACKLOG = 1024
_HEAD_LIMIT = 1 << 20
# A task takes the connection and makes its transport; we are told of it a turn later.
_TURNS_TO_ACCEPT = 3
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_BODILESS = frozenset({204, 304})
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time


class Server:
    """Listens from the start; serves between `start` and `stop`.

    Attributes:
        port: The port it listens on.
        connections: The connections that are open.
        connections_made: How many there have been.
        failures: What `respond` raised; the client got a 500.
    """

    def __init__(self, respond: Respond, port: int) -> None:
        self._respond = respond
        # The kernel takes connections from here on, so nobody has to wait for the thread.
        self._socket = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self.connections: set[_Connection] = set()
        self.connections_made = 0
        self.failures: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, name="llmroute-fake-upstream", daemon=True
        )

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the socket; return when the thread has ended."""
        self._call(self._stopped.set)
        self._thread.join()

    def release(self) -> None:
        """Let every answer under way past one stall."""
        self._call(self._release)

    def _call(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _release(self) -> None:
        for connection in self.connections:
            connection.permits.release()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        listener = await self._loop.create_server(lambda: _Connection(self), sock=self._socket)
        await self._stopped.wait()
        # asyncio leaves a connection open that it is just taking when the listener is closed.
        # (The loop of Windows takes connections without looking at the socket.)
        if isinstance(self._loop, asyncio.SelectorEventLoop):
            self._loop.remove_reader(self._socket)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        listener.close()
        talks = [connection.talk for connection in self.connections]
        for connection in self.connections:
            connection.abandon()
        await asyncio.gather(*talks, return_exceptions=True)
        await listener.wait_closed()

    def respond(self, received: Received) -> Script:
        """Ask for the answer to a request."""
        return self._respond(received)

    def lend_release(self, permits: asyncio.Semaphore) -> Callable[[], None]:
        """Return a function for other threads that releases `permits`."""
        return lambda: self._call(permits.release)


class _Connection(asyncio.Protocol):
    """One connection: reads a request, plays its answer, and so on."""

    transport: asyncio.Transport
    talk: asyncio.Task[None]

    def __init__(self, server: Server) -> None:
        self._server = server
        self._reader = asyncio.StreamReader(limit=_HEAD_LIMIT)
        self._writable = asyncio.Event()
        self._writable.set()
        self._current: Received | None = None
        self.permits = asyncio.Semaphore(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # asyncio sets it only on sockets that name their protocol, and this listener does not.
        raw: socket.socket = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # So that `_flushed` means what it says: nothing is left in this process.
        self.transport.set_write_buffer_limits(high=0)
        self._server.connections.add(self)
        self._server.connections_made += 1
        self.talk = asyncio.get_running_loop().create_task(self._talk())
        self.talk.add_done_callback(self._ended)

    def abandon(self) -> None:
        """Break the connection; the client will not be the one who closed it."""
        self._current = None
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._reader.feed_data(data)

    def eof_received(self) -> None:
        # A client that closes its half gets no answer: clients that go away look just like this.
        self.transport.abort()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        self._server.connections.discard(self)
        if self._current is not None and not self._current.done.is_set():
            self._current.closed_at = time.monotonic()
            self._current.closed.set()
        self.talk.cancel()

    def _ended(self, talk: asyncio.Task[None]) -> None:
        if not talk.cancelled() and (failure := talk.exception()) is not None:
            self._server.failures.append(failure)
            self._current = None  # the client will not be the one who closed
            self._write_plain(500, "answering failed in the test itself")
        self.transport.close()

    def _write_plain(self, status: int, text: str) -> None:
        body = text.encode()
        head = b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\nconnection: close\r\n"
        self.transport.write(
            head % (status, _REASONS[status]) + b"content-length: %d\r\n\r\n" % len(body) + body
        )

    async def _talk(self) -> None:
        while True:
            try:
                received = await self._receive()
            except (ValueError, asyncio.LimitOverrunError) as problem:
                self._write_plain(400, f"not HTTP/1.1: {problem}")
                return
            self._current = received
            script = self._server.respond(received)
            ends = await self._play(script, received)
            received.done.set()
            if ends or (received.header("connection") or "").lower() == "close":
                return

    async def _receive(self) -> Received:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        if version != "HTTP/1.1":
            raise ValueError(version)
        headers = []
        framing = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise ValueError("a header without a name")
            headers.append((name, value.strip(" \t")))
            framing[name.lower()] = value.strip(" \t").lower()
        if framing.get("expect") == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if framing.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self._reader.readexactly(int(framing.get("content-length", "0")))
        path, _, query = target.partition("?")
        self.permits = asyncio.Semaphore(0)
        release = self._server.lend_release(self.permits)
        return Received(method, path, query, tuple(headers), body, release)

    async def _chunks(self) -> bytes:
        chunks = []
        while size := int((await self._line()).partition(b";")[0], 16):
            chunks.append(await self._reader.readexactly(size))
            if await self._line():
                raise ValueError("a chunk longer than its size")
        while await self._line():
            pass  # trailers
        return b"".join(chunks)

    async def _line(self) -> bytes:
        return (await self._reader.readuntil(b"\r\n"))[:-2]

    async def _play(self, script: Script, received: Received) -> bool:
        """Send an answer; return whether the connection ends with it."""
        if script.is_late:
            await self.permits.acquire()
        if script.is_dropped is not None:
            self._break(script.is_dropped)
            return True
        head, ends = _head(script)
        if received.method == "HEAD":
            self.transport.write(head)
            return ends
        if script.together:
            received.sent = b"".join(script.pieces)
            body = b"".join(map(_chunk, script.pieces)) if script.chunked else received.sent
            self.transport.write(head + body + (b"0\r\n\r\n" if script.chunked else b""))
            await self._flushed()
            return ends
        self.transport.write(head)
        fault = await self._play_pieces(script, received)
        if fault in (Fault.CUT, Fault.RESET):
            self._break(fault)
            return True
        if script.chunked:
            self.transport.write(b"0\r\n\r\n")
            await self._flushed()
        return ends

    async def _play_pieces(self, script: Script, received: Received) -> Fault | None:
        """Send the body up to its end, or up to the fault that ends it, which is returned."""
        loop = asyncio.get_running_loop()
        faults = deque(script.faults)
        offset = 0
        due = loop.time()
        for piece in script.pieces:
            fault = await self._meet(faults, offset)
            if fault is not None:
                return fault
            # Also without an interval: others get their turn, and the piece its own packet.
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due, loop.time()) + script.interval
            offset += len(piece)
            received.sent += piece
            self.transport.write(_chunk(piece) if script.chunked else piece)
        return await self._meet(faults, offset)

    async def _meet(self, faults: deque[tuple[int, Fault]], offset: int) -> Fault | None:
        """Wait out the stalls up to `offset`; return the first fault there that is none."""
        await self._flushed()
        while faults and faults[0][0] <= offset:
            fault = faults.popleft()[1]
            if fault is not Fault.STALL:
                return fault
            await self.permits.acquire()
        return None

    async def _flushed(self) -> None:
        await self._writable.wait()

    def _break(self, fault: Fault) -> None:
        if fault is Fault.RESET:
            raw: socket.socket = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def _head(script: Script) -> tuple[bytes, bool]:
    """Return an answer's head, and whether it ends the connection."""
    given = {name.lower(): value for name, value in script.headers}
    framing: tuple[tuple[str, str], ...] = ()
    if script.chunked:
        if "transfer-encoding" not in given:
            framing = (("transfer-encoding", "chunked"),)
    elif "content-length" not in given and script.status not in _BODILESS:
        framing = (("content-length", str(sum(map(len, script.pieces)))),)
    lines = "".join(f"{name}: {value}\r\n" for name, value in (*script.headers, *framing))
    reason = _REASONS.get(script.status, b"")
    head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (script.status, reason, lines.encode("latin-1"))
    return head, given.get("connection", "").lower() == "close"
