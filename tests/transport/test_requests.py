"""What a transport writes, byte for byte, and what it refuses to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .exchange import OK, PROMPT, get, read

pytestmark = pytest.mark.anyio


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


WRITTEN = [
    pytest.param(
        "GET", "/", [], (), b"GET / HTTP/1.1\r\nhost: HOST\r\n\r\n", id="nothing-is-added"
    ),
    pytest.param(
        "POST",
        "/v1/messages?beta=true",
        [(b"x-api-key", b"k"), (b"anthropic-version", b"2023-06-01"), (b"accept", b"*/*")],
        (b'{"model":', memoryview(b'"m"'), b"}"),
        b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: HOST\r\nx-api-key: k\r\n"
        b"anthropic-version: 2023-06-01\r\naccept: */*\r\ncontent-length: 13\r\n\r\n"
        b'{"model":"m"}',
        id="buffers",
    ),
    pytest.param(
        "POST",
        "/",
        [(b"host", b"elsewhere"), (b"content-length", b"9"), (b"transfer-encoding", b"chunked")],
        (b"four",),
        b"POST / HTTP/1.1\r\nhost: HOST\r\ncontent-length: 4\r\n\r\nfour",
        id="host-and-framing-are-the-transport's",
    ),
    pytest.param(
        "POST",
        "/",
        [(b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"c", "\u00e9".encode())],
        (),
        b"POST / HTTP/1.1\r\nhost: HOST\r\nb: 1\r\na: 2\r\nb: 3\r\nc: \xc3\xa9\r\n"
        b"content-length: 0\r\n\r\n",
        id="order-repetition-and-bytes-are-kept",
    ),
    pytest.param(
        "POST",
        "/model/arn:aws:x%2Fy/a%3Ab;c=d'~|%7e?q=%20+{}&",
        [],
        (),
        b"POST /model/arn:aws:x%2Fy/a%3Ab;c=d'~|%7e?q=%20+{}& HTTP/1.1\r\nhost: HOST\r\n"
        b"content-length: 0\r\n\r\n",
        id="the-path-is-not-respelled",
    ),
    pytest.param(
        "POST",
        "/",
        [],
        lambda: pieces(b"a" * 20, b"", b"bc"),
        b"POST / HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n"
        b"14\r\naaaaaaaaaaaaaaaaaaaa\r\n2\r\nbc\r\n0\r\n\r\n",
        id="pieces-are-chunked",
    ),
    pytest.param(
        "PUT",
        "/",
        [(b"content-length", b"3"), (b"x", b"y")],
        lambda: pieces(b"a", b"bc"),
        b"PUT / HTTP/1.1\r\nhost: HOST\r\ncontent-length: 3\r\nx: y\r\n\r\nabc",
        id="pieces-of-known-length",
    ),
    pytest.param(
        "DELETE", "/f", [], (), b"DELETE /f HTTP/1.1\r\nhost: HOST\r\n\r\n", id="no-body-no-length"
    ),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "expected"), WRITTEN)
async def test_every_transport_writes_these_bytes(
    transport, serve, method, path, headers, body, expected
):
    async with serve(lambda peer: peer.answer(OK)) as server:
        given = body() if callable(body) else body
        await transport.send(method, server.url + path, headers, given, PROMPT)

        host = server.url.partition("://")[2].encode()
        assert [expected.replace(b"HOST", host)] == server.requests


async def test_a_large_body_arrives_whole(transport, serve):
    async with serve(lambda peer: peer.answer(OK)) as server:
        large = bytes(range(256)) * 20_000
        body = (b"[", memoryview(large), b"", b"]")
        reply = await transport.send("POST", server.url, [], body, PROMPT)

        assert b"ok" == await read(reply)
        assert server.requests[0].endswith(b"\r\n\r\n[" + large + b"]")


NOT_REQUESTS = [
    pytest.param("GET /", "", [], id="space-in-method"),
    pytest.param("GET\r\nx: y", "", [], id="line-break-in-method"),
    pytest.param("", "", [], id="no-method"),
    pytest.param("GET", "/\r\nx: y", [], id="line-break-in-url"),
    pytest.param("GET", "/ HTTP/1.1", [], id="space-in-url"),
    pytest.param("GET", "/\x00", [], id="zero-in-url"),
    pytest.param("GET", "/\u00e9", [], id="url-beyond-ascii"),
    pytest.param("GET", "/#part", [], id="fragment-in-url"),
    pytest.param("GET", "", [(b"x", b"y\r\nz: 1")], id="line-break-in-value"),
    pytest.param("GET", "", [(b"x", b"y\nz: 1")], id="line-feed-in-value"),
    pytest.param("GET", "", [(b"x", b"y\rz")], id="return-in-value"),
    pytest.param("GET", "", [(b"x", b"\x00")], id="zero-in-value"),
    pytest.param("GET", "", [(b"x\r\nz", b"y")], id="line-break-in-name"),
    pytest.param("GET", "", [(b"x:", b"y")], id="colon-in-name"),
    pytest.param("GET", "", [(b"x ", b"y")], id="space-in-name"),
    pytest.param("GET", "", [(b"", b"y")], id="no-name"),
    pytest.param("GET", "", [(b"Content-Length", b"5")], id="capitals-in-name"),
]


@pytest.mark.parametrize(("method", "path", "headers"), NOT_REQUESTS)
async def test_what_would_not_arrive_as_one_request_is_refused(
    transport, serve, method, path, headers
):
    async with serve(lambda peer: peer.answer(OK)) as server:
        with pytest.raises(ValueError, match="^[^?]*$"):
            await transport.send(method, server.url + path, headers, (), PROMPT)

        assert [] == server.peers


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://127.0.0.1/", id="scheme"),
        pytest.param("http://user:secret@127.0.0.1/", id="user"),
        pytest.param("http:///path", id="no-host"),
        pytest.param("http://127.0.0.1:0/", id="port-zero"),
        pytest.param("http://127.0.0.1:99999/", id="port-too-high"),
        pytest.param("127.0.0.1/", id="no-scheme"),
    ],
)
async def test_what_is_not_a_plain_url_is_refused_and_not_repeated(transport, url):
    with pytest.raises(ValueError, match="URL") as caught:
        await get(transport, url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"content-length", b"1"), (b"content-length", b"2")], id="two-lengths"),
        pytest.param([(b"content-length", b"+1")], id="no-number"),
        pytest.param(
            [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")], id="both-framings"
        ),
    ],
)
async def test_a_declared_length_that_is_in_doubt_is_refused(transport, serve, headers):
    async with serve(lambda peer: peer.answer(OK)) as server:
        with pytest.raises(ValueError, match="content-length"):
            await transport.send("POST", server.url, headers, pieces(b"x"), PROMPT)

        assert [] == server.peers


@pytest.mark.parametrize("value", [b"SECRET\n", b"SECRET\r\n", b"SECRET\x00", b"\n SECRET"])
async def test_a_refused_header_is_not_repeated(transport, serve, value):
    async with serve(lambda peer: peer.answer(OK)) as server:
        with pytest.raises(ValueError, match="header") as caught:
            await transport.send("GET", server.url, [(b"x-api-key", value)], (), PROMPT)

        assert "SECRET" not in repr(caught.value)


@pytest.mark.parametrize(
    "parts", [pytest.param((b"ab",), id="short"), pytest.param((b"ab", b"cd"), id="long")]
)
async def test_a_body_of_another_length_than_declared_closes_the_connection(
    transport, serve, parts
):
    async def script(peer):
        await peer.head()
        await peer.closed()

    async with serve(script) as server:
        headers = [(b"content-length", b"3")]
        with pytest.raises(ValueError, match=r"."):
            await transport.send("POST", server.url, headers, pieces(*parts), PROMPT)
        await server.peers[0].gone.wait()


async def test_an_error_in_the_body_s_own_iterator_comes_out_and_closes_the_connection(
    transport, serve
):
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise LookupError("the caller's own")

    async def script(peer):
        await peer.head()
        await peer.closed()

    async with serve(script) as server:
        with pytest.raises(LookupError, match="the caller's own"):
            await transport.send("POST", server.url, [], broken(), PROMPT)
        await server.peers[0].gone.wait()
