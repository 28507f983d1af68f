"""What a transport makes of an answer, however its bytes are cut."""

from __future__ import annotations

import asyncio

import pytest

from .exchange import CUTS, OK, fetch, get, read

pytestmark = pytest.mark.anyio


ANSWERS = [
    # method, what the server sends, whether it closes then, status, body, whether the next
    # request goes over the same connection
    pytest.param("GET", OK, False, 200, b"ok", True, id="sized"),
    pytest.param("GET", OK, True, 200, b"ok", False, id="sized-then-closed"),
    pytest.param(
        "GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0A\r\n0123456789\r\n"
        b"0\r\n\r\n",
        False,
        200,
        b"ok0123456789",
        True,
        id="chunked",
    ),
    pytest.param(
        "GET",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n"
        b"x-checksum: 1\r\n\r\n",
        False,
        200,
        b"ok",
        True,
        id="chunk-extension-and-trailer",
    ),
    pytest.param(
        "GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", False, 200, b"", True, id="empty"
    ),
    pytest.param(
        "GET", b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", False, 204, b"", True, id="no-content"
    ),
    pytest.param("GET", b"HTTP/1.1 200 \r\n\r\nok", True, 200, b"ok", False, id="until-closed"),
    pytest.param(
        "GET",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        False,
        200,
        b"ok",
        False,
        id="connection-close",
    ),
    pytest.param(
        "GET",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        False,
        200,
        b"ok",
        False,
        id="http-1.0",
    ),
    pytest.param(
        "GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + OK,
        False,
        200,
        b"ok",
        True,
        id="interim-answers",
    ),
    pytest.param(
        "GET",
        b"HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\nno",
        False,
        429,
        b"no",
        True,
        id="error-status",
    ),
    pytest.param(
        "GET",
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        False,
        302,
        b"",
        True,
        id="redirect-is-not-followed",
    ),
    pytest.param(
        "GET",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08z",
        False,
        200,
        b"\x1f\x8b\x08z",
        True,
        id="encoded-is-not-decoded",
    ),
]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("method", "answer", "closes", "status", "body", "reused"), ANSWERS)
async def test_answers(transport, serve, method, answer, closes, status, body, reused, cut):
    async def script(peer):
        while True:
            await peer.answer(*cut(answer))
            if closes:
                return

    async with serve(script) as server:
        assert (status, body) == await fetch(transport, server.url, method)
        assert (status, body) == await fetch(transport, server.url, method)
        assert [1, 2][not reused] == len(server.peers)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", id="head-sized"),
        pytest.param("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", id="head-until-closed"),
        pytest.param(
            "HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", id="head-chunked"
        ),
        pytest.param("GET", b"HTTP/1.1 304 Not\r\ncontent-length: 9\r\n\r\n", id="not-modified"),
        pytest.param("GET", b"HTTP/1.1 204 No\r\ncontent-length: 9\r\n\r\n", id="no-content"),
    ],
)
async def test_a_length_without_a_body_is_not_waited_for(transport, serve, method, answer):
    async def script(peer):
        while True:
            await peer.answer(answer)

    # Whether the connection serves again is the transport's choice; that it does right is not.
    async with serve(script) as server:
        status = int(answer[9:12])
        assert (status, b"") == await fetch(transport, server.url, method)
        assert (status, b"") == await fetch(transport, server.url, method)


async def test_headers_keep_their_order_and_bytes_and_lose_their_capitals(transport, serve):
    answer = b"HTTP/1.1 200 OK\r\nB: 1\r\nA-b:  two \r\nb: \xe9\r\nContent-Length: 0\r\n\r\n"
    async with serve(lambda peer: peer.answer(answer)) as server:
        reply = await get(transport, server.url)

        expected = [(b"b", b"1"), (b"a-b", b"two"), (b"b", b"\xe9"), (b"content-length", b"0")]
        assert expected == list(reply.headers)


async def test_trailers_and_interim_headers_are_not_among_the_headers(transport, serve):
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nearly: 1\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nlate: 1\r\n\r\n"
    )
    async with serve(lambda peer: peer.answer(answer)) as server:
        reply = await get(transport, server.url)
        await read(reply)

        assert [(b"transfer-encoding", b"chunked")] == list(reply.headers)


async def test_pieces_are_handed_on_as_they_come(transport, serve):
    go_on = asyncio.Event()

    async def script(peer):
        await peer.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"):
            await go_on.wait()
            go_on.clear()
            await peer.send(piece)

    async with serve(script) as server:
        reply = await get(transport, server.url)
        received = []
        for _ in range(3):
            go_on.set()
            received.append(await reply.receive())

        assert [b"one", b"two", b""] == received


async def test_the_end_of_a_body_may_be_asked_for_again(transport, serve):
    async with serve(lambda peer: peer.answer(OK)) as server:
        reply = await get(transport, server.url)
        await read(reply)

        assert [b"", b""] == [await reply.receive(), await reply.receive()]
        await reply.aclose()
        await reply.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\n\r\n",
            id="both-lengths",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n"
            b"2\r\nok\r\n0\r\n\r\n",
            id="both-lengths-the-other-way-round",
        ),
        pytest.param(
            OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", id="a-second-answer"
        ),
        pytest.param(OK + b"garbage", id="trailing-garbage"),
        pytest.param(OK + b"H", id="the-beginning-of-another-answer"),
    ],
)
async def test_a_connection_whose_framing_is_in_doubt_is_not_used_again(
    transport, serve, answer, request
):
    async with serve(lambda peer: peer.answer(answer), lambda peer: peer.answer(OK)) as server:
        assert (200, b"ok") == await fetch(transport, server.url)
        assert (200, b"ok") == await fetch(transport, server.url)
        assert 2 == len(server.peers)
