"""Programs that have Chat Completions requests use a router with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import llmroute
from llmroute import openai_format, sync
from llmroute.testing import FakeUpstream, error, message, text, thinking, tool_use

BODY: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "prompt_cache_key": "chat-7",
    "seed": 7,
}
CUSTOM: dict[str, Any] = {"tools": [{"type": "custom", "custom": {"name": "sql"}}]}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def config(upstream: FakeUpstream) -> dict[str, Any]:
    one = {"provider": "anthropic", "base_url": upstream.url, "api_key": "k"}
    return {
        "deployments": {"one": one},
        "aliases": {"claude-*": "one"},
        "routing": {"retries": 0},
    }


def test_a_request() -> None:
    assert {
        "model": "claude-haiku-4-5",
        "max_tokens": 64_000,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "session": "chat-7",
    } == openai_format.request(BODY)
    assert ("seed: left out: Messages has no place for it",) == openai_format.losses(BODY)


@pytest.mark.parametrize(
    ("model", "thinking", "kept"),
    [
        pytest.param("claude-haiku-4-5", "enabled", set(), id="thinks-by-a-budget"),
        pytest.param("claude-opus-5-5", "adaptive", set(), id="thinks-as-it-sees-fit"),
        pytest.param("team-sonnet", "adaptive", {"top_k"}, id="nobody-knows"),
    ],
)
def test_a_request_is_one_that_the_named_model_takes(
    model: str, thinking: str, kept: set[str]
) -> None:
    body = {**BODY, "model": model, "reasoning_effort": "low", "top_k": 5}
    parameters = openai_format.request(body)

    assert thinking == parameters["thinking"]["type"]
    assert kept == {"top_k"} & parameters.keys()
    assert bool(kept) is not any("top_k" in line for line in openai_format.losses(body))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        pytest.param({"n": 2}, "n: ", id="two-answers"),
        pytest.param({"model": ""}, "model: ", id="no-model"),
        pytest.param({"messages": "Hi"}, "messages: ", id="no-messages"),
    ],
)
def test_what_cannot_be_asked_is_an_error(members: dict[str, Any], why: str) -> None:
    with pytest.raises(llmroute.InvalidRequestError, match=f"^{why}"):
        openai_format.request({**BODY, **members})


def test_a_whole_answer(upstream: FakeUpstream, config: dict[str, Any]) -> None:
    upstream.answer(message([thinking("Hm."), tool_use("sql", {"input": "SELECT 1"})]))
    body = {**BODY, **CUSTOM}
    with sync.Router.from_dict(config) as router:
        answer = openai_format.response(router.complete(**openai_format.request(body)), body)

    ChatCompletion.model_validate(answer, strict=True)
    said = answer["choices"][0]["message"]
    assert ("Hm.", "SELECT 1") == (
        said["reasoning_content"],
        said["tool_calls"][0]["custom"]["input"],
    )
    # What comes back goes out again, with the thinking in it.
    turns = [*BODY["messages"], said, {"role": "tool", "tool_call_id": "a", "content": "1"}]
    again = openai_format.request({**body, "messages": turns})
    kinds = [block["type"] for block in again["messages"][1]["content"]]
    assert ["thinking", "tool_use"] == kinds


def _is_read(chunks: list[dict[str, Any]]) -> None:
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    said = "".join(c["delta"].get("content") or "" for each in chunks for c in each["choices"])
    assert "Hello there." == said
    assert chunks[-1]["usage"]["total_tokens"] > 0


def test_a_stream_without_an_event_loop(upstream: FakeUpstream, config: dict[str, Any]) -> None:
    upstream.answer("Hello there.")
    with (
        sync.Router.from_dict(config) as router,
        router.stream(**openai_format.request(BODY)) as stream,
    ):
        _is_read(list(openai_format.chunks(stream, BODY)))


@pytest.mark.anyio
async def test_a_stream(upstream: FakeUpstream, config: dict[str, Any]) -> None:
    upstream.answer("Hello there.")
    async with (
        llmroute.Router.from_dict(config) as router,
        router.stream(**openai_format.request(BODY)) as stream,
    ):
        _is_read([chunk async for chunk in openai_format.chunks(stream, BODY)])


@pytest.mark.anyio
async def test_a_stream_that_breaks(upstream: FakeUpstream, config: dict[str, Any]) -> None:
    upstream.answer(text("Hello there.").cut(after_events=4), error(529))
    parameters = openai_format.request(BODY)
    async with llmroute.Router.from_dict(config) as router:
        async with router.stream(**parameters) as stream:
            chunks = openai_format.chunks(stream, BODY)
            assert "assistant" == (await anext(chunks))["choices"][0]["delta"]["role"]
            with pytest.raises(llmroute.StreamBrokenError):
                [chunk async for chunk in chunks]
        with pytest.raises(llmroute.OverloadedError):
            await router.complete(**parameters)
