"""What only the direct transport promises."""

from __future__ import annotations

import asyncio
import gc
import warnings

import anyio
import pytest

from llmroute.errors import StreamBrokenError, UnreachableError
from llmroute.transport.direct import DirectTransport

from .exchange import OK, PROMPT, fetch, get, read
from .peer import Peer, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def direct():
    transport = DirectTransport(idle_seconds=0.05, max_idle=2)
    yield transport
    await transport.aclose()


async def answer_then_watch(peer: Peer) -> None:
    await peer.answer(OK)
    await peer.closed()


async def test_an_idle_connection_is_closed_in_time(direct, serve):
    async with serve(answer_then_watch) as server:
        await fetch(direct, server.url)
        await server.peers[0].gone.wait()


async def test_idle_connections_are_closed_each_in_its_own_time(direct, serve):
    async with serve(answer_then_watch) as one, serve(answer_then_watch) as two:
        await fetch(direct, one.url)
        await anyio.sleep(0.03)
        await fetch(direct, two.url)
        await one.peers[0].gone.wait()
        await two.peers[0].gone.wait()


async def test_no_more_than_so_many_connections_idle(direct, serve):
    go_on = asyncio.Event()

    async def script(peer):
        await peer.request()
        await go_on.wait()
        await peer.send(OK)
        await peer.closed()
        closed.append(peer)

    closed = []
    # One that keeps them long, so that what is closed is closed for their number.
    patient = DirectTransport(max_idle=2)
    async with serve(script) as server, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(fetch, patient, server.url)
        while len(server.peers) < 3:
            await asyncio.sleep(0)
        go_on.set()
        while not closed:
            await asyncio.sleep(0)

        assert 2 == len(patient._idle[server.url])
        await patient.aclose()


async def test_a_kept_connection_that_dies_in_mid_answer_is_not_replaced(direct, serve):
    async def script(peer):
        await peer.answer(OK)
        await peer.answer(b"HTTP/1.1 200 OK\r\n")

    async with serve(script) as server:
        await fetch(direct, server.url)
        with pytest.raises(UnreachableError):
            await get(direct, server.url)

        assert 1 == len(server.peers)


async def test_an_answer_is_seen_while_the_body_is_stuck(direct, serve):
    async def script(peer):
        await peer.head()
        peer.accept_slowly()
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async def source():
        while True:
            yield b"x" * 65536

    async with serve(script) as server:
        for body in ([b"x" * 50_000_000], source()):
            reply = await direct.send("POST", server.url, [], body, PROMPT)
            assert (413, b"no") == (reply.status, await read(reply))

        # Half a request is stuck in the first connection, so it cannot serve the second.
        assert 2 == len(server.peers)


async def test_a_body_that_goes_out_slowly_does_not_use_up_the_time_for_the_answer(direct, serve):
    total = 60_000_000

    async def script(peer):
        await peer.head()
        left = total
        while left:
            # Three times the limit in all.
            await asyncio.sleep(0.04)
            goal = max(left - total // 40, 0)
            while left > goal:
                left -= await peer.read(left - goal)
        await peer.send(OK)

    async with serve(script) as server:
        limits = PROMPT._replace(first_byte=0.5)
        reply = await direct.send("POST", server.url, [], [b"x" * total], limits)

        assert b"ok" == await read(reply)


async def test_two_tasks_may_not_wait_for_one_answer(direct, serve):
    async def script(peer):
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.closed()

    async with serve(script) as server:
        reply = await get(direct, server.url)
        waiting = asyncio.ensure_future(reply.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await reply.receive()
        waiting.cancel()
        await server.peers[0].gone.wait()


async def test_what_has_arrived_comes_as_one_piece(direct, serve):
    arrived = asyncio.Event()

    async def script(peer):
        await peer.answer(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n"
        )
        await arrived.wait()
        await peer.send(b"1\r\nd\r\n0\r\n\r\n")

    async with serve(script) as server:
        reply = await get(direct, server.url)
        received = [await reply.receive()]
        arrived.set()
        received += [await reply.receive(), await reply.receive()]

        assert [b"abc", b"d", b""] == received


async def test_endless_framing_without_a_body_ends_the_answer(direct, serve):
    async def script(peer):
        await peer.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        while True:
            await peer.send(b"x: " + b"y" * 10_000 + b"\r\n")
            await asyncio.sleep(0)

    async with serve(script) as server:
        reply = await get(direct, server.url, PROMPT._replace(silence=0.2))

        assert b"a" == await reply.receive()
        with pytest.raises(StreamBrokenError, match="silent"):
            await reply.receive()
        await reply.aclose()


async def test_closing_the_transport_ends_a_wait(direct, serve):
    async with serve(Peer.closed) as server:
        waiting = asyncio.ensure_future(get(direct, server.url))
        while not server.peers:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        await direct.aclose()

        with pytest.raises((UnreachableError, RuntimeError), match="closed"):
            await waiting


def test_a_transport_outlives_its_loop():
    transport = DirectTransport()

    async def once() -> tuple[int, bytes]:
        async with Server(answer_then_watch).running() as server:
            return await fetch(transport, server.url)

    with warnings.catch_warnings():
        # A loop that is gone leaves its connections to the garbage collector, which says so.
        warnings.simplefilter("ignore", ResourceWarning)
        assert [(200, b"ok")] * 2 == [asyncio.run(once()) for _ in range(2)]
        gc.collect()


async def test_a_long_body_in_the_same_read_is_no_long_head(direct, serve):
    body = b"x" * 200_000
    async with serve(
        lambda peer: peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + body)
    ) as server:
        assert (200, body) == await fetch(direct, server.url)


async def test_a_head_over_the_limit_is_refused_even_if_it_comes_at_once(direct, serve):
    head = b"HTTP/1.1 200 OK\r\nx: %b\r\ncontent-length: 0\r\n\r\n"
    async with serve(
        lambda peer: peer.answer(head % (b"y" * 65_000)),
        lambda peer: peer.answer(head % (b"y" * 66_000)),
    ) as server:
        assert (200, b"") == await fetch(direct, server.url)
        direct._idle.clear()
        with pytest.raises(UnreachableError, match="too long"):
            await get(direct, server.url)


async def test_a_long_row_of_interim_answers_is_refused(direct, serve):
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    async with serve(lambda peer: peer.answer(hint * 20_000 + OK)) as server:
        with pytest.raises(UnreachableError, match="too long"):
            await get(direct, server.url)
