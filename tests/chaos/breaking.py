"""An upstream that fails at any byte of what it writes, HTTP's own bytes included."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Self, TypeAlias

__all__ = ["JUNK", "MANNERS", "Breaking", "Ending", "Framing", "Manner", "Play", "Wire", "broken"]

Framing: TypeAlias = Literal["chunked", "length", "until_closed"]
Ending: TypeAlias = Literal["keep", "close", "reset", "stall"]
Manner: TypeAlias = Literal["close", "reset", "stall", "noise", "short", "garbage"]

MANNERS: tuple[Manner, ...] = ("close", "reset", "stall", "noise", "short", "garbage")
"""What goes wrong at a byte.

The connection is closed, or reset; nothing more comes; what comes is no HTTP any more; the body
ends there, and HTTP says it is whole; or it ends in what is no JSON and no event, likewise.
"""

JUNK = b'\xff\xfe\x00<html>502</html>\n\n{"type":"mess\n\n'

_LINGER = struct.pack("ii", 1, 0)  # on, for no time: closing is a reset
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LONGEST_STALL = 15.0  # seconds


class Wire:
    """An answer as it is on the wire.

    Attributes:
        data: All of its bytes.
        ends: Whether the connection ends with it.
    """

    def __init__(self, pieces: Sequence[bytes], framing: Framing, content_type: str) -> None:
        """Frame a body, in chunks as they are given or as one."""
        self.ends = framing == "until_closed"
        lines = [f"content-type: {content_type}", "request-id: req_chaos"]
        match framing:
            case "chunked":
                lines.append("transfer-encoding: chunked")
            case "length":
                lines.append(f"content-length: {sum(map(len, pieces))}")
            case "until_closed":
                lines.append("connection: close")
        written = ["\r\n".join(("HTTP/1.1 200 OK", *lines, "", "")).encode()]
        self._body: list[tuple[int, bytes]] = []
        for piece in filter(None, pieces):
            if framing == "chunked":
                written.append(b"%x\r\n" % len(piece))
            self._body.append((sum(map(len, written)), piece))
            written.append(piece)
            if framing == "chunked":
                written.append(b"\r\n")
        if framing == "chunked":
            written.append(b"0\r\n\r\n")
        self.data = b"".join(written)

    def sent(self, at: int) -> bytes:
        """Return what of the body is among the first `at` bytes."""
        return b"".join(piece[: max(0, at - start)] for start, piece in self._body)

    def edges(self) -> set[int]:
        """Return where pieces of the body end, one byte before, and one after."""
        found = {0, len(self.data)}
        for start, piece in self._body:
            found.add(start + len(piece))
        near = {at + step for at in found for step in (-1, 0, 1)}
        return {at for at in near if 0 <= at <= len(self.data)}


class Play(NamedTuple):
    """What the upstream writes, in such pieces, and what it does then."""

    pieces: tuple[bytes, ...]
    ending: Ending


def broken(
    wire: Wire, at: int, manner: Manner, reframed: Callable[[bytes], Wire], dice: random.Random
) -> tuple[Play, bytes]:
    """Return how an answer breaks at a byte, and the body that a client could have made of it.

    `reframed` puts another body on the wire, for one that ends early and says it is whole.
    """
    body = wire.sent(at)
    ending: Ending = "close" if wire.ends else "keep"
    data = wire.data[:at]
    match manner:
        case "close" | "reset" | "stall":
            ending = manner
        case "noise":
            data, body, ending = data + JUNK, body + JUNK, "close"
        case "short":
            data = reframed(body).data
        case "garbage":
            body += JUNK
            data = reframed(body).data
    places = sorted(
        {0, len(data), *(dice.randrange(len(data) + 1) for _ in range(dice.randrange(3)))}
    )
    return Play(tuple(data[a:b] for a, b in pairwise(places)), ending), body


class Breaking:
    """Serves any number of addresses on one port; an async context manager.

    Attributes:
        port: Where it listens.
        left_open: How many stalled connections the proxy did not give up in time.
    """

    port: int

    def __init__(self, choose: Callable[[bytes, bytes], Play]) -> None:
        """Play what `choose` returns for the path and the body of a request."""
        self.left_open = 0
        self._choose = choose
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        async with asyncio.timeout(5):
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy closed
        except TimeoutError:
            self.left_open += 1
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and play its answer; return whether another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        play = self._choose(head.split(b" ", 2)[1], body)
        for piece in play.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # so that it goes out by itself
        match play.ending:
            case "reset":
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                writer.transport.abort()
            case "stall":
                async with asyncio.timeout(_LONGEST_STALL):
                    await reader.read()
        return play.ending == "keep"
