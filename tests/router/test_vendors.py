"""The router in front of vendors that read Messages, and aliases that refuse to lose anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.config import load_dict
from llmroute.testing import FakeUpstream, error
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
# What a vendor's server does not take.
MANAGED: dict[str, Any] = {**HELLO, "context_management": {"edits": []}}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


def router_to(upstream: FakeUpstream, **alias: Any) -> llmroute.Router:
    data = {
        "deployments": {
            "theirs": {
                "provider": "deepseek",
                "base_url": upstream.url,
                "api_key": "sk-canary",
                "model": "deepseek-v4-pro",
            },
            "claude": {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"},
        },
        "aliases": {"fast": {"deployments": ["theirs"], **alias}, "claude-*": "claude"},
    }
    return llmroute.Router(load_dict(data, {}), transport=DirectTransport())


async def test_a_vendor_is_asked_for_its_own_model_with_its_own_key(upstream: FakeUpstream) -> None:
    async with router_to(upstream) as router:
        message = await router.complete(model="fast", **MANAGED)

    [received] = upstream.requests
    body = received.json
    assert ("/v1/messages", "deepseek-v4-pro") == (received.path, body["model"])
    assert "Bearer sk-canary" == received.header("authorization")
    assert "context_management" not in body
    assert "fast" == message.data["model"]


async def test_a_prompt_that_is_too_long_is_said_as_claude_code_reads_it(
    upstream: FakeUpstream,
) -> None:
    upstream.answer(
        error(400, "invalid_request_error", "This model's maximum context length is 131072 tokens")
    )
    async with router_to(upstream) as router:
        with pytest.raises(llmroute.RejectedError, match="prompt is too long") as caught:
            await router.complete(model="fast", **HELLO)

    told = json.loads(caught.value.body)["error"]["message"]
    assert told.startswith("prompt is too long: ")


async def test_tokens_are_estimated_where_a_vendor_does_not_count(upstream: FakeUpstream) -> None:
    async with router_to(upstream) as router:
        count = await router.count_tokens(model="fast", messages=HELLO["messages"])

    assert count > 0
    assert [] == upstream.requests


async def test_a_strict_alias_refuses_what_would_be_lost_and_names_it(
    upstream: FakeUpstream,
) -> None:
    async with router_to(upstream, strict=True) as router:
        with pytest.raises(llmroute.UntranslatableError) as caught:
            await router.complete(model="fast", **MANAGED)

    assert 400 == caught.value.status
    assert (
        "the alias is strict, and this deployment does not take: context_management: DeepSeek does "
        "not take the beta it needs"
    ) == str(caught.value)
    assert [] == upstream.requests


async def test_a_strict_alias_sends_what_arrives_as_a_whole(upstream: FakeUpstream) -> None:
    async with router_to(upstream, strict=True) as router:
        await router.complete(model="fast", **HELLO)

    assert 1 == len(upstream.requests)


async def test_a_strict_alias_goes_on_to_one_that_takes_everything(upstream: FakeUpstream) -> None:
    async with router_to(upstream, strict=True, fallbacks=["claude-sonnet-5"]) as router:
        message = await router.complete(model="fast", **MANAGED)

    assert "claude" == message.deployment
    assert "context_management" in upstream.requests[0].json
