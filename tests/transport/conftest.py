"""The transports under test, and the server they are tested against."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
import trustme

from llmroute.transport import Transport
from llmroute.transport.direct import DirectTransport
from llmroute.transport.httpx import HttpxTransport

from .peer import Script, Server

# Longer than anything here takes, shorter than a person's patience.
BOUND = 20.0


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return ("asyncio", {"use_uvloop": request.param})


@pytest.fixture(params=[DirectTransport, HttpxTransport], ids=["direct", "httpx"])
async def transport(request, client_tls) -> AsyncIterator[Transport]:
    transport = request.param(ssl_context=client_tls)
    yield transport
    await transport.aclose()


@pytest.fixture
def serve() -> Callable[..., contextlib.AbstractAsyncContextManager[Server]]:
    """Return `serve(*scripts, host=, tls=)`: a server, and a bound on what is done with it."""

    @contextlib.asynccontextmanager
    async def serve(
        *scripts: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Server]:
        with anyio.fail_after(BOUND):
            async with Server(*scripts).running(host=host, tls=tls) as server:
                yield server

    return serve


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A context for a server at 127.0.0.1 and `localhost`, but at no other name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and nobody will while the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(scope="session")
def server_tls_elsewhere(authority: trustme.CA) -> ssl.SSLContext:
    """A context with a trusted certificate for a name that is not the server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.test").configure_cert(context)
    return context


@pytest.fixture(params=[DirectTransport, HttpxTransport], ids=["direct", "httpx"])
def any_transport(request) -> Callable[..., contextlib.AbstractAsyncContextManager[Transport]]:
    """Return `any_transport(**settings)`, for a transport that is not set up as `transport` is."""

    @contextlib.asynccontextmanager
    async def any_transport(**settings: Any) -> AsyncIterator[Transport]:
        transport = request.param(**settings)
        try:
            yield transport
        finally:
            await transport.aclose()

    return any_transport
