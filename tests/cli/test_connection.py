"""What a client may keep the proxy busy with before it has said who it is."""

from __future__ import annotations

import socket
import threading

import pytest
import uvicorn

from llmroute.testing import text
from llmroute_cli.connection import MAX_HEAD_BYTES, Connection

from .program import MASTER_KEY, question


class Impatient(Connection):
    head_seconds = 0.2


@pytest.fixture
def impatient():
    """Serve nothing, at a port, to clients that must be quick."""

    async def app(scope, receive, send):
        raise AssertionError("none of these requests may get so far")

    config = uvicorn.Config(app, http=Impatient, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def all_of(connection):
    """Read until the other side closes, in whichever way."""
    got = b""
    try:
        while data := connection.recv(65536):
            got += data
    except ConnectionError:
        pass
    return got


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"GET /health", id="target"),
        pytest.param(b"GET /health HTTP/1.1\r\nx: ", id="value"),
        pytest.param(b"GET /health HTTP/1.1\r\n", id="headers"),
    ],
)
def test_a_head_that_does_not_end_is_cut_off(serve, start):
    proxy = serve()
    more = b"a: b\r\n" if start.endswith(b"\n") else b"abcdef"

    with connect(proxy.port) as connection:
        connection.sendall(start)
        with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as it happens
            for _ in range(400):
                connection.sendall(more * 10_000)

    assert (200, b'{"status":"healthy"}') == proxy.ask()


def test_a_long_head_is_served(serve):
    proxy = serve()
    head = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: %b\r\n\r\n"

    with connect(proxy.port) as connection:
        connection.sendall(head % (b"a" * (MAX_HEAD_BYTES - 100)))
        assert all_of(connection).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(impatient, start):
    with connect(impatient) as connection:
        connection.sendall(start)
        assert b"" == all_of(connection)


def test_a_client_that_sent_requests_ahead_and_goes_away_is_missed(serve, upstream):
    proxy = serve()
    upstream.answer(text("Hello.").stall(after_events=1))
    body = question(stream=True).encode()
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\ncontent-length: %d\r\n\r\n"
    request = head % (MASTER_KEY.encode(), len(body)) + body

    with connect(proxy.port) as connection:
        connection.sendall(request * 2)
        connection.recv(1)

    upstream.wait_idle()
    assert 1 == len(upstream.requests)
    proxy.wait_for("outcome=cancelled")


def test_trailers_are_read_and_dropped(serve):
    proxy = serve()
    body = question().encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {MASTER_KEY}\r\nconnection: close"
    chunks = b"%x\r\n%b\r\n0\r\nx-api-key: other\r\n\r\n" % (len(body), body)

    with connect(proxy.port) as connection:
        connection.sendall(f"{head}\r\ntransfer-encoding: chunked\r\n\r\n".encode() + chunks)
        assert all_of(connection).startswith(b"HTTP/1.1 200 OK")
