"""In process and over HTTP a call is the same call: the upstream cannot tell the doors apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.asgi.conftest import Gateway, config_for

import llmroute
from llmroute.testing import FakeUpstream
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

# `x-claude-code-…` and the like are the client's own; these are what both doors were given.
HEADERS = {"anthropic-beta": "effort-2025-11-24", "anthropic-version": "2026-10-21"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("direct", [False, True], ids=["httpx", "direct"])
@pytest.mark.parametrize("model", ["sonnet", "claude-opus-5-5"], ids=["renamed", "as-asked"])
async def test_both_doors_send_the_same_bytes(
    gateway: Gateway, upstream: FakeUpstream, model: str, direct: bool, stream: bool
) -> None:
    members: dict[str, Any] = {
        "model": model,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Grüße ❄"}],
        "temperature": 1.0,
        "of_tomorrow": {"b": [1, 2.50], "a": None},
    }
    if stream:
        members["stream"] = True
    transport = DirectTransport() if direct else None
    async with llmroute.Router.from_dict(config_for(upstream.url), transport=transport) as router:
        if stream:
            parameters = {name: value for name, value in members.items() if name != "stream"}
            async with router.stream(**parameters, headers=HEADERS) as answer:
                await answer.message()
        else:
            await router.complete(**members, headers=HEADERS)
    gateway.http.headers.clear()
    gateway.http.post(
        "/v1/messages",
        content=msgspec.json.encode(members),
        headers={**HEADERS, "x-api-key": "sk-master-1234567890"},
    )

    in_process, over_http = upstream.requests
    assert in_process.body == over_http.body
    assert (in_process.method, in_process.path, in_process.query) == (
        over_http.method,
        over_http.path,
        over_http.query,
    )
    assert in_process.headers == over_http.headers
