"""The router in front of several vendors at once: whose reasoning goes where, limits, secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import llmroute
from llmroute.testing import (
    Clock,
    FakeChat,
    FakeOpenAI,
    FakeUpstream,
    message,
    openai_error,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

KEY = "fake-canary-4711"
HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
BASH = {"name": "Bash", "description": "Run.", "input_schema": {"type": "object"}}


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key=KEY) as fake:
        yield fake


@pytest.fixture
def chat() -> Iterator[FakeChat]:
    with FakeChat(api_key=KEY) as fake:
        yield fake


@pytest.fixture
def claude() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


def router_of(deployments: dict[str, dict[str, Any]], **alias: Any) -> llmroute.Router:
    config = {
        "deployments": {n: {"api_key": KEY, **each} for n, each in deployments.items()},
        "aliases": {"opus": {"deployments": [*deployments], **alias}},
    }
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


def of_chat(server: FakeUpstream, **settings: Any) -> dict[str, Any]:
    kind = {"provider": "openai_compatible", "base_url": server.url, "model": "kimi"}
    return {**kind, "reasoning_replay": "reasoning_content", **settings}


async def test_reasoning_stays_with_its_maker_when_others_take_over(
    openai: FakeOpenAI, chat: FakeChat, claude: FakeUpstream
) -> None:
    use = tool_use("Bash", {"command": "ls"}, id="call_1")
    openai.answer(message([thinking_of("Thought by one."), use]))
    deployments = {
        "gpt": {"provider": "openai", "base_url": f"{openai.url}/v1", "model": "gpt-5.4"},
        "kimi": of_chat(chat),
        "claude": {"provider": "anthropic", "base_url": claude.url},
    }
    given: dict[str, Any] = {"max_tokens": 99, "tools": [BASH], "thinking": {"type": "adaptive"}}
    async with router_of(deployments) as router:
        first = await router.complete(model="opus", messages=HELLO["messages"], **given)
        assert "gpt" == first.deployment
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "a"}
        turns = [
            *HELLO["messages"],
            {"role": "assistant", "content": first.data["content"]},
            {"role": "user", "content": [result]},
        ]
        openai.answer_with(lambda _: openai_error(500, "Down."))
        chat.answer(thinking("Thought by two.", then="Done."), openai_error(500, "Down."))
        second = await router.complete(model="opus", messages=turns, **given)
        turns += [
            {"role": "assistant", "content": second.data["content"]},
            {"role": "user", "content": "Go on."},
        ]
        third = await router.complete(model="opus", messages=turns, **given)

    assert ("kimi", "claude") == (second.deployment, third.deployment)
    for request in [*chat.requests, *claude.requests]:
        assert b"Thought by one." not in request.body
        assert b"llmr1." not in request.body
    assert all(b"Thought by two." not in request.body for request in openai.requests)
    assert b"Thought by two." not in claude.requests[-1].body


def thinking_of(said: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": "s1"}


async def test_a_key_that_a_server_repeats_is_in_no_error(
    chat: FakeChat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.answer(openai_error(400, f"The key {KEY} is odd"))
    settings = {"local": of_chat(chat)}
    with caplog.at_level(logging.DEBUG):
        async with router_of(settings) as router:
            with pytest.raises(llmroute.RejectedError) as caught:
                await router.complete(model="opus", **HELLO)

    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.body!r} {caplog.text}"
    assert "The key (key) is odd" in str(caught.value)


async def test_a_longest_answer_in_litellms_words_lowers_what_is_asked_for(chat: FakeChat) -> None:
    entry = {
        "model_name": "opus",
        "litellm_params": {
            "model": "openai/kimi",
            "api_base": chat.url,
            "api_key": KEY,
        },
        "model_info": {"max_output_tokens": 8192},
    }
    transport = DirectTransport()
    async with llmroute.Router.from_dict({"model_list": [entry]}, transport=transport) as router:
        await router.complete(model="opus", **{**HELLO, "max_tokens": 64_000})

    assert 8192 == chat.requests[0].json["max_tokens"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(
    chat: FakeChat, claude: FakeUpstream, status: int
) -> None:
    moved = replace(message(["Moved."]), status=status)
    chat.answer(moved.header("location", f"{claude.url}/v1/messages"))
    async with router_of({"kimi": of_chat(chat)}) as router:
        with pytest.raises(llmroute.UpstreamError):
            await router.complete(model="opus", **HELLO)

    assert [] == claude.requests


SEARCH = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]


@pytest.mark.parametrize("kind", ["chat", "vendor"])
async def test_a_search_of_the_web_goes_to_whoever_searches(
    chat: FakeChat, claude: FakeUpstream, kind: str
) -> None:
    vendor = {"provider": "deepseek", "base_url": chat.url, "model": "deepseek-v4-pro"}
    deployments = {
        "blind": of_chat(chat) if kind == "chat" else vendor,
        "claude": {"provider": "anthropic", "base_url": claude.url},
    }
    async with router_of(deployments) as router:
        answer = await router.complete(model="opus", tools=SEARCH, **HELLO)

    assert "claude" == answer.deployment
    assert SEARCH == claude.requests[-1].json["tools"]
    assert [] == chat.requests


async def test_a_search_of_the_web_that_nobody_does_is_an_error(chat: FakeChat) -> None:
    async with router_of({"blind": of_chat(chat)}) as router:
        with pytest.raises(llmroute.UntranslatableError, match="does not run web_search"):
            await router.complete(model="opus", tools=SEARCH, **HELLO)
        counted = await router.count_tokens(model="opus", tools=SEARCH, messages=HELLO["messages"])

    assert 0 < counted
    assert [] == chat.requests
