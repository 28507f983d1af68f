"""What holds for every test: a clean environment, no network, no blocked event loop."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster
from pydantic import TypeAdapter

# What a developer's shell may hold and llmroute, a vendor's SDK or an HTTP client would read.
AMBIENT = re.compile(
    r"(ANTHROPIC|AWS|AZURE|CLAUDE|GEMINI|GOOGLE|LITELLM|LLMROUTE|OPENAI|OTEL|VERTEX)_.*|.*_PROXY",
    re.IGNORECASE,
)


def pytest_configure() -> None:
    """Not a fixture, so that doctests and fixtures of every scope are served alike."""
    for name in [name for name in os.environ if AMBIENT.fullmatch(name)]:
        del os.environ[name]
    sys.addaudithook(_stay_on_loopback)
    # For its first type pydantic reads files, and that may be on an event loop.
    TypeAdapter(int)


def _stay_on_loopback(event: str, args: tuple[object, ...]) -> None:
    """Raise where a socket is about to leave this machine; an audit hook sees every library."""
    if event in {"socket.connect", "socket.sendto"}:
        address = args[1]
        # Otherwise the address is a path: a Unix socket stays here.
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if isinstance(host, str) and not _is_local(host):
        # Not an OSError: nothing may take it for an upstream that is down.
        message = f"{event}: a test reached beyond loopback, to {host!r}"
        raise RuntimeError(message)


def _is_local(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio; one that means to hold on trio too parametrizes this."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _unblocked_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an async test in which llmroute blocks the event loop it runs on."""
    if request.node.get_closest_marker("anyio") is None:
        yield
        return
    # The fake upstream may be started from a test's loop; it serves from a thread of its own.
    blockbuster = BlockBuster(["llmroute"], excluded_modules=["llmroute.testing"])
    blockbuster.activate()
    try:
        yield
    finally:
        blockbuster.deactivate()
