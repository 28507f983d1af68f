"""Every client of the official OpenAI SDK, in front of an upstream of every format.

One conversation: an image, parallel calls with reasoning before them, their results, a streamed
answer with its usage, one by a schema, and an error.
"""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import openai
import pydantic
import pytest
from tests.asgi.conftest import MASTER_KEY, Gateway

from llmroute.testing import (
    FakeAzureOpenAI,
    FakeChat,
    FakeGemini,
    FakeOpenAI,
    FakeUpstream,
    error,
    message,
    thinking,
    tool_use,
)

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"in": {"type": "string"}}},
    },
}
ASKED: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is the weather in the two cities of this map?"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ],
    },
]
# Thinking that Claude has signed: no OpenAI-format upstream can be given it as it is.
BEFORE: list[Any] = [
    {"role": "user", "content": "Hi"},
    {
        "role": "assistant",
        "content": "Hello.",
        "thinking_blocks": [{"type": "thinking", "thinking": "A greeting.", "signature": "c2ln"}],
    },
]


class River(pydantic.BaseModel):
    name: str
    length: int


@contextmanager
def anthropic() -> Iterator[tuple[FakeUpstream, dict[str, Any], str]]:
    with FakeUpstream() as server:
        at = {"provider": "anthropic", "base_url": server.url, "model": "claude-sonnet-5-5"}
        yield server, at, "/v1/messages"


@contextmanager
def chat() -> Iterator[tuple[FakeUpstream, dict[str, Any], str]]:
    with FakeChat() as server:
        at = {"provider": "openai_compatible", "base_url": server.url, "model": "qwen"}
        yield server, at, "/v1/chat/completions"


@contextmanager
def azure() -> Iterator[tuple[FakeUpstream, dict[str, Any], str]]:
    with FakeAzureOpenAI() as server:
        at = {"provider": "azure_openai", "base_url": server.url, "model": "gpt-5.4"}
        yield server, at, "/openai/v1/chat/completions"


@contextmanager
def responses() -> Iterator[tuple[FakeUpstream, dict[str, Any], str]]:
    with FakeOpenAI() as server:
        at = {"provider": "openai", "base_url": server.url + "/v1", "model": "gpt-5.4"}
        yield server, at, "/v1/responses"


@contextmanager
def gemini() -> Iterator[tuple[FakeUpstream, dict[str, Any], str]]:
    with FakeGemini() as server:
        at = {"provider": "gemini", "base_url": server.url, "model": "gemini-3-pro-preview"}
        yield server, at, "/v1beta/models/gemini-3-pro-preview:"


def plain(gateway: Gateway) -> dict[str, Any]:
    return {"base_url": gateway.url + "/v1"}


def azures(gateway: Gateway) -> dict[str, Any]:
    return {"azure_endpoint": gateway.url, "api_version": "2024-10-21"}


async def got(value: Any) -> Any:
    """Return what a client of either kind has returned."""
    return await value if inspect.isawaitable(value) else value


async def listed(stream: Any) -> list[Any]:
    return [each async for each in stream] if hasattr(stream, "__aiter__") else list(stream)


@pytest.mark.parametrize(
    ("upstream_of", "before"),
    [
        pytest.param(anthropic, [], id="anthropic"),
        pytest.param(chat, [], id="chat-verbatim"),
        pytest.param(chat, BEFORE, id="chat-translated"),
        pytest.param(azure, [], id="azure-verbatim"),
        pytest.param(responses, BEFORE, id="responses"),
        pytest.param(gemini, [], id="gemini"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "address"),
    [
        pytest.param(openai.OpenAI, plain, id="sync"),
        pytest.param(openai.AsyncOpenAI, plain, id="async"),
        pytest.param(openai.AzureOpenAI, azures, id="azure-sync"),
        pytest.param(openai.AsyncAzureOpenAI, azures, id="azure-async"),
    ],
)
def test_a_conversation(
    serve: Callable[[dict[str, Any]], Gateway],
    upstream_of: Any,
    before: list[Any],
    kind: Any,
    address: Any,
) -> None:
    with upstream_of() as (server, deployment, path):
        gateway = serve(
            {
                "deployments": {"one": {**deployment, "api_key": "fake-key"}},
                "aliases": {"sonnet": "one"},
                "server": {"master_key": MASTER_KEY},
            }
        )
        client = kind(**address(gateway), api_key=MASTER_KEY, max_retries=0)
        talk = partial(_talk, client, server, [*before, *ASKED])
        if kind in (openai.AsyncOpenAI, openai.AsyncAzureOpenAI):
            anyio.run(talk)
        else:
            # It never waits, so there need be no loop, in which nothing may block.
            with pytest.raises(StopIteration):
                talk().send(None)

    assert 4 == len(server.requests)
    assert all(each.path.startswith(path) for each in server.requests)


async def _talk(client: Any, server: FakeUpstream, turns: list[Any]) -> None:
    uses = [tool_use("weather", {"in": "Oslo"}), tool_use("weather", {"in": "Rom"})]
    server.answer(message([thinking("Two cities."), *uses]), "Cold.")
    server.answer('{"name": "Rhine", "length": 1233}', error(429, retry_after=7))
    completions = client.chat.completions
    asked: dict[str, Any] = {"model": "sonnet", "tools": [WEATHER]}

    first = await got(completions.create(**asked, messages=turns, reasoning_effort="low"))
    said = first.choices[0].message
    assert "tool_calls" == first.choices[0].finish_reason
    calls = said.tool_calls or []
    assert [{"in": "Oslo"}, {"in": "Rom"}] == [json.loads(c.function.arguments) for c in calls]
    assert 2 == len({call.id for call in calls})
    assert first.usage.total_tokens > 0

    results = [{"role": "tool", "tool_call_id": call.id, "content": "-3"} for call in calls]
    chunks = await listed(
        await got(
            completions.create(
                **asked,
                messages=[*turns, said, *results],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    )
    deltas = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "Cold." == "".join(deltas)
    assert chunks[-1].usage.total_tokens > 0

    hello = {"model": "sonnet", "messages": turns}
    parsed = await got(completions.parse(**hello, response_format=River))
    assert River(name="Rhine", length=1233) == parsed.choices[0].message.parsed

    with pytest.raises(openai.RateLimitError) as caught:
        await got(completions.create(**hello))
    assert "7" == caught.value.response.headers["retry-after"]
    await got(client.close())
