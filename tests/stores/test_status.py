"""Where the state is said to be."""

import socket

import pytest

from llmroute.stores import open_counters

pytestmark = pytest.mark.anyio


async def test_what_is_here_is_in_memory():
    assert "memory" == open_counters(None).status


async def test_redis_is_away_once_it_was_found_not_to_answer():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    counters = open_counters(f"redis://127.0.0.1:{port}")
    before = counters.status
    await counters.read(["a"])
    after = counters.status
    await counters.aclose()

    assert ("redis", "redis (away)") == (before, after)
