"""Which connection a request goes over, and what holds it back."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator

import anyio
import pytest

from llmroute.errors import StreamBrokenError, UnreachableError
from llmroute.transport import Reply
from llmroute.transport.direct import DirectTransport

from .exchange import OK, PROMPT, QUICK, fetch, get, read
from .peer import Peer

pytestmark = pytest.mark.anyio


async def answer_all(peer: Peer) -> None:
    while True:
        await peer.answer(OK)


async def answer_once_and_close(peer: Peer) -> None:
    await peer.answer(OK)


# Kept connections.


async def test_one_request_after_another_takes_one_connection(transport, serve):
    async with serve(answer_all) as server:
        for _ in range(5):
            assert (200, b"ok") == await fetch(transport, server.url)

        assert [5] == [len(peer.requests) for peer in server.peers]


async def test_a_connection_is_free_once_its_answer_has_arrived_and_been_read(transport, serve):
    async with serve(answer_all) as server:
        reply = await get(transport, server.url)
        await read(reply)
        # `reply` is still held, and not closed.
        await fetch(transport, server.url)

        assert 1 == len(server.peers)


async def test_closing_a_reply_that_has_ended_leaves_the_connection_alone(transport, serve):
    async with serve(answer_all) as server:
        first = await get(transport, server.url)
        await read(first)
        second = await get(transport, server.url)
        await first.aclose()

        assert b"ok" == await read(second)
        assert 1 == len(server.peers)


async def test_requests_at_the_same_time_each_get_their_own_answer(transport, serve):
    async def echo(peer):
        while True:
            line = (await peer.request()).partition(b"\r\n")[0]
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(line), line))

    answers = {}

    async def ask(number):
        answers[number] = await fetch(transport, f"{server.url}/{number}")

    async with serve(echo) as server:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(ask, number)

        assert {n: (200, b"GET /%d HTTP/1.1" % n) for n in range(30)} == answers
        assert 30 >= len(server.peers)


async def test_origins_do_not_share_connections(transport, serve):
    async with serve(answer_all) as one, serve(answer_all) as two:
        for server in (one, two, one, two):
            await fetch(transport, server.url)

        assert [(1, 2), (1, 2)] == [(len(s.peers), len(s.requests)) for s in (one, two)]


async def test_a_connection_closed_while_idle_is_replaced_silently(transport, serve):
    async with serve(answer_once_and_close, answer_all) as server:
        assert (200, b"ok") == await fetch(transport, server.url)
        await asyncio.sleep(0)
        assert (200, b"ok") == await fetch(transport, server.url)

        assert [1, 1] == [len(peer.requests) for peer in server.peers]


async def test_the_end_of_one_answer_does_not_stop_the_clock_of_the_next(serve):
    class Eager(DirectTransport):
        """Sends another request the moment that a connection is free."""

        next: asyncio.Task[Reply] | None = None

        def release(self, connection):
            super().release(connection)
            quick = PROMPT._replace(first_byte=QUICK)
            self.next = asyncio.ensure_future(get(self, server.url, quick))

    async def answer_only_once(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.closed()

    async with serve(answer_only_once) as server, contextlib.aclosing(Eager()) as transport:
        await fetch(transport, server.url)

        with pytest.raises(UnreachableError, match="no answer within"):
            await transport.next
        assert 1 == len(server.peers)


async def close_on_second(peer: Peer) -> None:
    await peer.answer(OK)
    await peer.request()


async def reset_on_second(peer: Peer) -> None:
    await peer.answer(OK)
    await peer.request()
    peer.reset()


@pytest.mark.parametrize("script", [close_on_second, reset_on_second], ids=["close", "reset"])
async def test_a_kept_connection_that_dies_without_a_byte_is_replaced_once(
    transport, serve, script
):
    async with serve(script, answer_all) as server:
        await fetch(transport, server.url)
        body = (b"{", memoryview(b"}"))
        reply = await transport.send("POST", server.url, [(b"x", b"y")], body, PROMPT)

        assert b"ok" == await read(reply)
        assert 2 == len(server.peers)
        assert server.peers[0].requests[1] == server.peers[1].requests[0]


async def test_the_replacement_is_not_replaced(transport, serve):
    async with serve(close_on_second, Peer.request) as server:
        await fetch(transport, server.url)
        with pytest.raises(UnreachableError):
            await get(transport, server.url)

        assert 2 == len(server.peers)


async def test_a_fresh_connection_that_dies_is_not_replaced(transport, serve):
    async with serve(Peer.request) as server:
        with pytest.raises(UnreachableError):
            await get(transport, server.url)

        assert 1 == len(server.peers)


async def test_a_body_that_cannot_be_read_twice_is_not_sent_twice(transport, serve):
    async def once() -> AsyncIterator[bytes]:
        yield b"once"

    async with serve(close_on_second, answer_all) as server:
        await fetch(transport, server.url)
        with pytest.raises(UnreachableError):
            await transport.send("POST", server.url, [], once(), PROMPT)

        assert 1 == len(server.peers)


async def test_bytes_on_an_idle_connection_answer_no_request(transport, serve):
    go_on, sent = asyncio.Event(), asyncio.Event()

    async def script(peer):
        await peer.answer(OK)
        await go_on.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        sent.set()
        await peer.closed()

    async with serve(script, answer_all) as server:
        await fetch(transport, server.url)
        go_on.set()
        await sent.wait()

        assert (200, b"ok") == await fetch(transport, server.url)
        await server.peers[0].gone.wait()


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_an_ipv6_address(transport, serve):
    if not has_ipv6():
        # The address is read as one all the same, and not looked up as a name.
        with pytest.raises(UnreachableError, match=re.escape("http://[::1]:9: ")):
            await fetch(transport, "http://[::1]:9")
        return
    async with serve(answer_all, host="::1") as server:
        assert (200, b"ok") == await fetch(transport, server.url)
        assert f"\r\nhost: {server.url[7:]}\r\n".encode() in server.requests[0]


async def test_closing_the_transport_closes_every_connection(transport, serve):
    async def half(peer):
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await peer.closed()

    async def idle(peer):
        await peer.answer(OK)
        await peer.closed()

    async with serve(half, idle) as server:
        reply = await get(transport, server.url)
        await fetch(transport, server.url)
        await transport.aclose()
        for peer in server.peers:
            await peer.gone.wait()

        assert b"half" == await reply.receive()
        with pytest.raises(StreamBrokenError):
            await reply.receive()
        with pytest.raises(RuntimeError, match="closed"):
            await get(transport, server.url)
        await transport.aclose()


# Holding back.

PIECE = b"x" * 65536
PIECES = 1_000  # 64 MB, far more than sockets hold


async def test_a_slow_reader_holds_the_upstream_back(transport, serve):
    stalled = asyncio.Event()

    async def script(peer):
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(PIECE) * PIECES)
        await peer.answer(head)
        for _ in range(PIECES):
            sending = asyncio.ensure_future(peer.send(PIECE))
            done, _ = await asyncio.wait([sending], timeout=0.2)
            if not done:
                stalled.set()
            await sending

    async with serve(script) as server:
        reply = await get(transport, server.url)
        await stalled.wait()
        received = 0
        while piece := await reply.receive():
            received += len(piece)

        assert len(PIECE) * PIECES == received


async def test_a_slow_upstream_holds_the_body_s_source_back(transport, serve):
    drawn = 0
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        nonlocal drawn
        for _ in range(PIECES):
            drawn += 1
            yield PIECE

    async def script(peer):
        await peer.head()
        await go_on.wait()
        left = len(PIECE) * PIECES
        while left:
            left -= await peer.read(left)
        await peer.send(OK)

    headers = [(b"content-length", b"%d" % (len(PIECE) * PIECES))]
    async with serve(script) as server, anyio.create_task_group() as tasks:
        tasks.start_soon(transport.send, "POST", server.url, headers, source(), PROMPT)
        before = -1
        while drawn == 0 or drawn != before:
            before = drawn
            await anyio.sleep(0.1)
        assert drawn < PIECES / 2
        go_on.set()

    assert PIECES == drawn


async def test_a_body_that_is_not_taken_is_no_answer_in_time(transport, serve):
    async def script(peer):
        await peer.head()
        peer.accept_slowly()
        await asyncio.Event().wait()

    async with serve(script) as server:
        body = [PIECE] * PIECES
        with pytest.raises(UnreachableError, match=r"no answer within 0.3 s"):
            await transport.send("POST", server.url, [], body, PROMPT._replace(first_byte=0.3))


@pytest.mark.parametrize("known_length", [True, False], ids=["sized", "chunked"])
async def test_an_answer_that_comes_before_the_body_is_written(transport, serve, known_length):
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\n\r\ntoo large"

    async def script(peer):
        await peer.head()
        await peer.send(refusal)
        while await peer.read(2**20):
            pass
        peer.gone.set()

    async def source() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE
            await asyncio.sleep(0)

    async with serve(script) as server:
        body = [PIECE] * PIECES if known_length else source()
        reply = await transport.send("POST", server.url, [], body, PROMPT)

        assert (413, b"too large") == (reply.status, await read(reply))
        await transport.aclose()
        await server.peers[0].gone.wait()
