"""Which error a transport raises, and that it closes the connection as it does."""

from __future__ import annotations

import asyncio
import ssl

import anyio
import pytest

from llmroute.errors import StreamBrokenError, UnreachableError, UpstreamError
from llmroute.transport import Timeouts

from .exchange import OK, PROMPT, QUICK, fetch, get, read
from .peer import Peer

pytestmark = pytest.mark.anyio

SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def wait_for_close(peer: Peer) -> None:
    await peer.request()
    await peer.closed()


NO_ANSWERS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", id="half-a-head"),
    pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n", id="only-hints"),
    pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another-protocol"),
    pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="no-status"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", id="two-lengths"
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", id="negative-length"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        id="coded-twice",
    ),
    pytest.param(
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + OK,
        id="switched-protocols",
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000, id="endless-header"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"content-length: 0\r\n\r\n",
        id="too-many-headers",
    ),
]


@pytest.mark.parametrize("how", [Peer.close, Peer.end, Peer.reset], ids=["close", "end", "reset"])
@pytest.mark.parametrize("sent", NO_ANSWERS)
async def test_no_answer_is_unreachable(transport, serve, sent, how):
    async def script(peer):
        await peer.answer(sent)
        how(peer)
        await peer.closed()

    async with serve(script) as server:
        with pytest.raises(UnreachableError) as caught:
            await get(transport, server.url)
        await server.peers[0].gone.wait()

        assert str(caught.value).startswith(f"{server.url}: ")
        assert 502 == caught.value.status
        assert 1 == len(server.peers)


BROKEN = [
    pytest.param(SIZED + b"0123", b"0123", id="sized"),
    pytest.param(CHUNKED + b"4\r\n0123\r\n", b"0123", id="between-chunks"),
    pytest.param(CHUNKED + b"8\r\n0123", b"0123", id="within-a-chunk"),
    pytest.param(CHUNKED + b"4\r\n0123\r\n0\r\n", b"0123", id="before-the-last-line"),
    pytest.param(CHUNKED + b"4\r\n0123\r\nxyz\r\n", b"0123", id="no-chunk-size"),
]


@pytest.mark.parametrize("how", [Peer.close, Peer.end, Peer.reset], ids=["close", "end", "reset"])
@pytest.mark.parametrize(("sent", "body"), BROKEN)
async def test_a_cut_body_is_broken_after_what_came_of_it(transport, serve, sent, body, how):
    was_read = asyncio.Event()

    async def script(peer):
        await peer.answer(sent)
        # A reset may overtake what was sent before it.
        await was_read.wait()
        how(peer)
        await peer.closed()

    async with serve(script) as server:
        reply = await get(transport, server.url)

        assert body == await reply.receive()
        was_read.set()
        for _ in range(2):
            with pytest.raises(StreamBrokenError, match=server.url):
                await reply.receive()
        await server.peers[0].gone.wait()


COMPLETE = [
    pytest.param(b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 4\r\n\r\n0123", id="sized"),
    pytest.param(
        b"HTTP/1.1 103 Hi\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\n01\r\n2\r\n23\r\n0\r\nx: y\r\n\r\n",
        id="chunked",
    ),
]


@pytest.mark.parametrize("answer", COMPLETE)
async def test_an_answer_cut_anywhere_is_never_taken_for_a_whole_one(transport, serve, answer):
    cuts = iter(range(len(answer) + 1))

    async def script(peer):
        await peer.answer(answer[: next(cuts)])

    async with serve(script) as server:
        for cut in range(len(answer) + 1):
            received = b""
            try:
                reply = await get(transport, server.url)
                while piece := await reply.receive():
                    received += piece
            except UpstreamError:
                assert cut < len(answer)
                assert b"0123".startswith(received)
            else:
                assert len(answer) == cut
                assert b"0123" == received


# Connecting.


async def test_a_refused_connection_is_unreachable(transport, closed_port):
    with pytest.raises(UnreachableError, match=f"^http://127.0.0.1:{closed_port}: "):
        await get(transport, f"http://127.0.0.1:{closed_port}/secret?key=secret")


async def test_a_connection_that_does_not_stand_in_time_is_unreachable(transport, serve):
    # TCP connects; the handshake is never answered.
    async with serve(Peer.closed) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(UnreachableError, match="no connection within 0.05 s"):
            await get(transport, url, PROMPT._replace(connect=QUICK))
        await server.peers[0].gone.wait()


async def test_tls_with_a_trusted_certificate(transport, serve, server_tls):
    names = []
    server_tls.sni_callback = lambda _socket, name, _context: names.append(name)

    async def script(peer):
        while True:
            await peer.answer(SIZED, b"0123", b"01234567")

    async with serve(script, tls=server_tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert (200, b"012301234567") == await fetch(transport, url)
        assert (200, b"012301234567") == await fetch(transport, url)
        assert ["localhost"] == names


async def test_tls_until_the_connection_is_closed(transport, serve, server_tls):
    large = b"x" * 1_000_000
    async with serve(
        lambda peer: peer.answer(b"HTTP/1.1 200 OK\r\n\r\n" + large), tls=server_tls
    ) as server:
        reply = await get(transport, server.url)

        assert large == await read(reply)


async def test_tls_carries_a_large_body(transport, serve, server_tls):
    async with serve(lambda peer: peer.answer(OK), tls=server_tls) as server:
        large = bytes(range(256)) * 8_000
        reply = await transport.send("POST", server.url, [], (b"", memoryview(large)), PROMPT)

        assert b"ok" == await read(reply)
        assert server.requests[0].endswith(large)


async def test_an_unknown_authority_is_unreachable(serve, server_tls, any_transport):
    async with any_transport() as transport, serve(Peer.closed, tls=server_tls) as server:
        with pytest.raises(UnreachableError, match="its certificate is not trusted"):
            await get(transport, server.url)


async def test_a_certificate_for_another_name_is_unreachable(
    transport, serve, server_tls_elsewhere
):
    async with serve(Peer.closed, tls=server_tls_elsewhere) as server:
        with pytest.raises(UnreachableError, match="its certificate is not trusted"):
            await get(transport, server.url)


async def test_a_server_without_tls_is_unreachable_by_https(transport, serve):
    async def script(peer):
        await peer.read(5)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.closed()

    async with serve(script) as server:
        with pytest.raises(UnreachableError, match="no TLS"):
            await get(transport, server.url.replace("http:", "https:"))


async def test_no_error_tells_a_secret(transport, serve, closed_port, server_tls):
    async def cut(peer):
        await peer.answer(SIZED)

    async def call(url):
        url += "/path?key=SECRET"
        reply = await transport.send("POST", url, [(b"x-api-key", b"SECRET")], (), PROMPT)
        await reply.receive()

    async with serve(cut) as cutting, serve(lambda peer: peer.read(5)) as closing:
        urls = [
            f"http://127.0.0.1:{closed_port}",
            cutting.url,
            closing.url,
            closing.url.replace("http:", "https:"),
        ]
        for url in urls:
            with pytest.raises(UpstreamError) as caught:
                await call(url)
            text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
            assert "SECRET" not in text
            assert "path" not in text


# Time.


async def test_no_answer_in_time_is_unreachable(transport, serve):
    async with serve(wait_for_close) as server:
        with pytest.raises(UnreachableError, match="no answer within 0.05 s"):
            await get(transport, server.url, PROMPT._replace(first_byte=QUICK))
        await server.peers[0].gone.wait()

        assert 1 == len(server.peers)


async def test_no_answer_in_time_on_a_kept_connection_is_not_asked_for_again(transport, serve):
    async def script(peer):
        await peer.answer(OK)
        await wait_for_close(peer)

    async with serve(script) as server:
        await fetch(transport, server.url)
        with pytest.raises(UnreachableError, match="no answer within 0.05 s"):
            await get(transport, server.url, PROMPT._replace(first_byte=QUICK))
        await server.peers[0].gone.wait()

        assert 1 == len(server.peers)


async def test_a_silent_body_is_broken(transport, serve):
    async def script(peer):
        await peer.answer(SIZED + b"0123")
        await peer.closed()

    async with serve(script) as server:
        reply = await get(transport, server.url, PROMPT._replace(silence=QUICK))

        assert b"0123" == await reply.receive()
        with pytest.raises(StreamBrokenError, match="silent for 0.05 s"):
            await reply.receive()
        await server.peers[0].gone.wait()


async def test_a_slow_reader_is_not_taken_for_a_silent_upstream(transport, serve):
    go_on = asyncio.Event()

    async def script(peer):
        await peer.answer(SIZED + b"0123")
        await go_on.wait()
        await peer.send(b"01234567")

    async with serve(script) as server:
        reply = await get(transport, server.url, PROMPT._replace(silence=QUICK))
        assert b"0123" == await reply.receive()
        await anyio.sleep(3 * QUICK)
        go_on.set()

        assert b"01234567" == await reply.receive()


async def test_the_wait_for_a_head_does_not_shorten_the_wait_for_a_body(transport, serve):
    async def script(peer):
        await peer.answer(SIZED)
        await asyncio.sleep(3 * QUICK)
        await peer.send(b"012345678901")

    async with serve(script) as server:
        reply = await get(transport, server.url, PROMPT._replace(first_byte=QUICK))

        assert b"012345678901" == await read(reply)


async def test_no_limit_is_for_ever(transport, serve):
    async with serve(lambda peer: peer.answer(OK)) as server:
        reply = await get(transport, server.url, Timeouts(None, None, None))

        assert b"ok" == await read(reply)


# Letting go.


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def maybe_tls(request, server_tls) -> ssl.SSLContext | None:
    return server_tls if request.param else None


async def test_cancelling_the_wait_for_an_answer_closes_the_connection(transport, serve, maybe_tls):
    asked = asyncio.Event()

    async def script(peer):
        await peer.request()
        asked.set()
        await peer.closed()

    async with serve(script, tls=maybe_tls) as server, anyio.create_task_group() as tasks:
        tasks.start_soon(get, transport, server.url)
        await asked.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await server.peers[0].gone.wait()


async def test_cancelling_the_wait_for_a_body_closes_the_connection(transport, serve, maybe_tls):
    async def script(peer):
        await peer.answer(SIZED + b"0123")
        await peer.closed()

    async with serve(script, tls=maybe_tls) as server:
        reply = await get(transport, server.url)
        await reply.receive()
        with anyio.move_on_after(QUICK) as waiting:
            await reply.receive()
        await server.peers[0].gone.wait()

        assert waiting.cancelled_caught
        with pytest.raises(StreamBrokenError):
            await reply.receive()
        await reply.aclose()


async def test_cancelling_the_connecting_closes_the_connection(transport, serve):
    async with serve(Peer.closed) as server:
        with anyio.move_on_after(QUICK) as connecting:
            await get(transport, server.url.replace("http:", "https:"))
        await server.peers[0].gone.wait()

        assert connecting.cancelled_caught


async def test_letting_go_of_an_answer_closes_the_connection(transport, serve, maybe_tls):
    async def script(peer):
        await peer.answer(SIZED + b"0123")
        await peer.closed()

    async with serve(script, tls=maybe_tls) as server:
        reply = await get(transport, server.url)
        await reply.aclose()
        await server.peers[0].gone.wait()

        with pytest.raises(StreamBrokenError):
            await reply.receive()
        await reply.aclose()
