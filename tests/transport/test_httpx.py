"""What only the transport over httpx promises."""

from __future__ import annotations

import subprocess
import sys

import anyio
import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from llmroute.errors import StreamBrokenError, UnreachableError
from llmroute.transport.httpx import HttpxTransport

from .exchange import OK, PROMPT, QUICK, fetch, get, read
from .peer import Peer, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def answer_all(peer: Peer) -> None:
    while True:
        await peer.answer(OK)


async def test_a_client_that_was_brought_is_used_and_left_open(serve):
    seen = []

    async def note(request: httpx.Request) -> None:
        seen.append(str(request.url))

    async with serve(answer_all) as server, httpx.AsyncClient(event_hooks={"request": [note]}) as c:
        transport = HttpxTransport(c)
        assert (200, b"ok") == await fetch(transport, server.url)
        await transport.aclose()

        assert [server.url] == seen
        assert not c.is_closed
        with pytest.raises(RuntimeError, match="closed"):
            await get(transport, server.url)


async def test_a_client_s_own_defaults_do_not_reach_the_wire(serve):
    client = httpx.AsyncClient(
        headers={"x-own": "1"}, cookies={"own": "1"}, params={"own": "1"}, follow_redirects=True
    )
    moved = b"HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with serve(lambda peer: peer.answer(moved)) as server, client:
        reply = await get(HttpxTransport(client), server.url)

        assert 307 == reply.status
        assert [f"GET / HTTP/1.1\r\nhost: {server.url[7:]}\r\n\r\n".encode()] == server.requests


async def test_cookies_are_not_kept(serve):
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\nok"

    async def script(peer):
        while True:
            await peer.answer(answer)

    transport = HttpxTransport()
    async with serve(script) as server:
        await fetch(transport, server.url)
        await fetch(transport, server.url)
        await transport.aclose()

        assert server.requests[0] == server.requests[1]


@pytest.mark.parametrize("trust_env", [True, False])
async def test_proxies_of_the_environment_are_used_only_if_asked_for(serve, monkeypatch, trust_env):
    via = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nvia"
    async with serve(answer_all) as server, serve(lambda peer: peer.answer(via)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        transport = HttpxTransport(trust_env=trust_env)
        answer = await fetch(transport, server.url)
        await transport.aclose()

        assert (200, b"via" if trust_env else b"ok") == answer


async def test_many_requests_at_once_do_not_queue(serve):
    arrived = 0
    all_there = anyio.Event()

    async def script(peer):
        nonlocal arrived
        await peer.request()
        arrived += 1
        if arrived == 150:
            all_there.set()
        await all_there.wait()
        await peer.send(OK)

    transport = HttpxTransport()
    async with serve(script) as server:
        async with anyio.create_task_group() as tasks:
            for _ in range(150):
                tasks.start_soon(fetch, transport, server.url)
        await transport.aclose()


def test_trio():
    body = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"

    async def half(peer):
        await peer.answer(body)
        await peer.closed()

    async def main(url: str, half_url: str) -> None:
        transport = HttpxTransport()
        assert (200, b"ok") == await fetch(transport, url)
        assert (200, b"ok") == await fetch(transport, url)

        reply = await get(transport, half_url)
        assert b"half" == await reply.receive()
        with anyio.move_on_after(QUICK) as waiting:
            await reply.receive()
        assert waiting.cancelled_caught

        reply = await get(transport, half_url, PROMPT._replace(silence=QUICK))
        assert b"half" == await reply.receive()
        with pytest.raises(StreamBrokenError, match="silent"):
            await read(reply)

        reply = await get(transport, half_url)
        await reply.aclose()
        await transport.aclose()

    def gone(server: Server) -> list[bool]:
        return [peer.gone.is_set() for peer in server.peers]

    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(Server(answer_all).running()) as whole,
        portal.wrap_async_context_manager(Server(half).running()) as cut,
    ):
        anyio.run(main, whole.url, cut.url, backend="trio")
        for peer in cut.peers:
            portal.call(peer.gone.wait)

        assert 1 == len(whole.peers)
        assert [True, True, True] == gone(cut)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        pytest.param("llmroute.transport", ["httpx", "httptools", "asyncio"], id="the-seam"),
        pytest.param("llmroute.transport.direct", ["httpx"], id="direct"),
        pytest.param("llmroute.transport.httpx", ["httptools"], id="httpx"),
    ],
)
def test_no_transport_imports_the_other_s_library(module, unwanted):
    code = f"import sys, {module}; print([name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )

    assert "[]" == done.stdout.strip()


async def test_a_refused_proxy_is_unreachable(serve, closed_port):
    client = httpx.AsyncClient(proxy=f"http://127.0.0.1:{closed_port}")
    async with serve(answer_all) as server, client:
        with pytest.raises(UnreachableError, match="no connection"):
            await get(HttpxTransport(client), server.url)

        assert [] == server.peers


async def test_what_httpx_refuses_is_no_request_and_is_not_repeated(serve):
    async with serve(answer_all) as server:
        transport = HttpxTransport()
        with pytest.raises(ValueError, match="header") as caught:
            await transport.send("GET", server.url, [(b"x-api-key", b"SECRET ")], (), PROMPT)
        await transport.aclose()

        assert "SECRET" not in repr(caught.value)
