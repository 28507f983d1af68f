"""What the tests of transports say again and again."""

from __future__ import annotations

import random
from collections.abc import Awaitable

from llmroute.transport import Reply, Timeouts, Transport

QUICK = 0.05  # seconds; for waits that are meant to run out
PROMPT = Timeouts(10.0, 10.0, 10.0)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def get(transport: Transport, url: str, timeouts: Timeouts = PROMPT) -> Awaitable[Reply]:
    return transport.send("GET", url, [], (), timeouts)


async def read(reply: Reply) -> bytes:
    """Everything that is left of the body."""
    pieces = []
    while piece := await reply.receive():
        pieces.append(piece)
    return b"".join(pieces)


async def fetch(transport: Transport, url: str, method: str = "GET") -> tuple[int, bytes]:
    reply = await transport.send(method, url, [], (), PROMPT)
    return reply.status, await read(reply)


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def at_random(data: bytes) -> list[bytes]:
    cuts = sorted(random.Random(len(data)).sample(range(1, len(data)), 5))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


CUTS = [whole, bytewise, at_random]
