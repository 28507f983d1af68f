"""The router in front of Chat Completions: answers, what comes back of them, and failing over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.errors import RejectedError
from llmroute.messages.call import Call
from llmroute.testing import (
    Clock,
    FakeAzureOpenAI,
    FakeChat,
    FakeEntra,
    FakeUpstream,
    chat_chunks,
    error,
    message,
    text,
    thinking,
    tool_use,
)
from llmroute.testing.openai import openai_error
from llmroute.transport.direct import DirectTransport
from llmroute.wire.envelope import Envelope

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"name": "read", "input_schema": {"type": "object"}}
APPLICATION = {
    "tenant_id": "fake-tenant",
    "client_id": "fake-client",
    "client_secret": "fake-secret",
}


@pytest.fixture
def server() -> Iterator[FakeChat]:
    with FakeChat(api_key="fake-key") as fake:
        yield fake


def router_for(server: FakeChat, other: FakeUpstream | None = None, **settings: Any) -> Any:
    chat = {
        "provider": "openai_compatible",
        "base_url": server.url,
        "api_key": "fake-key",
        "model": "qwen",
        **settings,
    }
    return router_with(chat, other)


def router_with(deployment: dict[str, Any], other: FakeUpstream | None = None) -> llmroute.Router:
    deployments = {"chat": deployment}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    config = {"deployments": deployments, "aliases": {"opus": list(deployments)}}
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


async def test_a_whole_answer(server: FakeChat) -> None:
    server.answer(message(["Good day."], usage={"input_tokens": 7, "output_tokens": 3}))
    async with router_for(server) as router:
        answer = await router.complete(model="opus", **HELLO)

    assert ("Good day.", "opus", "chat") == (answer.text, answer.model, answer.deployment)
    assert (7, 3) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert "qwen" == server.requests[0].json["model"]


async def test_a_stream_with_parallel_tools(server: FakeChat) -> None:
    uses = [tool_use("read", {"path": name}, id=f"call_{name}") for name in "ab"]
    server.answer(message(["I read.", *uses]))
    async with router_for(server) as router, router.stream(model="opus", **HELLO) as stream:
        final = await stream.message()

    assert ("I read.", "tool_use") == (final.text, final.stop_reason)
    assert [{"path": "a"}, {"path": "b"}] == [use["input"] for use in final.tool_uses]


async def test_reasoning_goes_back_after_a_restart(server: FakeChat) -> None:
    server.answer(thinking("Hm.", then=tool_use("read", {"path": "a"}, id="call_a")))
    settings = {"reasoning_replay": "reasoning_content"}
    async with (
        router_for(server, **settings) as router,
        router.stream(model="opus", tools=[TOOL], **HELLO) as stream,
    ):
        first = await stream.message()
    result = {"type": "tool_result", "tool_use_id": "call_a", "content": "hello"}
    turns = [
        *HELLO["messages"],
        {"role": "assistant", "content": first.data["content"]},
        {"role": "user", "content": [result]},
    ]
    async with router_for(server, **settings) as router:
        await router.complete(model="opus", max_tokens=64, messages=turns, tools=[TOOL])
    sent = server.requests[-1].json["messages"]

    assert "Hm." == sent[1]["reasoning_content"]
    assert sent[0] == server.requests[0].json["messages"][0]


async def test_foreign_reasoning_does_not_reach_anthropic(server: FakeChat) -> None:
    server.answer(thinking("Hm.", then=text("Yes.")), openai_error(500, "Broken"))
    with FakeUpstream() as other:
        async with router_for(server, other) as router:
            first = await router.complete(model="opus", **HELLO)
            turns = [
                *HELLO["messages"],
                {"role": "assistant", "content": first.data["content"]},
                *HELLO["messages"],
            ]
            answer = await router.complete(model="opus", max_tokens=64, messages=turns)

    assert "direct" == answer.deployment
    assert [[{"type": "text", "text": "Yes."}]] == [
        each["content"]
        for each in other.requests[0].json["messages"]
        if each["role"] == "assistant"
    ]


async def test_an_overflow_is_told_in_the_words_claude_code_compacts_on(server: FakeChat) -> None:
    words = "This model's maximum context length is 8192 tokens; you sent 9000."
    server.answer(openai_error(400, words, code="context_length_exceeded"))
    async with router_for(server) as router:
        with pytest.raises(RejectedError, match="prompt is too long: 9000 tokens > 8192 maximum"):
            await router.complete(model="opus", **HELLO)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(openai_error(503, "Busy"), id="status"),
        pytest.param(chat_chunks({"error": {"message": "Busy", "code": 503}}), id="in-the-stream"),
        pytest.param(chat_chunks(b"data: [DONE]\n\n").cut(), id="cut"),
        pytest.param(error(529), id="overloaded"),
    ],
)
async def test_another_deployment_takes_over(server: FakeChat, failure: Any) -> None:
    server.answer(failure)
    with FakeUpstream() as other:
        async with (
            router_for(server, other) as router,
            router.stream(model="opus", **HELLO) as stream,
        ):
            final = await stream.message()

    assert "direct" == final.deployment


async def test_an_error_in_the_middle_is_the_streams_end(server: FakeChat) -> None:
    server.answer(text("Hello there.").fail(after_events=3))
    async with router_for(server) as router:
        stream = router.stream(model="opus", **HELLO)
        with pytest.raises(llmroute.UpstreamError, match="Overloaded"):
            async with stream as events:
                await events.message()


async def test_tokens_are_estimated(server: FakeChat) -> None:
    async with router_for(server) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])

    assert [] == server.requests


async def test_what_is_lost_is_explained(server: FakeChat) -> None:
    body = Envelope.of({"model": "opus", **HELLO, "speed": "fast"})
    async with router_for(server) as router:
        explanation = await router.explain(Call(body, "opus"))
    (prospect,) = explanation.prospects

    assert "speed: left out: the server does not know it" in str(prospect)
    assert "fake-key" not in str(prospect)


@pytest.mark.parametrize("version", [None, "2024-10-21"], ids=["newer", "older"])
async def test_azure_by_key(version: str | None) -> None:
    with FakeAzureOpenAI(deployments={"my-gpt"}) as azure:
        azure.answer(tool_use("read", {"path": "a"}, id="call_a"))
        deployment = {
            "provider": "azure_openai",
            "base_url": azure.url,
            "api_key": "fake-key",
            "model": "my-gpt",
            "base_model": "gpt-5.2",
            **({"api_version": version} if version else {}),
        }
        async with (
            router_with(deployment) as router,
            router.stream(model="opus", tools=[TOOL], **HELLO) as stream,
        ):
            final = await stream.message()

    assert ["read"] == [use["name"] for use in final.tool_uses]


async def test_azure_by_a_token_that_is_renewed() -> None:
    with FakeAzureOpenAI() as azure, FakeEntra(azure) as entra:
        deployment = {
            "provider": "azure_openai",
            "base_url": azure.url,
            "model": "my-gpt",
            "authority": entra.url,
            **APPLICATION,
        }
        async with router_with(deployment) as router:
            await router.complete(model="opus", **HELLO)
            azure.tokens.clear()
            await router.complete(model="opus", **HELLO)

    assert (2, 3) == (entra.given, len(azure.requests))
    assert {None} == {request.header("api-key") for request in azure.requests}


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        pytest.param({"base_model": "gpt-5.4"}, "/openai/v1/responses", id="by-the-model"),
        pytest.param({"api": "responses"}, "/openai/v1/responses", id="by-the-setting"),
        pytest.param(
            {"api": "responses", "api_version": "2025-04-01-preview"},
            "/openai/responses",
            id="at-the-older-address",
        ),
    ],
)
async def test_azure_by_responses_reasons_beside_tools_and_gets_its_reasoning_back(
    settings: dict[str, Any], path: str
) -> None:
    with FakeAzureOpenAI() as azure:
        azure.answer(thinking("Hm.", then=tool_use("read", {"path": "a"})), text("Good day."))
        at = {"provider": "azure_openai", "base_url": azure.url, "api_key": "fake-key"}
        async with router_with({**at, "model": "mine", **settings}) as router:
            first = await router.complete(model="opus", **HELLO, tools=[TOOL])
            results = [{"type": "tool_result", "tool_use_id": first.tool_uses[0]["id"]}]
            messages = [
                *HELLO["messages"],
                {"role": "assistant", "content": first.data["content"]},
                {"role": "user", "content": results},
            ]
            second = await router.complete(
                model="opus", max_tokens=64, messages=messages, tools=[TOOL]
            )
    assert "Good day." == second.text
    assert [path, path] == [each.path for each in azure.requests]
    sent = [each.json for each in azure.requests]
    assert {"mine"} == {each["model"] for each in sent}
    assert "reasoning" in [each.get("type") for each in sent[1]["input"]]
