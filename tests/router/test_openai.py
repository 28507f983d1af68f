"""The router in front of OpenAI: conversations that another API holds, and its errors."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

import llmroute
from llmroute.testing import (
    Clock,
    FakeOpenAI,
    FakeUpstream,
    message,
    openai_error,
    text,
    thinking,
    tool_use,
)
from llmroute.transport.direct import DirectTransport

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
THINKING = {"thinking": {"type": "adaptive"}}
BASH = {"name": "Bash", "description": "Run.", "input_schema": {"type": "object"}}
PNG = base64.b64encode(b"\x89PNG").decode()


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(api_key="sk-canary") as fake:
        yield fake


def router_for(
    openai: FakeOpenAI, other: FakeUpstream | None = None, **settings: Any
) -> llmroute.Router:
    own = {
        "provider": "openai",
        "base_url": f"{openai.url}/v1",
        "api_key": "sk-canary",
        "model": "gpt-5.4",
        **settings,
    }
    deployments: dict[str, Any] = {"own": own}
    if other is not None:
        deployments["direct"] = {"provider": "anthropic", "base_url": other.url, "api_key": "k"}
    config = {"deployments": deployments, "aliases": {"opus": list(deployments)}}
    return llmroute.Router.from_dict(config, transport=DirectTransport(), sleep=Clock().sleep)


async def asked(router: llmroute.Router, *, streamed: bool, **members: Any) -> llmroute.Message:
    if not streamed:
        return await router.complete(model="opus", **members)
    async with router.stream(model="opus", **members) as stream:
        return await stream.message()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_conversation_with_tools_images_and_reasoning(
    openai: FakeOpenAI, streamed: bool
) -> None:
    uses = [
        tool_use("Bash", {"command": "ls"}, id="call_1"),
        tool_use("Bash", {"command": "pwd"}, id="call_2"),
    ]
    openai.answer(message([thinking("Both.", signature="s1"), "Let me look.", *uses]), "A cat.")
    first = {"role": "user", "content": "What is there?"}
    async with router_for(openai) as router:
        given = {"max_tokens": 999, "tools": [BASH], **THINKING}
        answer = await asked(router, streamed=streamed, messages=[first], **given)
        image = {"type": "base64", "media_type": "image/png", "data": PNG}
        results = [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "a.png", "is_error": True},
            {
                "type": "tool_result",
                "tool_use_id": "call_2",
                "content": [{"type": "image", "source": image}],
            },
        ]
        said = {"role": "assistant", "content": answer.data["content"]}
        turns = [first, said, {"role": "user", "content": results}]
    # Another process: what the conversation needs is in the conversation.
    async with router_for(openai) as router:
        last = await asked(router, streamed=streamed, messages=turns, **given)

    assert ("tool_use", "A cat.") == (answer.stop_reason, last.text)
    kinds = [block["type"] for block in answer.data["content"]]
    assert ["thinking", "text", "tool_use", "tool_use"] == kinds
    assert "Both." == answer.data["content"][0]["thinking"]
    before, after = (request.json["input"] for request in openai.requests)
    assert before == after[: len(before)]
    assert [
        {
            "type": "reasoning",
            "id": "rs_00000000000100",
            "summary": [{"type": "summary_text", "text": "Both."}],
            "encrypted_content": "gAAAAs100000000000100",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": "Let me look.",
            "phase": "commentary",
        },
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "Bash",
            "arguments": '{"command":"ls"}',
        },
        {
            "type": "function_call",
            "call_id": "call_2",
            "name": "Bash",
            "arguments": '{"command":"pwd"}',
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "[tool error] a.png"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [
                {
                    "type": "input_image",
                    "image_url": f"data:image/png;base64,{PNG}",
                    "detail": "auto",
                }
            ],
        },
    ] == after[len(before) :]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_bears_the_name_that_was_asked_for(
    openai: FakeOpenAI, streamed: bool
) -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 7}
    openai.answer(text("Good morning.", usage=usage))
    async with router_for(openai) as router:
        answer = await asked(router, streamed=streamed, **HELLO)

    assert ("opus", "own", "end_turn") == (answer.model, answer.deployment, answer.stop_reason)
    assert ("Good morning.", 10, 90, 7) == (
        answer.text,
        answer.usage.input_tokens,
        answer.usage.cache_read_input_tokens,
        answer.usage.output_tokens,
    )
    assert ["text"] == [block["type"] for block in answer.data["content"]]


async def test_only_openais_own_headers_and_members_are_sent(openai: FakeOpenAI) -> None:
    headers = {
        "anthropic-beta": "context-1m-2025-08-07",
        "x-claude-code-session-id": "11111111-1111-4111-8111-111111111111",
        "traceparent": "00-1-1-01",
    }
    extra = {"text": {"verbosity": "low"}, "store": True}
    settings = {"organization": "org-1", "project": "proj_1", "extra_body": extra}
    async with router_for(openai, headers={"x-team": "a"}, **settings) as router:
        await router.complete(model="opus", headers=headers, metadata={"user_id": "u"}, **HELLO)

    sent = openai.requests[-1]
    names = {name.lower() for name, _ in sent.headers}
    assert {"openai-organization", "openai-project", "x-team", "authorization"} <= names
    assert ("Bearer sk-canary", "00-1-1-01") == (
        sent.header("authorization"),
        sent.header("traceparent"),
    )
    assert ({"verbosity": "low"}, True) == (sent.json["text"], sent.json["store"])
    assert "11111111" not in sent.json["prompt_cache_key"]


async def test_tokens_are_counted_upstream(openai: FakeOpenAI) -> None:
    async with router_for(openai) as router:
        counted = await router.count_tokens(
            model="opus", messages=HELLO["messages"], tools=[BASH], system="S"
        )

    assert 0 < counted
    assert "/v1/responses/input_tokens" == openai.requests[-1].path
    assert {"model", "instructions", "input", "tools"} == openai.requests[-1].json.keys()


async def test_tokens_are_estimated_where_that_is_set(openai: FakeOpenAI) -> None:
    async with router_for(openai, count_tokens=False) as router:
        assert 0 < await router.count_tokens(model="opus", messages=HELLO["messages"])

    assert [] == openai.requests


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(openai_error(429, "Slow.", code="rate_limit_exceeded"), id="rate"),
        pytest.param(openai_error(429, "You owe.", code="insufficient_quota"), id="quota"),
        pytest.param(openai_error(401, "Who?", code="invalid_api_key"), id="key"),
        pytest.param(openai_error(404, "No model.", code="model_not_found"), id="model"),
        pytest.param(openai_error(503, "Overloaded.", code="overloaded"), id="overloaded"),
        pytest.param(openai_error(500, "Oh.", type="server_error"), id="fault"),
    ],
)
async def test_a_deployment_that_will_not_serve_gives_way(openai: FakeOpenAI, refusal: Any) -> None:
    openai.default = refusal
    with FakeUpstream() as other:
        async with router_for(openai, other) as router:
            answer = await router.complete(model="opus", **HELLO)

    assert "direct" == answer.deployment


async def test_an_error_at_the_start_of_a_stream_is_another_deployments_turn(
    openai: FakeOpenAI,
) -> None:
    openai.default = text("Hi").fail("server_error", "Sorry.", after_events=2)
    with FakeUpstream() as other:
        async with router_for(openai, other) as router:
            answer = await asked(router, streamed=True, **HELLO)

    assert "direct" == answer.deployment


async def test_a_stream_that_breaks_says_so(openai: FakeOpenAI) -> None:
    openai.default = text("Hello there.").end(after_events=6)
    async with router_for(openai) as router:
        with pytest.raises(llmroute.StreamBrokenError):
            await asked(router, streamed=True, **HELLO)


async def test_what_the_model_does_not_take_is_left_out_from_then_on(openai: FakeOpenAI) -> None:
    no = "Your organization must be verified to generate reasoning summaries."
    openai.answer(openai_error(400, no, code="unsupported_value", param="reasoning.summary"))
    async with router_for(openai) as router:
        for _ in range(2):
            await router.complete(model="opus", **HELLO, **THINKING)

    summaries = [each.json.get("reasoning", {}).get("summary") for each in openai.requests]
    assert ["auto", None, None] == summaries


async def test_reasoning_that_is_refused_is_left_out(openai: FakeOpenAI) -> None:
    openai.answer(thinking("Hm.", then="Hello."))
    with FakeUpstream() as other:
        await _refuse_reasoning(openai, other)

    kinds = [[item["type"] for item in each.json["input"]] for each in openai.requests]
    assert [
        ["message"],
        ["message", "reasoning", "message", "message"],
        ["message", "message", "message"],
    ] == kinds


async def _refuse_reasoning(openai: FakeOpenAI, other: FakeUpstream) -> None:
    async with router_for(openai, other) as router:
        first = await router.complete(model="opus", **HELLO, **THINKING)
        openai.reasoning.clear()
        turns = [
            *HELLO["messages"],
            {"role": "assistant", "content": first.data["content"]},
            {"role": "user", "content": "Go on."},
        ]
        answer = await router.complete(model="opus", max_tokens=64, messages=turns, **THINKING)

    assert ("own", "Hello! What can I do for you?") == (answer.deployment, answer.text)


async def test_what_was_lost_is_noted(openai: FakeOpenAI) -> None:
    records: list[llmroute.Record] = []

    class Observer:
        def record(self, record: llmroute.Record) -> None:
            records.append(record)

    async with router_for(openai) as router:
        router.observers.append(Observer())
        await router.complete(model="opus", top_k=5, temperature=0.2, **HELLO)

    assert (
        "temperature: a model that reasons takes none",
        "top_k: OpenAI has nothing like it",
    ) == records[0].losses


async def test_a_prompt_that_is_too_long_is_told_in_the_words_clients_know(
    openai: FakeOpenAI,
) -> None:
    long = (
        "This model's maximum context length is 400000 tokens. However, your messages resulted in"
        " 412345 tokens. Please reduce the length of the messages."
    )
    openai.default = openai_error(400, long, code="context_length_exceeded")
    async with router_for(openai) as router:
        with pytest.raises(llmroute.RejectedError) as caught:
            await router.complete(model="opus", **HELLO)

    assert b"prompt is too long: 412345 tokens > 400000 maximum" in caught.value.body
    assert 400 == caught.value.status
