"""The guards of every other test, tried on planted offences."""

import os
import socket
import time
from pathlib import Path

import anyio
import pytest
from blockbuster import BlockingError

import llmroute

# Reserved for documentation: nobody answers there.
ELSEWHERE = "192.0.2.1"


def inside_llmroute(source):
    """Return the function `planted` of `source`, compiled as a module of llmroute."""
    path = Path(llmroute.__file__).with_name("planted.py")
    names = {}
    exec(compile(source, str(path), "exec"), names)  # noqa: S102  # a literal of this file
    return names["planted"]


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(lambda: socket.create_connection((ELSEWHERE, 80), timeout=1), id="address"),
        pytest.param(lambda: socket.create_connection(("example.com", 80), timeout=1), id="name"),
        pytest.param(lambda: socket.getaddrinfo(b"example.com", 443), id="look-up"),
        pytest.param(
            lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (ELSEWHERE, 53)),
            id="datagram",
            marks=pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
        ),
    ],
)
def test_no_test_reaches_beyond_loopback(reach):
    with pytest.raises(RuntimeError, match="a test reached beyond loopback"):
        reach()


@pytest.mark.anyio
async def test_no_async_test_reaches_beyond_loopback():
    with pytest.raises(RuntimeError, match="a test reached beyond loopback"):
        await anyio.connect_tcp("example.com", 443)


def test_loopback_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        _, port = server.getsockname()
        with socket.create_connection(("localhost", port), timeout=5) as client:
            assert port == client.getpeername()[1]


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "LLMROUTE_MASTER_KEY", "HTTPS_PROXY"])
def test_the_environment_is_clean(name):
    assert name not in os.environ


@pytest.mark.anyio
async def test_llmroute_may_not_block_the_event_loop():
    planted = inside_llmroute("import time\ndef planted(): time.sleep(0)")

    with pytest.raises(BlockingError):
        planted()


@pytest.mark.anyio
async def test_others_may_block_the_event_loop():
    time.sleep(0)  # noqa: ASYNC251  # that it passes is the point
